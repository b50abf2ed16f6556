# -*- test-case-name: tests.benchmark.test_compiled -*-
"""
The compiled build of the lproxy in this folder as one more proxy under test, beside the sources as they stand.

A wheel is built with C{LPROXY_COMPILE=1} and unpacked into the cache folder; it is built again when a source or a
setting of the build has changed. The proxy is started there, by the Python and with the packages that the pure one
runs on, so that what differs between the two is the build alone.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from benchmark.peer import LPROXY, OURS, Peer, Setting
from benchmark.peers import lproxy_config, lproxy_missing, lproxy_version
from benchmark.process import PROJECT, ProcessFailed

NAME = "lproxy-compiled"
BUILD_SECONDS = 1800.0
#: what the wheel is made from, beside lproxy's modules
SETTINGS = ("setup.cfg", "setup.py", "pyproject.toml", "backend/lproxy_build.py")
#: in the environment: a wheel of these very sources that somebody has built already
WHEEL = "LPROXY_COMPILED_WHEEL"
#: a file made when all is there, with the digest of what it was made from and the project's path, a line each
COMPLETE = "complete"


def place(project: Path = PROJECT) -> Path:
    """Where the compiled lproxy of C{project} is kept, for this Python."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lproxy"
    whose = f"{project} {platform.python_version()} {sys.executable}"
    return cache / f"compiled-{hashlib.sha256(whose.encode()).hexdigest()[:16]}"


def digest(project: Path = PROJECT) -> str:
    """Of every file that the wheel is made from."""
    found = hashlib.sha256()
    for path in [project / name for name in SETTINGS] + sorted((project / "lproxy").rglob("*.py")):
        found.update(f"{path.relative_to(project)}\0{path.read_text()}\0".encode())
    return found.hexdigest()


def ensure(project: Path = PROJECT) -> Path:
    """The folder that holds it, built now unless that was done; this needs a compiler, the network and some minutes."""
    path, wanted = place(project), f"{digest(project)}\n{project}\n"
    complete = path / COMPLETE
    if complete.exists() and complete.read_text() == wanted:
        return path
    shutil.rmtree(path, ignore_errors=True)
    forget(path.parent)
    with tempfile.TemporaryDirectory(prefix="lproxy-compiled-") as out:
        wheel = os.environ.get(WHEEL)
        if wheel is None:
            print(f"compiling lproxy into {path} (once for each state of the sources; some minutes)", flush=True)
            build(project, out)
            (wheel,) = map(str, Path(out).glob("*.whl"))
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(path)
    complete.write_text(wanted)
    return path


def forget(cache: Path) -> None:
    """Remove from the folder C{cache} what belongs to projects that are gone: worktrees, CI's copies."""
    for complete in cache.glob(f"compiled-*/{COMPLETE}"):
        if not Path(complete.read_text().splitlines()[1]).exists():
            shutil.rmtree(complete.parent, ignore_errors=True)


def build(project: Path, out: str) -> None:
    """Build the compiled wheel of C{project} into C{out}."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*pip, "wheel", "--no-deps", "-w", out, str(project)],
            cwd=out,
            env=os.environ | {"LPROXY_COMPILE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessFailed(f"it took over {BUILD_SECONDS:.0f} s to compile lproxy") from error
    if done.returncode:
        raise ProcessFailed(f"lproxy does not compile:\n{(done.stdout + done.stderr)[-2000:]}")


def missing() -> str | None:
    """Why there is no compiled lproxy to measure; None once there is one, for it is built now."""
    if lack := lproxy_missing():
        return lack
    try:
        ensure()
    except ProcessFailed as error:
        return str(error)
    return None


def command(setting: Setting) -> list[str]:
    """Started where it was unpacked, where Python looks first."""
    config = str(lproxy_config(setting).absolute())
    return ["env", "-C", str(place()), sys.executable, "-m", "twisted", "lproxy", "--config", config]


PEER = Peer(
    NAME,
    missing,
    command,
    OURS,
    version=lambda: f"{lproxy_version()}, compiled",
    ours=True,
    product=LPROXY,
    reactor="epoll",
)
