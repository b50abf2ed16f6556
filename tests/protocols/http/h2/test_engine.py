# -*- test-case-name: tests.protocols.http.h2.test_engine -*-
"""
Tests for L{lproxy.protocols.http.h2.engine}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.engine import NO_LENGTH, Head


class HeadTests(SynchronousTestCase):
    """Heads as they are handed over."""

    def test_own(self) -> None:
        """Each has a list of its own, and says nothing of length until something is known."""
        one, other = Head(), Head()
        one.fields.append((b"a", b"b"))
        self.assertEqual(([], NO_LENGTH, 0), (other.fields, other.length, other.seen))

    def test_shown(self) -> None:
        """It shows as a request or as an answer."""
        head = Head()
        head.method, head.path = b"GET", b"/x"
        self.assertEqual("<Head b'GET' b'' b'/x'>", repr(head))
        head.status = 204
        self.assertIn("204", repr(head))
