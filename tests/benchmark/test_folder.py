"""
L{benchmark.folder}: where a session leaves what it found.
"""

import json
import subprocess
from datetime import date
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import folder
from benchmark.session import Run

TODAY = date(2026, 11, 23)
LABELS: dict[str, str | int | float] = {"load": "http", "reactor": "epoll", "python": "", "target_per_s": "max"}
LABELS |= {"body_bytes": 20, "connections": 32}


class FolderTests(SynchronousTestCase):
    def test_names(self) -> None:
        """Each session of a day gets a folder of its own, named after day and branch."""
        out = Path(self.mktemp())
        names = [folder.new("feature/x y", TODAY, out).path.name for _ in range(3)]
        name = "2026-11-23-feature-x-y"
        self.assertEqual([name, f"{name}-2", f"{name}-3"], names)

    def test_not_over_results(self) -> None:
        """A folder with something in it is refused; an empty one may be used."""
        path = Path(self.mktemp())
        path.mkdir()
        folder.make(path)
        self.assertIn("not empty", str(self.assertRaises(FileExistsError, folder.make, path)))

    def test_a_file(self) -> None:
        """A file is no folder, and stays what it is; where one has a session's name, the next number is taken."""
        out = Path(self.mktemp())
        out.mkdir()
        (out / "2026-11-23-main").write_text("mine")
        self.assertRaises(FileExistsError, folder.make, out / "2026-11-23-main")
        self.assertEqual("2026-11-23-main-2", folder.new("main", TODAY, out).path.name)
        self.assertEqual("mine", (out / "2026-11-23-main").read_text())

    def test_in_the_way(self) -> None:
        """What stands where the folder of all sessions should be is an error, whatever the number."""
        dangling = Path(self.mktemp())
        dangling.symlink_to("nowhere")
        file = Path(self.mktemp())
        file.touch()
        for out in (dangling, file):
            self.assertRaises(OSError, folder.new, "main", TODAY, out)

    def test_parts(self) -> None:
        """The places of all parts are in it, wherever one may go later, and those that are written to at once exist."""
        into = folder.make(Path(self.mktemp()) / "a" / "b")
        self.assertTrue(into.path.is_absolute())
        self.assertTrue(all(path.is_dir() for path in (into.raw, into.proxies, into.path / "runs")))
        for path in (into.raw, into.proxies, into.profiles, into.summary, into.results):
            self.assertEqual(into.path, path.parent)

    def test_keep(self) -> None:
        """Every run has a file of its own; one that would be written over another fails."""
        into = folder.new("main", TODAY, Path(self.mktemp()))
        into.keep(Run("http", "lproxy", 1, {"p99_ms": 1.5}, labels=LABELS))
        into.keep(Run("http", "lproxy", 2, labels=LABELS))
        self.assertRaises(FileExistsError, into.keep, Run("http", "lproxy", 1, labels=LABELS))
        files = sorted((into.path / "runs").iterdir())
        self.assertEqual(
            ["http_lproxy_epoll_rmax_b20_c32_i1.json", "http_lproxy_epoll_rmax_b20_c32_i2.json"],
            [f.name for f in files],
        )
        self.assertEqual({"p99_ms": 1.5}, json.loads(files[0].read_text())["values"])

    def test_save(self) -> None:
        """All runs, failed ones included, with what is lacking."""
        into = folder.new("main", TODAY, Path(self.mktemp()))
        into.save(
            {"date": "today"}, {"http": {"metrics": []}}, [Run("http", "lproxy", 1, error="refused")], ["refused"]
        )
        found = json.loads(into.results.read_text())
        self.assertEqual((["refused"], "refused"), (found["lacking"], found["runs"][0]["error"]))

    def test_no_git(self) -> None:
        """Outside git there is no branch, and that is no reason to fail."""
        path = Path(self.mktemp())
        path.mkdir()
        self.patch(folder.subprocess, "run", self.no_git)
        self.assertEqual("checkout", folder.branch(path))

    def git(self, *answers: tuple[int, str]) -> str:
        """The branch where git says this, one thing after the other."""
        said = list(answers)

        def run(command: list[str], **rest: object) -> "subprocess.CompletedProcess[str]":
            self.assertEqual("git", command[0])
            return subprocess.CompletedProcess(command, *said.pop(0))

        self.patch(folder.subprocess, "run", run)
        return folder.branch()

    def test_branch(self) -> None:
        """The branch; the commit where none is checked out; and neither where this is no repository, or a new one."""
        self.assertEqual("feature/x", self.git((0, "feature/x\n")))
        self.assertEqual("1a2b3c4", self.git((1, ""), (0, "1a2b3c4\n")))
        self.assertEqual("checkout", self.git((128, ""), (128, "")))
        self.assertEqual("checkout", self.git((0, "\n"), (128, "HEAD\n")))

    def test_git_hangs(self) -> None:
        """A git that does not answer is no reason to fail."""

        def run(command: list[str], **rest: object) -> None:
            raise subprocess.TimeoutExpired(command, 20)

        self.patch(folder.subprocess, "run", run)
        self.assertEqual("checkout", folder.branch())

    def no_git(self, *words: object, **rest: object) -> None:
        raise FileNotFoundError("git")
