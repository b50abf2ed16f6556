# -*- test-case-name: tests.protocols.tcp.test_detect -*-
"""
Tests for L{lproxy.protocols.tcp.detect}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Match
from lproxy.protocols.tcp.detect import detect


class DetectTests(SynchronousTestCase):
    """TCP is what is left."""

    def test_everything(self) -> None:
        """It matches whatever there is, and does not wait for it."""
        for prefix in (b"", b"\0", b"GET / HTTP/1.1\r\n"):
            self.assertEqual(Match(), detect(prefix))
