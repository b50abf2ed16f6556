# -*- test-case-name: tests.benchmark.test_branches -*-
"""
Revisions of lproxy side by side: each git revision becomes a proxy under test named after it.

A revision is checked out into a worktree in a temporary folder, which is removed at the end whatever happens. Its
dependencies come from a virtual environment of their own, kept in the cache folder under a hash of the revision's
setup.cfg: revisions that ask for the same share it. lproxy itself is taken out of that environment again, and found in
the worktree because the proxy is started there.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark.peer import EVERY, LPROXY, OBSERVED, Peer, Setting
from benchmark.peers import lproxy_config
from benchmark.process import PROJECT

GIT_SECONDS = 120.0
INSTALL_SECONDS = 900.0
#: a file made when the environment is whole, so that one that was interrupted is made anew
COMPLETE = "complete"


class NoBranch(Exception):
    """A revision cannot be measured."""


def done(command: Sequence[str], seconds: float, what: str, cwd: Path = PROJECT) -> str:
    """What C{command} printed; L{NoBranch} with its last words when it failed."""
    try:
        ended = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoBranch(f"{what}: {error}") from error
    if ended.returncode:
        last = (ended.stderr + ended.stdout).strip().splitlines()[-3:]
        raise NoBranch(f"{what}: {command[0]} ended with {ended.returncode}: {' '.join(last)}")
    return ended.stdout


def name_of(revision: str) -> str:
    """The revision as a name for tables and files."""
    return re.sub(r"[^\w.~^+-]", "-", revision)


def commit_of(revision: str, repository: Path = PROJECT) -> str:
    """The commit that C{revision} (a branch, a tag, HEAD~1, a hash) stands for now."""
    # --end-of-options: a revision that begins with a dash is no option
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    try:
        return done(command, GIT_SECONDS, "git", repository).strip()
    except NoBranch as error:
        raise NoBranch(f"no such revision: {revision} (git branch -a and git tag list them)") from error


@contextmanager
def worktree(commit: str, home: Path, repository: Path = PROJECT) -> Iterator[Path]:
    """C{commit} checked out in a new folder in C{home}, until the end of the block."""
    tree = home / commit[:12]
    try:
        done(["git", "worktree", "add", "--detach", "--quiet", str(tree), commit], GIT_SECONDS, "worktree", repository)
        yield tree
    finally:
        shutil.rmtree(tree, ignore_errors=True)
        # the folder is gone, so this forgets it
        subprocess.run(
            ["git", "worktree", "prune"], cwd=repository, capture_output=True, timeout=GIT_SECONDS, check=False
        )


# its environment


def environment_path(tree: Path, extras: Sequence[str]) -> Path:
    """Where the environment of C{tree} is kept: what it asks for, the extras and this Python decide."""
    content = hashlib.sha256((tree / "setup.cfg").read_bytes())
    content.update(" ".join([*sorted(extras), platform.python_version(), sys.executable]).encode())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lproxy"
    return cache / f"environment-{content.hexdigest()[:16]}"


def environment(tree: Path, extras: Sequence[str] = ()) -> Path:
    """The Python of an environment with what C{tree} needs and the packages C{extras}; made if there is none yet."""
    if not (tree / "setup.cfg").exists():
        raise NoBranch("it has no setup.cfg, so its dependencies are unknown")
    path = environment_path(tree, extras)
    python = path / "bin" / "python"
    if (path / COMPLETE).exists():
        return python
    shutil.rmtree(path, ignore_errors=True)
    print(f"making an environment in {path} (once for each setup.cfg; about a minute)", flush=True)
    done([sys.executable, "-m", "venv", str(path)], INSTALL_SECONDS, "venv")
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    done([*pip, "install", "--editable", str(tree), *extras], INSTALL_SECONDS, "pip", tree)
    # it would point to a folder that is about to go
    done([*pip, "uninstall", "--yes", "lproxy"], INSTALL_SECONDS, "pip", path)
    (path / COMPLETE).touch()
    return python


# as proxies under test


@dataclass(frozen=True)
class Branch:
    """A revision that is ready to run."""

    revision: str
    commit: str
    tree: Path
    python: Path

    def command(self, setting: Setting) -> list[str]:
        """Started in its tree, which Python then looks into first."""
        config = str(lproxy_config(setting).absolute())
        return ["env", "-C", str(self.tree), str(self.python), "-m", "twisted", "lproxy", "--config", config]

    def peer(self) -> Peer:
        version = f"lproxy {self.revision} ({self.commit[:12]})"
        return Peer(
            name_of(self.revision),
            lambda: None,
            self.command,
            EVERY | OBSERVED,
            version=lambda: version,
            ours=True,
            product=LPROXY,
            reactor="epoll",
        )


@contextmanager
def branches(
    revisions: Sequence[str], taken: Sequence[str] = (), extras: Sequence[str] = (), repository: Path = PROJECT
) -> Iterator[list[Peer]]:
    """
    A proxy under test for each of C{revisions}, until the end of the block.

    All names are looked at before anything is made; C{taken} are those of other proxies. C{extras} are packages to
    install beside what a revision needs, like uvloop.
    """
    names = [name_of(revision) for revision in revisions]
    for name, revision in zip(names, revisions, strict=True):
        if names.count(name) > 1 or name in taken:
            raise NoBranch(f"--branch {revision}: there is another proxy called {name}")
    commits = [commit_of(revision, repository) for revision in revisions]
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lproxy-branches-")))
        trees: dict[str, Path] = {}
        found = []
        for revision, commit in zip(revisions, commits, strict=True):
            try:
                if commit not in trees:
                    trees[commit] = stack.enter_context(worktree(commit, home, repository))
                python = environment(trees[commit], extras)
            except NoBranch as error:
                raise NoBranch(f"--branch {revision}: {error}") from error
            found.append(Branch(revision, commit, trees[commit], python).peer())
        yield found
