# -*- test-case-name: tests.app.test_watch -*-
"""
Tests for L{lproxy.app.watch}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.watch import INTERVAL, FileWatch
from lproxy.stamp import NEVER, stamp


class WatchTests(SynchronousTestCase):
    """A file in a folder of its own."""

    def setUp(self) -> None:
        self.clock, self.written = Clock(), 0
        self.home = Path(self.mktemp())
        self.home.mkdir()
        self.file = self.home / "lproxy.toml"
        self.write("one")
        self.changes: list[str] = []
        self.watch = FileWatch(str(self.file), self.changed, self.clock)
        self.watch.set(True)
        self.addCleanup(self.watch.set, False)

    def changed(self) -> None:
        self.changes.append(self.file.read_text())

    def write(self, text: str, file: Path | None = None) -> None:
        """Write it, at a time of its own: file systems' clocks are slower than tests."""
        (file or self.file).write_text(text)
        self.written += 1
        os.utime(file or self.file, ns=(self.written, self.written))

    def looks(self, count: int = 1) -> list[str]:
        """What was read by so many looks."""
        for _ in range(count):
            self.clock.advance(INTERVAL)
        return self.changes

    def test_unchanged(self) -> None:
        """Nothing is read."""
        self.assertEqual([], self.looks(5))

    def test_changed(self) -> None:
        """What was written is read once, when two looks have seen the same."""
        self.write("two")
        self.assertEqual([], self.looks(1))
        self.assertEqual(["two"], self.looks(5))

    def test_half(self) -> None:
        """A file that is still being written is not read."""
        for n in range(5):
            self.write("x" * n)
            self.assertEqual([], self.looks(1))
        self.write("whole")
        self.assertEqual(["whole"], self.looks(2))

    def test_renamed(self) -> None:
        """One that another is renamed over is another, though it is as long and as old."""
        new = self.home / "new"
        new.write_text("two")
        stat = self.file.stat()
        os.utime(new, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
        new.rename(self.file)
        self.assertEqual(["two"], self.looks(2))

    def test_linked(self) -> None:
        """So is what a link leads to, however many links there are in between: a volume of Kubernetes."""
        for name in "1", "2":
            (self.home / name).mkdir()
            self.write(name, self.home / name / "lproxy.toml")
        data = self.home / "..data"
        data.symlink_to("1")
        self.file.unlink()
        self.file.symlink_to("..data/lproxy.toml")
        self.assertEqual(["1"], self.looks(2))
        other = self.home / "..tmp"
        other.symlink_to("2")
        other.rename(data)
        self.assertEqual(["1", "2"], self.looks(2))

    def test_gone(self) -> None:
        """One that is not there changes nothing; when it is back as it was, nothing has changed."""
        self.file.unlink()
        self.assertEqual([], self.looks(5))
        self.write("two")
        self.assertEqual(["two"], self.looks(2))

    def test_known(self) -> None:
        """What was written between the file's first reading and the first look is not missed."""
        late = FileWatch(str(self.file), self.changed, self.clock, stamp(str(self.file)))
        self.write("two")
        late.set(True)
        self.addCleanup(late.set, False)
        self.watch.set(False)
        self.assertEqual(["two"], self.looks(3))

    def test_never(self) -> None:
        """A file of which nobody knows what was read is read."""
        self.watch.set(False)
        late = FileWatch(str(self.file), self.changed, self.clock, NEVER)
        late.set(True)
        self.addCleanup(late.set, False)
        self.assertEqual(["one"], self.looks(3))

    def test_off(self) -> None:
        """Turned off nobody looks; turned on, what is there is what is known."""
        self.watch.set(True)
        self.watch.set(False)
        self.watch.set(False)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.write("two")
        self.watch.set(True)
        self.assertEqual([], self.looks(3))
