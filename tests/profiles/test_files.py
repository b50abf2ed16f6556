# -*- test-case-name: tests.profiles.test_files -*-
"""
Files, and when they are read.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profiles.files import PATIENCE, Watched, found
from lproxy.profiles.read import MAX_FILE, Within
from tests.profiles.case import SP

ROUTES = "  routes: [{name: a, condition: {method: GET}}]\n"


class FoundTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        (self.folder / "sub").mkdir(parents=True)
        for name in ("b.yaml", "a.yml", "c.json", "d.txt", ".e.yaml", "sub/f.yaml"):
            (self.folder / name).touch()

    def test_patterns(self) -> None:
        """Files, all that are right in a folder, and patterns; each once, those of a pattern in order."""
        folder = str(self.folder)
        for patterns, names in (
            ((f"{folder}/d.txt",), ["d.txt"]),
            ((folder,), ["a.yml", "b.yaml", "c.json"]),
            ((f"{folder}/*.y*",), ["a.yml", "b.yaml"]),
            ((f"{folder}/**/*.yaml",), ["b.yaml", "sub/f.yaml"]),
            ((f"{folder}/c.json", folder), ["c.json", "a.yml", "b.yaml"]),
            ((f"{folder}/gone.yaml",), ["gone.yaml"]),
        ):
            paths, problems = found(patterns)
            self.assertEqual([f"{folder}/{name}" for name in names], paths)
            self.assertEqual([], problems)

    def test_folder_away(self) -> None:
        """Of a folder that is not there for the moment, the files are those that were in it."""
        folder, folders = str(self.folder), dict[str, list[str]]()
        before, _ = found([folder], folders)
        self.folder.rename(away := self.folder.with_suffix(".away"))
        after, (problem,) = found([folder], folders)
        self.assertEqual((before, f"{folder}: cannot be listed: No such file or directory"), (after, str(problem)))
        away.rename(self.folder)
        (self.folder / "b.yaml").unlink()
        after, problems = found([folder], folders)
        self.assertEqual((len(before) - 1, []), (len(after), problems))

    def test_nothing(self) -> None:
        """A folder, or a pattern, in which there is nothing is a warning."""
        (self.folder / "empty").mkdir()
        paths, problems = found([f"{self.folder}/empty", f"{self.folder}/*.x"])
        self.assertEqual([], paths)
        self.assertEqual(
            [
                f"{self.folder}/empty: warning: has no file that ends in .yaml, .yml, .json",
                f"{self.folder}/*.x: warning: fits no file",
            ],
            [str(one) for one in problems],
        )


class WatchedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.write_text(SP + ROUTES)
        self.watched = Watched(str(self.path))
        self.turns = 0

    def look(self, insist: bool = False) -> bool:
        """Whether it was read."""
        if not self.watched.look(insist):
            return False
        before = self.watched.latest
        for _ in self.watched.read(Within()):
            pass
        return self.watched.latest is not before

    def write(self, text: str) -> None:
        """In place, at another time each."""
        self.path.write_text(text)
        self.turns += 1
        os.utime(self.path, ns=(self.turns, self.turns))

    def replace(self, text: str) -> None:
        other = self.path.with_suffix(".new")
        other.write_text(text)
        other.rename(self.path)

    def error(self) -> str:
        assert self.watched.latest is not None
        return str(self.watched.latest.problems[0])

    def test_unchanged(self) -> None:
        """What is as it was is not read again."""
        self.assertTrue(self.look(insist=True))
        for _ in range(3):
            self.assertFalse(self.look())
        self.assertFalse(self.watched.pending)

    def test_settles(self) -> None:
        """What has changed is read when it keeps still from one look to the next, and is pending until then."""
        self.look(insist=True)
        self.write(SP)
        self.assertEqual((False, True), (self.look(), self.watched.pending))
        self.assertEqual((True, False), (self.look(), self.watched.pending))

    def test_written_to_all_the_time(self) -> None:
        """What is written to in place is never read half written, however long that goes on."""
        self.look(insist=True)
        for n in range(PATIENCE * 3):
            self.assertEqual(n > PATIENCE * 2, self.watched.restless)
            self.write(SP + f"# {n}")
            self.assertFalse(self.look())
        self.assertTrue(self.look())
        self.assertFalse(self.watched.restless)

    def test_replaced_all_the_time(self) -> None:
        """What is replaced by renaming is whole each time, and so is read now and then."""
        self.look(insist=True)
        read = 0
        kept = []
        for n in range(PATIENCE * 3):
            kept.append(open(self.path))  # noqa: SIM115 - its inode is nobody else's meanwhile
            self.replace(SP + f"  # {n}\n")
            read += self.look()
        for one in kept:
            one.close()
        self.assertGreaterEqual(read, 2)

    def test_written_to_meanwhile(self) -> None:
        """What is written to while it is read is not used."""
        self.look(insist=True)
        before = self.watched.latest
        self.write(SP)
        self.look()
        self.assertTrue(self.watched.look())
        read_bytes = Path.read_bytes

        def busy(path: Path) -> bytes:
            content = read_bytes(path)
            self.write(SP + ROUTES)
            return content

        self.patch(Path, "read_bytes", busy)
        self.assertEqual([], list(self.watched.read(Within())))
        self.assertIs(before, self.watched.latest)
        self.assertTrue(self.watched.pending)

    def test_links(self) -> None:
        """A link that is swapped, as in Kubernetes' volumes, is a change."""
        folder = Path(self.mktemp())
        for version in ("1", "2"):
            (folder / version).mkdir(parents=True)
            (folder / version / "web.yaml").write_text(SP + f"# {version}")
        (folder / "data").symlink_to("1")
        (folder / "web.yaml").symlink_to("data/web.yaml")
        self.watched = Watched(str(folder / "web.yaml"))
        self.look(insist=True)
        (folder / "new").symlink_to("2")
        (folder / "new").rename(folder / "data")
        self.assertEqual((False, True), (self.look(), self.look()))

    def test_unreadable(self) -> None:
        """What is not there, is no file, or is too long, is not read, and that is said."""
        os.mkfifo(fifo := self.mktemp())
        long = Path(self.mktemp())
        with long.open("wb") as file:
            file.truncate(10_000_000)
        for path, says in (
            (self.mktemp(), "cannot be read: No such file or directory"),
            (fifo, "cannot be read: is no file"),
            (".", "cannot be read: is no file"),
            ("a\0b", "cannot be read: embedded null byte"),
            (str(long), f"is 10000000 bytes long, and {MAX_FILE} are the most"),
        ):
            self.watched = Watched(path)
            self.assertTrue(self.look(insist=True))
            self.assertIn(says, self.error())
            self.assertFalse(self.look())
