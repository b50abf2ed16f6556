# -*- test-case-name: tests.app.test_keylog -*-
"""
Tests for L{lproxy.app.keylog}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.keylog import KeyLogFile


class KeyLogFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()

    def test_lines(self) -> None:
        """Each secret is a line, after those of earlier runs; nobody else may read them; closed, it takes no more."""
        for line in (b"CLIENT_RANDOM a b", b"CLIENT_RANDOM c d"):
            file = KeyLogFile(self.path)
            file(line)
            file.close()
            file.close()
            file(b"late")
        self.assertEqual(b"CLIENT_RANDOM a b\nCLIENT_RANDOM c d\n", Path(self.path).read_bytes())
        self.assertEqual(0o600, os.stat(self.path).st_mode & 0o777)

    def test_told(self) -> None:
        """It is said where they are written."""
        file = KeyLogFile(self.path)
        with capturedLogs() as logs:
            file.tell()
        file.close()
        (line,) = map(formatEvent, logs)
        self.assertIn(f"the secrets of all TLS connections are written to {self.path}", line or "")

    def test_full(self) -> None:
        """What cannot be written costs no connection."""
        file = KeyLogFile("/dev/full")
        file(b"CLIENT_RANDOM a b")
        file.close()

    def test_cannot_be_opened(self) -> None:
        """That is for the start to say."""
        self.assertRaises(OSError, KeyLogFile, f"{self.path}/missing")
