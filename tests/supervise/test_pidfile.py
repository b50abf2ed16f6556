# -*- test-case-name: tests.supervise.test_pidfile -*-
"""
Tests for L{lproxy.supervise.pidfile}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise import pidfile


class PidfileTests(SynchronousTestCase):
    """A file in a folder of its own."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        self.file = self.home / "l.pid"

    def test_written(self) -> None:
        """It names this process, and there is no other file beside it."""
        pidfile.write(str(self.file))
        self.assertEqual(([self.file], str(os.getpid())), (list(self.home.iterdir()), self.file.read_text()))
        self.assertTrue(pidfile.ours(str(self.file)))

    def test_whole(self) -> None:
        """Whoever has opened it meanwhile still reads the process before: it is never empty."""
        self.file.write_text("1")
        with self.file.open() as before:
            pidfile.write(str(self.file))
            self.assertEqual("1", before.read())

    def test_folder_of_others(self) -> None:
        """Where the folder lets nobody write, the file that is there is written."""
        self.file.write_text("1")

        def refused(*args: object) -> None:
            raise PermissionError(13, "Permission denied")

        self.patch(os, "replace", refused)
        pidfile.write(str(self.file))
        self.assertEqual(str(os.getpid()), self.file.read_text())

    def test_cannot(self) -> None:
        """Where neither can be done, that is the caller's to tell."""
        self.assertRaises(FileNotFoundError, pidfile.write, str(self.home / "nowhere" / "l.pid"))

    def test_removed(self) -> None:
        """One's own is removed, and another's stays; one that is gone does no harm."""
        path = str(self.file)
        pidfile.remove(path)
        self.file.write_text("1")
        pidfile.remove(path)
        self.assertTrue(self.file.exists())
        pidfile.write(path)
        pidfile.remove(path)
        self.assertFalse(self.file.exists())
