"""
L{benchmark.folder}: where a session leaves what it found.
"""

import json
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

    def no_git(self, *words: object, **rest: object) -> None:
        raise FileNotFoundError("git")
