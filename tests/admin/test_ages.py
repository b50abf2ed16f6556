# -*- test-case-name: tests.admin.test_ages -*-
"""
L{lproxy.admin.ages}: times in words.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin.ages import span, took


class AgesTests(SynchronousTestCase):
    """Long and short."""

    def test_span(self) -> None:
        """A time, by its two largest units."""
        spans = {3.2: "3 s", 61: "1 min 1 s", 3_660: "1 h 1 min", 90_000: "1 d 1 h", -61: "-1 min 1 s"}
        self.assertEqual(spans, {seconds: span(seconds) for seconds in spans})

    def test_took(self) -> None:
        """A wait, as exactly as it matters."""
        waits = {0.0: "0 ms", 0.0123: "12.3 ms", 1.5: "1.5 s", 12.34: "12.3 s"}
        self.assertEqual(waits, {seconds: took(seconds) for seconds in waits})
