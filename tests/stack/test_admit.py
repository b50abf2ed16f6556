# -*- test-case-name: tests.stack.test_admit -*-
"""
Tests for L{lproxy.stack.admit}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import explain
from lproxy.stack import admit
from lproxy.target import Authority
from lproxy.testing import ScriptedAcquire

TARGET = Authority("web.local", 80)


class AdmitTests(SynchronousTestCase):
    """A limit of two."""

    def setUp(self) -> None:
        self.in_flight, self.inner = admit.InFlight(2), ScriptedAcquire()
        self.layer = admit.layer(self.in_flight)(self.inner)

    def warm(self) -> None:
        self.inner.warm.append(self.inner.lease())

    def test_ends(self) -> None:
        """A request counts from the moment it asks until its lease ends, however it was acquired."""
        self.warm()
        warm = self.layer.try_acquire(TARGET)
        self.assertEqual(1, self.in_flight.count)
        d = self.layer.acquire(TARGET)
        self.assertEqual(2, self.in_flight.count)
        self.inner.answer()
        waited = self.successResultOf(d)
        self.assertEqual(2, self.in_flight.count)
        for lease in (warm, waited):
            lease.call("request")
        self.assertEqual(2, self.in_flight.count)
        for lease in (warm, waited):
            lease.close()
        self.assertEqual(0, self.in_flight.count)
        self.assertEqual([["request"], ["request"]], [lease.requests for lease in self.inner.leases])
        self.assertEqual(0, self.inner.open)

    def test_not_held_for(self) -> None:
        """A lease that has no room for a hold, which is a plugin's mistake, costs its request and is not counted."""

        class Wrong:
            __slots__ = ()

        wrong: Any = Wrong()
        self.inner.warm.append(wrong)
        self.assertRaises(AttributeError, self.layer.try_acquire, TARGET)
        self.inner.at_once = lambda: wrong
        self.failureResultOf(self.layer.acquire(TARGET), AttributeError)
        self.assertEqual(0, self.in_flight.count)

    def test_none_ready(self) -> None:
        """Asking in vain counts as nothing."""
        self.assertIsNone(self.layer.try_acquire(TARGET))
        self.assertEqual(0, self.in_flight.count)

    def test_limit(self) -> None:
        """Over the limit a request is refused at once and nobody below hears of it; those in flight go on."""
        leases = [self.layer.acquire(TARGET) for _ in range(2)]
        self.warm()
        self.assertIsNone(self.layer.try_acquire(TARGET))
        error = self.failureResultOf(self.layer.acquire(TARGET), admit.TooManyInFlight).value
        self.assertEqual("admit: web.local:80 refused: 2 requests in flight (limits.in_flight)", explain(error))
        self.assertEqual((2, 1), (self.in_flight.count, self.in_flight.refused))
        self.assertEqual(([], [TARGET] * 2), (self.inner.tried, self.inner.calls))
        for d in leases:
            self.inner.answer()
            self.successResultOf(d).close()
        self.assertIsNotNone(self.layer.try_acquire(TARGET))

    def test_shared(self) -> None:
        """Stacks of one proxy share the limit."""
        other = admit.layer(self.in_flight)(ScriptedAcquire())
        self.layer.acquire(TARGET)
        other.acquire(TARGET)
        self.failureResultOf(self.layer.acquire(TARGET), admit.TooManyInFlight)

    def test_failed(self) -> None:
        """What fails or is cancelled does not count any more."""
        d = self.layer.acquire(TARGET)
        self.inner.fail(ValueError("no"))
        self.failureResultOf(d, ValueError)
        self.assertEqual(0, self.in_flight.count)
        d = self.layer.acquire(TARGET)
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual(([TARGET], 0), (self.inner.cancelled, self.in_flight.count))
