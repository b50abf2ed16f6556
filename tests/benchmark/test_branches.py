"""
L{benchmark.branches}: git revisions as proxies under test.
"""

import builtins
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import branches
from benchmark.branches import NoBranch
from benchmark.peer import Ports, Setting
from benchmark.upstreams import Upstreams
from tests.components import require

SETUP = "[options]\ninstall_requires =\n    twisted\n"


class BranchesTests(SynchronousTestCase):
    """A repository of two commits; environments are folders without anything in them."""

    def setUp(self) -> None:
        require("git")
        self.home = Path(self.mktemp()).resolve()
        self.repository = self.home / "repository"
        self.repository.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch", "main")
        for number, name in enumerate(("setup.cfg", "later")):
            (self.repository / name).write_text(SETUP)
            self.git("add", ".")
            self.git("-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "-m", str(number))
        self.git("branch", "topic/one")
        self.made: list[Path] = []
        self.patch(branches, "environment", self.environment)

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.repository, check=True, capture_output=True, text=True)
        return done.stdout

    def environment(self, tree: Path, extras: object) -> Path:
        self.made.append(tree)
        return tree / "python"

    def left(self) -> list[str]:
        """The worktrees that the repository knows of besides its own."""
        lines = self.git("worktree", "list", "--porcelain").splitlines()
        return [line for line in lines if line.startswith("worktree ")][1:]

    def test_side_by_side(self) -> None:
        """Each revision is checked out, named after itself and started in its tree; nothing is left afterwards."""
        with branches.branches(["main", "main~1"], repository=self.repository) as (new, old):
            self.assertEqual(["main", "main~1"], [new.name, old.name])
            new_tree, old_tree = self.made
            self.assertEqual([True, False], [(tree / "later").exists() for tree in self.made])
            directory = Path(self.mktemp())
            directory.mkdir()
            assert old.command is not None
            command = old.command(Setting(directory, Ports(1, 2, 3, 4), Upstreams(11, 12, 13), 10))
            expected = ["env", "-C", str(old_tree), str(old_tree / "python"), "-m", "twisted", "lproxy", "--config"]
            self.assertEqual(expected, command[:-1])
            self.assertTrue(Path(command[-1]).is_absolute())
            self.assertTrue(old.ours)
            self.assertIn(self.git("rev-parse", "main~1")[:12], old.version())
        self.assertEqual(([], False, False), (self.left(), new_tree.exists(), old_tree.exists()))

    def test_same_commit(self) -> None:
        """Two names of one commit share its tree and are still two proxies."""
        with branches.branches(["main", "topic/one"], repository=self.repository) as found:
            self.assertEqual(["main", "topic-one"], [peer.name for peer in found])
            self.assertEqual(1, len(self.left()))

    def test_error_inside(self) -> None:
        """The trees go whatever goes wrong, the interrupt of a user included."""
        for wrong in (ValueError, KeyboardInterrupt):
            with self.assertRaises(wrong), branches.branches(["main"], repository=self.repository):
                self.assertEqual(1, len(self.left()))
                raise wrong
            self.assertEqual(([], False), (self.left(), self.made[-1].exists()))

    def test_no_environment(self) -> None:
        """A revision whose environment cannot be made is named, and no tree of the others stays."""

        def environment(tree: Path, extras: object) -> Path:
            raise NoBranch("no network")

        self.patch(branches, "environment", environment)
        with self.assertRaises(NoBranch) as caught, branches.branches(["main"], repository=self.repository):
            pass
        self.assertEqual(("--branch main: no network", []), (str(caught.exception), self.left()))

    def test_no_such_revision(self) -> None:
        """One line names a revision that does not exist, before anything is made; a dash does not make it an option."""
        for name in ("nonsense", "--all", "main~9", "main:later", ""):
            with self.assertRaises(NoBranch) as caught, branches.branches(["main", name], repository=self.repository):
                pass
            said = str(caught.exception)
            self.assertEqual((1, True), (len(said.splitlines()), said.startswith(f"no such revision: {name} ")))
        self.assertEqual([], self.made)

    def test_names_taken(self) -> None:
        """Two proxies of one name would write their results over each other."""
        for revisions, taken in ((["main", "main"], []), (["topic/one", "topic-one"], []), (["main"], ["main"])):
            with self.assertRaises(NoBranch) as caught, branches.branches(revisions, taken, (), self.repository):
                pass
            self.assertIn("another proxy", str(caught.exception))


class EnvironmentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tree = Path(self.mktemp())
        self.tree.mkdir()
        (self.tree / "setup.cfg").write_text(SETUP)
        self.patch(branches.os, "environ", {**branches.os.environ, "XDG_CACHE_HOME": self.mktemp()})
        self.patch(branches, "done", self.done)
        self.patch(builtins, "print", lambda *words, **rest: None)
        self.commands: list[list[str]] = []
        self.fails = ""

    def done(self, command: list[str], seconds: float, what: str, cwd: Path | None = None) -> str:
        self.commands.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)
        if self.fails and self.fails in command:
            raise NoBranch("no network")
        return ""

    def test_once(self) -> None:
        """An environment is made once for each setup.cfg, and lproxy itself is not kept in it."""
        first = branches.environment(self.tree, ["uvloop"])
        self.assertEqual(["venv", "install", "uninstall"], [self.verb(command) for command in self.commands])
        self.assertEqual(["--editable", str(self.tree), "uvloop"], self.commands[1][-3:])
        self.assertEqual("lproxy", self.commands[2][-1])
        self.assertEqual(first, branches.environment(self.tree, ["uvloop"]))
        self.assertEqual(3, len(self.commands))

    def verb(self, command: list[str]) -> str:
        return next(word for word in command if word in ("venv", "install", "uninstall"))

    def test_other(self) -> None:
        """Other dependencies are another environment, and so are other packages beside them."""
        found = {branches.environment_path(self.tree, []), branches.environment_path(self.tree, ["uvloop"])}
        (self.tree / "setup.cfg").write_text(SETUP + "    attrs\n")
        found.add(branches.environment_path(self.tree, []))
        self.assertEqual(3, len(found))

    def test_interrupted(self) -> None:
        """What was left half made is made anew."""
        self.fails = "install"
        self.assertRaises(NoBranch, branches.environment, self.tree)
        self.fails = ""
        branches.environment(self.tree)
        self.assertEqual(5, len(self.commands))

    def test_no_setup(self) -> None:
        """A revision from before setup.cfg says so."""
        (self.tree / "setup.cfg").unlink()
        self.assertIn("no setup.cfg", str(self.assertRaises(NoBranch, branches.environment, self.tree)))
