# -*- test-case-name: tests.stack.test_health -*-
"""
Tests for L{lproxy.stack.health}.
"""

from __future__ import annotations

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.backoff import Backoff
from lproxy.stack.health import BACKOFF, HEALTHY, PROBING, EndpointHealth, Ward
from lproxy.target import Endpoint
from lproxy.transport.connect import ConnectFailed, OutOfDescriptors

ERROR = ConnectFailed(Endpoint("10.0.0.1", 80), "ECONNREFUSED")


class HealthTests(SynchronousTestCase):
    """One endpoint among others."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.ward = Ward(self.clock, Backoff(1.0, 60.0, Random(3)))
        self.health = EndpointHealth(self.ward)

    def attempt(self) -> float:
        return self.clock.seconds()

    def backoff(self) -> float:
        return self.health.retry_at - self.clock.seconds()

    def test_healthy(self) -> None:
        """Until it fails it is healthy, and counts as such; to succeed is nothing new."""
        self.health.succeeded()
        self.assertEqual((HEALTHY, 0), (self.health.state, self.ward.unhealthy))
        self.assertFalse(self.health.due(self.clock.seconds()))

    def test_concurrent(self) -> None:
        """A hundred attempts that fail together are one failure: one step of backoff, and the latest error is known."""
        for _ in range(5):
            began = [self.attempt() for _ in range(100)]
            self.clock.advance(0.3)
            before = self.health.failures
            for one in began:
                self.health.attempt_failed(ERROR, one)
            last = ConnectFailed(ERROR.target, "EPIPE")
            self.health.failed(last)
            self.assertEqual((before + 1, 1, last), (self.health.failures, self.ward.unhealthy, self.health.last_error))
            self.clock.advance(self.backoff())
        self.assertEqual(5, self.health.failures)

    def test_not_its_fault(self) -> None:
        """What the endpoint cannot help, as that we have no descriptor left, is remembered and not held against it."""
        for n in range(100):
            error = OutOfDescriptors(ERROR.target, "EMFILE")
            self.health.attempt_failed(error, self.attempt())
            self.clock.advance(n)
        self.assertEqual((HEALTHY, 0, error), (self.health.state, self.ward.unhealthy, self.health.last_error))

    def test_grows_with_time(self) -> None:
        """A blip under load makes for one short backoff, however many requests run into it, and however often."""
        for _ in range(1000):
            self.health.attempt_failed(ERROR, self.attempt())
            self.clock.advance(0.0001)
        self.assertLess(self.backoff(), 1.0)
        self.assertEqual(1, self.health.failures)

    def test_row_of_failures(self) -> None:
        """One after the other, each after its backoff, they are passed over longer and longer, but not without end."""
        delays = []
        for _ in range(12):
            self.health.attempt_failed(ERROR, self.attempt())
            delays.append(self.backoff())
            self.clock.advance(self.backoff())
        for n, delay in enumerate(delays):
            longest = min(60.0, 2.0**n)
            self.assertTrue(longest / 2 <= delay <= longest, delays)

    def test_probe(self) -> None:
        """When its backoff is over one probe is due, and no second while that is under way; well or badly it ends."""
        self.health.attempt_failed(ERROR, self.attempt())
        self.assertFalse(self.health.due(self.clock.seconds()))
        self.clock.advance(self.backoff())
        self.assertTrue(self.health.due(self.clock.seconds()))
        self.health.probe()
        self.assertEqual((PROBING, False), (self.health.state, self.health.due(self.clock.seconds())))
        began = self.attempt()
        self.clock.advance(0.1)
        self.health.attempt_failed(ERROR, began)
        self.assertEqual((BACKOFF, 2, 1), (self.health.state, self.health.failures, self.ward.unhealthy))
        self.clock.advance(self.backoff())
        self.health.probe()
        self.health.succeeded()
        self.assertEqual((HEALTHY, 0, 0), (self.health.state, self.health.failures, self.ward.unhealthy))

    def test_probe_given_up(self) -> None:
        """A probe whose client goes away says nothing: another is due."""
        self.health.attempt_failed(ERROR, self.attempt())
        self.clock.advance(self.backoff())
        self.health.probe()
        self.health.probe_ended()
        self.assertTrue(self.health.due(self.clock.seconds()))
        self.health.succeeded()
        self.health.probe_ended()
        self.assertIs(HEALTHY, self.health.state)

    def test_stale(self) -> None:
        """An attempt from before the backoff that fails during a probe is old news."""
        old = self.attempt()
        self.clock.advance(0.1)
        self.health.attempt_failed(ERROR, self.attempt())
        self.clock.advance(self.backoff())
        self.health.probe()
        self.health.attempt_failed(ERROR, old)
        self.assertEqual((PROBING, 1), (self.health.state, self.health.failures))

    def test_gone(self) -> None:
        """An endpoint that is no longer one is not among the unhealthy."""
        self.health.failed(ERROR)
        self.health.gone()
        self.assertEqual(0, self.ward.unhealthy)

    def test_repr(self) -> None:
        """Its state can be seen."""
        self.health.failed(ERROR)
        self.assertRegex(repr(self.health), r"^<EndpointHealth backoff failures=1 retry_at=1000")
