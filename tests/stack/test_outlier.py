# -*- test-case-name: tests.stack.test_outlier -*-
"""
Tests for L{lproxy.stack.outlier}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.outlier import Tally


class TallyTests(SynchronousTestCase):
    """A window of ten seconds, of which 20 answers say something, half of them bad."""

    def setUp(self) -> None:
        self.tally = Tally()

    def bad(self, began: float, now: float) -> None:
        self.tally.answered_badly(began, now, 10.0)

    def tallied(self, asked: int, bad: int) -> Tally:
        tally = Tally()
        tally.asked, tally.bad = asked, bad
        return tally

    def test_counts(self) -> None:
        """A bad answer begins the count; requests that were sent later make it up."""
        self.bad(100.0, 100.5)
        self.assertEqual((0, 0), (self.tally.asked, self.tally.bad))
        for n in range(20):
            self.bad(101.0 + n / 10, 101.5 + n / 10)
        self.assertEqual((20, 20), (self.tally.asked, self.tally.bad))

    def test_one_mishap(self) -> None:
        """A hundred that were under way together are no part of it."""
        for _ in range(100):
            self.bad(100.0, 101.0)
        self.assertEqual((0, 0), (self.tally.asked, self.tally.bad))

    def test_window(self) -> None:
        """After the window, a bad answer begins it anew; so does a clock that was set back."""
        for now in (110.1, 50.0):
            self.bad(99.0, 100.0)
            self.bad(100.0, 101.0)
            self.bad(now - 0.1, now)
            self.assertEqual((0, now), (self.tally.asked, self.tally.since))

    def test_stands_out(self) -> None:
        """Enough answers, enough of them bad, and twice as many as elsewhere."""
        for asked, bad, others, out in (
            (20, 10, (100, 0), True),
            (20, 9, (100, 0), False),
            (19, 19, (100, 0), False),
            (20, 20, (0, 0), True),
            (20, 20, (100, 50), True),
            (20, 12, (100, 50), False),
            (1000, 900, (100, 90), False),
        ):
            tally = self.tallied(asked, bad)
            self.assertEqual(out, tally.stands_out(0.5, 20, [tally, self.tallied(*others)]), (asked, bad, others))

    def test_off(self) -> None:
        """Where no part is set, none is."""
        self.assertFalse(self.tallied(100, 100).stands_out(None, 20, []))
