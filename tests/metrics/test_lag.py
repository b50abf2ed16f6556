# -*- test-case-name: tests.metrics.test_lag -*-
"""
L{lproxy.metrics.lag}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.counters import Histogram
from lproxy.metrics.lag import INTERVAL, ReactorLag


class ReactorLagTests(SynchronousTestCase):
    """A timer that knows when it was due."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.histogram = Histogram((0.01, 0.1, 1.0))
        self.lag = ReactorLag(self.clock, self.histogram)
        self.lag.start()

    def test_in_time(self) -> None:
        """A reactor that is not busy is late by nothing, again and again."""
        for _ in range(10):
            self.clock.advance(INTERVAL)
        self.assertEqual([10, 0, 0, 0], self.histogram.counts)
        self.assertAlmostEqual(0.0, self.histogram.total)

    def test_late(self) -> None:
        """A timer that fires late is observed with its lateness, once, and the next is due an interval later."""
        self.clock.advance(INTERVAL + 0.5)
        self.assertEqual([0, 0, 1, 0], self.histogram.counts)
        self.assertAlmostEqual(0.5, self.histogram.total)
        self.clock.advance(INTERVAL)
        self.assertEqual([1, 0, 1, 0], self.histogram.counts)

    def test_clock_set_back(self) -> None:
        """A clock that is set back makes no timer early."""
        self.clock.rightNow -= 3600.0
        self.clock.getDelayedCalls()[0].reset(0)
        self.clock.advance(0)
        self.assertEqual(([1, 0, 0, 0], 0.0), (self.histogram.counts, self.histogram.total))

    def test_stop(self) -> None:
        """Nothing is left, however often it is stopped; nor was there anything before the start."""
        self.clock.advance(INTERVAL)
        for _ in range(2):
            self.lag.stop()
            self.assertEqual([], self.clock.getDelayedCalls())
        ReactorLag(self.clock, self.histogram).stop()

    def test_start_again(self) -> None:
        """There is one timer, however often it is started, and it can be started anew."""
        self.lag.start()
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.lag.stop()
        self.lag.start()
        self.clock.advance(INTERVAL)
        self.assertEqual(1, sum(self.histogram.counts))
