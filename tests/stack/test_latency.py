# -*- test-case-name: tests.stack.test_latency -*-
"""
L{lproxy.stack.latency}: how long an endpoint takes.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.latency import DECAY, MOST, UNKNOWN, Latency


class LatencyTests(SynchronousTestCase):
    """One endpoint, whose clock stands at 100."""

    def setUp(self) -> None:
        self.latency = Latency(100.0)

    def cost(self, load: int, now: float) -> float:
        return round(self.latency.cost(load, now), 4)

    def test_new(self) -> None:
        """One that has answered nothing yet is worth a try, and no more than one: that, and others, are a guess."""
        self.assertEqual([0.0, UNKNOWN, 2 * UNKNOWN], [self.cost(load, 100.0) for load in (0, 1, 2)])

    def test_load(self) -> None:
        """Whoever comes waits for those who are there."""
        self.latency.took(0.02, 100.0)
        self.assertEqual([0.02, 0.04, 0.1], [self.cost(load, 100.0) for load in (0, 1, 4)])

    def test_failed(self) -> None:
        """To fail soon is not to be quick: it is no better for it than it was; to fail late is as bad as to be late."""
        self.latency.took(0.2, 100.0)
        for n in range(100):
            self.latency.failed(0.001, 100.0 + n)
        self.assertEqual(0.2, self.cost(0, 199.0))
        self.latency.failed(0.5, 200.0)
        self.assertEqual(0.5, self.cost(0, 200.0))

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
        self.assertEqual([1.0, 0.3679, 0.0025], [self.cost(0, 100.0 + n * DECAY) for n in (0, 1, 6)])

    def test_most(self) -> None:
        """A long poll does not keep others away for minutes."""
        self.latency.took(3600.0, 100.0)
        self.assertEqual(MOST, self.latency.seconds)

    def test_idle(self) -> None:
        """However long nobody asked, requests that are under way count."""
        now = 100.0 + 1e6
        self.assertTrue(self.latency.cost(0, now) < self.latency.cost(1, now))

    def test_clock(self) -> None:
        """A clock that stands still or goes back changes nothing."""
        self.latency.took(0.2, 100.0)
        self.latency.took(0.1, 90.0)
        self.assertEqual((0.2, 0.2), (self.latency.seconds, self.cost(0, 50.0)))
