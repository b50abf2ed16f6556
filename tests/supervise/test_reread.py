# -*- test-case-name: tests.supervise.test_reread -*-
"""
Tests for L{lproxy.supervise.reread}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise.reread import reread


class RereadTests(SynchronousTestCase):
    """Whatever may stand where a file was."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        self.descriptors = len(os.listdir("/proc/self/fd"))
        self.addCleanup(lambda: self.assertEqual(self.descriptors, len(os.listdir("/proc/self/fd"))))

    def refused(self, why: str) -> None:
        error = self.assertRaises(OSError, reread, str(self.path), 10)
        self.assertIn(why, str(error.strerror))

    def test_file(self) -> None:
        """A file is read, but no more than is wanted."""
        self.path.write_bytes(b"0123456789ab")
        self.assertEqual(b"0123456789", reread(str(self.path), 10))

    def test_link(self) -> None:
        """A link is the file that it leads to."""
        self.path.symlink_to(__file__)
        self.assertEqual(b"# -*- test", reread(str(self.path), 10))

    def test_fifo(self) -> None:
        """Nobody waits for the writer of a FIFO."""
        os.mkfifo(self.path)
        self.refused("it is no regular file")

    def test_device(self) -> None:
        """Nor is a device read, which may never end."""
        self.path.symlink_to("/dev/zero")
        self.refused("it is no regular file")

    def test_folder(self) -> None:
        """A folder is called that."""
        self.path.mkdir()
        self.refused("Is a directory")

    def test_gone(self) -> None:
        """What is gone is said to be."""
        self.refused("No such file")
