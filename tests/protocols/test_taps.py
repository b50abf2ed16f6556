# -*- test-case-name: tests.protocols.test_taps -*-
"""
L{lproxy.protocols.taps}: whoever watches what ends.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.taps import Taps


class TapsTests(SynchronousTestCase):
    """Those who watch."""

    def test_told(self) -> None:
        """All are told, from when they come until they go; without any, nothing is on."""
        taps, first, second = Taps(), list[Any](), list[Any]()
        self.assertFalse(taps.on)
        taps.add(first.append)
        taps({"n": 1})
        taps.add(second.append)
        taps({"n": 2})
        taps.remove(first.append)
        taps.remove(first.append)
        self.assertTrue(taps.on)
        taps({"n": 3})
        taps.remove(second.append)
        self.assertEqual(([1, 2], [2, 3], False), ([row["n"] for row in first], [row["n"] for row in second], taps.on))
