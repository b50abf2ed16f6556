# -*- test-case-name: tests.test_stamp -*-
"""
Tests for L{lproxy.stamp}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stamp import stamp


class StampTests(SynchronousTestCase):
    """Of a file in a folder of its own."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        self.file = self.home / "file"
        self.file.write_text("one")
        self.before = stamp(str(self.file))

    def test_same(self) -> None:
        """As long as nobody writes, it stays."""
        self.assertEqual(self.before, stamp(str(self.file)))

    def test_written(self) -> None:
        """Other contents are another stamp."""
        self.file.write_text("three")
        self.assertNotEqual(self.before, stamp(str(self.file)))

    def test_replaced(self) -> None:
        """So is another file of its name, be it as long and as old."""
        other = self.home / "other"
        other.write_text("two")
        there = self.file.stat()
        os.utime(other, ns=(there.st_atime_ns, there.st_mtime_ns))
        other.rename(self.file)
        self.assertNotEqual(self.before, stamp(str(self.file)))

    def test_link(self) -> None:
        """A link is what it leads to."""
        link = self.home / "link"
        link.symlink_to(self.file)
        self.assertEqual(self.before, stamp(str(link)))

    def test_nothing(self) -> None:
        """What is not there, or has no possible name, has none."""
        self.assertIsNone(stamp(str(self.home / "none")))
        self.assertIsNone(stamp("a\0b"))
