# -*- test-case-name: tests.metrics.test_caps -*-
"""
L{lproxy.metrics.caps}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.caps import LONGEST, OTHER, Cap


class CapTests(SynchronousTestCase):
    """No label is without a bound."""

    def test_most(self) -> None:
        """So many values have a place, and keep it; all further ones are other."""
        cap = Cap(3)
        self.assertEqual(["0", "1", "2", OTHER, "0", OTHER], [cap(str(n)) for n in (0, 1, 2, 3, 0, 4)])
        self.assertEqual({"0", "1", "2"}, cap.values)

    def test_other(self) -> None:
        """A peer that is called other takes no place."""
        cap = Cap(1)
        self.assertEqual([OTHER, "a", OTHER], [cap(OTHER), cap("a"), cap("b")])

    def test_long(self) -> None:
        """A client that names a host of 8 KiB does not get to keep it."""
        cap = Cap(1)
        self.assertEqual("h" * LONGEST, cap("h" * 8_000))
        self.assertEqual("h" * LONGEST, cap("h" * 9_000))
