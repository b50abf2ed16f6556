# -*- test-case-name: tests.stack.test_active -*-
"""
Tests for L{lproxy.stack.active}.
"""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.balancing import HealthCheck
from lproxy.errors import Bug, ProxyError, explain
from lproxy.stack.active import Checks
from lproxy.target import Endpoint
from lproxy.transport.connect import ConnectFailed

ENDPOINT = Endpoint("10.0.0.1", 80)
ERROR = ConnectFailed(ENDPOINT, "ECONNREFUSED")


class ChecksTests(SynchronousTestCase):
    """An endpoint that is asked every ten seconds, and has two to answer."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[None]] = []
        self.at: list[float] = []
        self.cancelled = 0
        self.told: list[ProxyError | None] = []
        check = HealthCheck(interval=10.0, timeout=2.0)
        self.checks = Checks(self.ask, ENDPOINT, check, self.clock, Random(4), self.told.append)

    def tearDown(self) -> None:
        """Once stopped there are no timers."""
        self.checks.stop()
        self.assertEqual([], self.clock.getDelayedCalls())

    def ask(self) -> Deferred[None]:
        asked: Deferred[None] = Deferred(self.cancel)
        self.asked.append(asked)
        self.at.append(self.clock.seconds())
        return asked

    def cancel(self, asked: Deferred[None]) -> None:
        self.cancelled += 1

    def run_for(self, seconds: float) -> None:
        for _ in range(int(seconds * 20)):
            self.clock.advance(0.05)

    def test_soon(self) -> None:
        """The first question comes at once, within a tenth of the interval."""
        self.run_for(1.05)
        self.assertEqual(1, len(self.asked))

    def test_outcomes(self) -> None:
        """Good and bad ones are told as they come."""
        self.run_for(1.05)
        self.asked.pop().callback(None)
        while not self.asked:
            self.run_for(0.05)
        self.asked.pop().errback(ERROR)
        self.assertEqual([None, ERROR], self.told)

    def test_jitter(self) -> None:
        """Between two questions is the interval, a tenth less or more, and not always the same."""
        for _ in range(2000):
            self.run_for(0.05)
            while self.asked:
                self.asked.pop().callback(None)
        waits = [b - a for a, b in zip(self.at, self.at[1:], strict=False)]
        self.assertTrue(all(8.9 < wait < 11.1 for wait in waits), waits)
        self.assertGreater(max(waits) - min(waits), 0.5)

    def test_too_late(self) -> None:
        """What is not answered in time is given up, told as such, and asked again."""
        self.run_for(3.1)
        self.assertEqual(1, self.cancelled)
        (error,) = self.told
        assert error is not None
        self.assertEqual("health: 10.0.0.1:80 did not answer a health check within 2 s", explain(error))
        self.run_for(11.0)
        self.assertEqual(2, len(self.asked))

    def test_mistake(self) -> None:
        """What nobody foresaw, raised at once or later, is no good outcome, and asking goes on."""
        self.run_for(1.05)
        self.asked.pop().errback(ZeroDivisionError())
        self.patch(self.checks, "_ask", lambda: 1 // 0)
        self.run_for(20.5)
        self.assertEqual([Bug] * 3, [type(error) for error in self.told])

    def test_stop(self) -> None:
        """Whoever is being asked is asked no more, and nobody is told."""
        self.run_for(1.05)
        self.checks.stop()
        self.run_for(60.0)
        self.assertEqual((1, 1, []), (len(self.asked), self.cancelled, self.told))

    def test_stopped_by_outcome(self) -> None:
        """It may be stopped by who is told."""
        self.run_for(1.05)
        self.patch(self.checks, "_tell", lambda error: self.checks.stop())
        self.asked.pop().callback(None)
        self.run_for(60.0)
        self.assertEqual([], self.asked)
