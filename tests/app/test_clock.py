# -*- test-case-name: tests.app.test_clock -*-
"""
Tests for L{lproxy.app.clock}.
"""

from __future__ import annotations

import time

from twisted.internet.selectreactor import SelectReactor
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.clock import monotonic


class MonotonicTests(SynchronousTestCase):
    """A clock that is set does not matter."""

    def setUp(self) -> None:
        self.reactor = SelectReactor()
        self.addCleanup(self.close)
        self.fired: list[str] = []

    def close(self) -> None:
        for selectable in self.reactor.removeAll():
            selectable.connectionLost(None)

    def now(self) -> float:
        return time.monotonic()  # looked up anew, as the test changes it

    def at(self, hours: float) -> None:
        """The time of day is C{hours} later, the monotonic one a second."""
        day, steady = time.time() + hours * 3600, time.monotonic() + 1
        self.patch(time, "time", lambda: day)
        self.patch(time, "monotonic", lambda: steady)

    def test_jumps(self) -> None:
        """Neither a jump forwards nor one backwards fires a timer before its time, or keeps it from firing."""
        for hours in (3, -120):
            monotonic(self.reactor)
            self.reactor.seconds = self.now
            self.reactor.callLater(0.5, self.fired.append, "soon")
            later = self.reactor.callLater(60, self.fired.append, "later")
            self.at(hours)
            self.reactor.runUntilCurrent()
            self.assertEqual(["soon"], self.fired)
            self.fired.clear()
            later.cancel()

    def test_which(self) -> None:
        """It is the monotonic clock, on a reactor that has timed nothing yet; another's timers are not broken."""
        monotonic(self.reactor)
        self.assertIs(time.monotonic, self.reactor.seconds)
        other = SelectReactor()
        self.addCleanup(lambda: [s.connectionLost(None) for s in other.removeAll()])
        before = other.seconds
        other.callLater(1, list)
        monotonic(other)
        self.assertIs(before, other.seconds)
