# -*- test-case-name: tests.stack.test_latency -*-
"""
L{lproxy.stack.latency}: how long an endpoint takes.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.latency import DECAY, MOST, NOISE, UNKNOWN, Latency


class LatencyTests(SynchronousTestCase):
    """One endpoint, whose clock stands at 100, after a first answer."""

    def setUp(self) -> None:
        self.latency = Latency(100.0)
        self.latency.took(0.001, 100.0)

    def level(self, now: float) -> float:
        return round(self.latency.level(now) - NOISE, 4)

    def test_new(self) -> None:
        """One that has answered nothing yet is a guess; so is one that did so once, as it was cold then."""
        self.latency = Latency(100.0)
        for seconds in (0.9, 0.002):
            self.assertEqual((UNKNOWN, 0), (self.level(100.0), self.latency.known))
            self.latency.took(seconds, 100.0)
        self.assertEqual((0.002, 1), (self.level(100.0), self.latency.known))

    def test_failed(self) -> None:
        """To fail soon is not to be quick: it is no better for it than it was; to fail late is as bad as to be late."""
        self.latency.took(0.2, 100.0)
        for n in range(100):
            self.latency.failed(0.001, 100.0 + n)
        self.assertEqual(0.2, self.level(199.0))
        self.latency.failed(0.5, 200.0)
        self.assertEqual(0.5, self.level(200.0))

    def test_peak(self) -> None:
        """Bad news are believed at once, good news with time."""
        self.latency.took(0.5, 100.0)
        self.assertEqual(0.5, self.latency.seconds)
        self.latency.took(0.001, 100.1)
        self.assertTrue(0.49 < self.latency.seconds < 0.5, self.latency)
        for n in range(100):
            self.latency.took(0.001, 100.1 + n)
        self.assertTrue(self.latency.seconds < 0.002, self.latency)

    def test_forgets(self) -> None:
        """While nobody asks it falls, so that whoever was slow is asked again."""
        self.latency.took(1.0, 100.0)
        self.assertEqual([1.0, 0.3679, 0.0025], [self.level(100.0 + n * DECAY) for n in (0, 1, 6)])

    def test_most(self) -> None:
        """A long poll does not keep others away for minutes."""
        self.latency.took(3600.0, 100.0)
        self.assertEqual(MOST, self.latency.seconds)

    def test_clock(self) -> None:
        """A clock that stands still or goes back changes nothing."""
        self.latency.took(0.2, 100.0)
        self.latency.took(0.1, 90.0)
        self.assertEqual((0.2, 0.2), (self.latency.seconds, self.level(50.0)))
