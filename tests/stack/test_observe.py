# -*- test-case-name: tests.stack.test_observe -*-
"""
Tests for L{lproxy.stack.observe}.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import ProxyError
from lproxy.metrics.counters import AcquireCounter
from lproxy.stack import observe
from lproxy.stack.failfast import FailedFast
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority
from lproxy.testing import ScriptedAcquire

TARGET = Authority("web.local", 80)


class ObserveTests(SynchronousTestCase):
    """Every acquisition is counted, once."""

    def setUp(self) -> None:
        self.clock, self.inner, self.counter = Clock(), ScriptedAcquire(), AcquireCounter()
        self.layer = observe.layer(self.counter, self.clock)(self.inner)

    def counts(self) -> dict[str, int]:
        """By outcome."""
        counts = {outcome: sum(histogram.counts) for outcome, histogram in self.counter.durations.items()}
        return {**counts, "ready": self.counter.ready}

    def test_ready(self) -> None:
        """One that is ready this instant; one that is not counts when it is acquired."""
        lease = self.inner.lease()
        self.inner.warm.append(lease)
        self.assertIs(lease, self.layer.try_acquire(TARGET))
        self.assertIsNone(self.layer.try_acquire(TARGET))
        self.assertEqual({"ready": 1}, self.counts())

    def test_waited(self) -> None:
        """How long it took is known."""
        d = self.layer.acquire(TARGET)
        self.clock.advance(0.3)
        lease = self.inner.answer()
        self.assertIs(lease, self.successResultOf(d))
        self.assertEqual({"ready": 0, "waited": 1}, self.counts())
        self.assertEqual(0.3, self.counter.durations["waited"].total)

    def test_failures(self) -> None:
        """Each kind of failure has its word, and reaches the caller as it is."""
        for error, word in (
            (AcquireTimedOut(TARGET, 3.0), "timed_out"),
            (FailedFast(TARGET, 2.0), "failfast"),
            (CancelledError(), "cancelled"),
            (ValueError("other"), "failed"),
        ):
            d = self.layer.acquire(TARGET)
            self.inner.fail(error)
            self.assertIs(error, self.failureResultOf(d).value)
            self.assertEqual(1, self.counts()[word])

    def test_retries(self) -> None:
        """Retries are counted by what came of them; whatever else passes through, and is not counted here."""
        stack = observe.retries(self.counter)(self.inner)
        self.assertEqual((self.inner.acquire, self.inner.try_acquire), (stack.acquire, stack.try_acquire))
        lost = ProxyError("10.0.0.1:80")
        d = stack.again(TARGET, lost)
        lease = self.inner.answer()
        self.assertIs(lease, self.successResultOf(d))
        for error, word in (
            (lost, "no_budget"),
            (AcquireTimedOut(TARGET, 3.0), "timed_out"),
            (FailedFast(TARGET, 2.0), "failfast"),
            (ValueError("other"), "failed"),
        ):
            d = stack.again(TARGET, lost)
            self.inner.fail(error)
            self.assertIs(error, self.failureResultOf(d).value)
            self.assertEqual(1, self.counter.retries[word])
        d = stack.again(TARGET, shed := FailedFast(TARGET, 2.0))
        self.inner.fail(shed)
        self.failureResultOf(d, FailedFast)
        self.assertEqual(1, self.counter.retries["refused"])
        self.assertEqual((1, [*[lost] * 5, shed]), (self.counter.retries["acquired"], self.inner.retried))
        self.assertEqual({"ready": 0}, self.counts())

    def test_cancelled(self) -> None:
        """A caller that goes away stops the work, and is counted."""
        d = self.layer.acquire(TARGET)
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual([TARGET], self.inner.cancelled)
        self.assertEqual({"ready": 0, "cancelled": 1}, self.counts())
