# -*- test-case-name: tests.testing.test_scripted -*-
"""
Tests for L{lproxy.testing.scripted}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.interfaces import Acquire, Discover, EndpointService, Lease
from lproxy.target import Authority, Endpoint
from lproxy.testing import ScriptedAcquire, ScriptedDiscover, ScriptedLease, ScriptedService, shown

TARGET = Authority("web.local", 80)
ENDPOINT = Endpoint("10.0.0.1", 80)

# for mypy: they are what they stand for
acquire: Acquire = ScriptedAcquire()
service: EndpointService = ScriptedService(TARGET)
discover: Discover = ScriptedDiscover()
lease: Lease = ScriptedLease()


class LeaseTests(SynchronousTestCase):
    """A lease that is strict."""

    def test_once(self) -> None:
        """It is called at most once, closed exactly once, and not called after that."""
        lease = ScriptedLease("answer")
        self.assertEqual("answer", lease.call("request"))
        self.assertRaises(AssertionError, lease.call, "again")
        lease.close()
        self.assertEqual((["request"], 1), (lease.requests, lease.closed))
        self.assertRaises(AssertionError, lease.close)
        ended = ScriptedLease()
        ended.close()
        self.assertRaises(AssertionError, ended.call, "request")


class AcquireTests(SynchronousTestCase):
    """An acquisition on command."""

    def setUp(self) -> None:
        self.acquire = ScriptedAcquire()

    def test_answer(self) -> None:
        """Those who wait are answered in order, and all is recorded."""
        first, second = self.acquire.acquire(TARGET), self.acquire.acquire(ENDPOINT)
        self.assertEqual((2, [TARGET, ENDPOINT]), (self.acquire.waiting, self.acquire.calls))
        lease = self.acquire.answer()
        self.assertIs(lease, self.successResultOf(first))
        self.acquire.fail(ValueError("no"))
        self.failureResultOf(second, ValueError)
        self.assertEqual((0, 1, 1), (self.acquire.waiting, self.acquire.open, self.acquire.failed))
        lease.close()
        self.assertEqual(0, self.acquire.open)
        self.assertRaises(AssertionError, self.acquire.answer)

    def test_warm(self) -> None:
        """What is warm is given out once."""
        self.acquire.warm.append(lease)
        self.assertEqual([lease, None], [self.acquire.try_acquire(TARGET) for _ in range(2)])
        self.assertEqual([TARGET, TARGET], self.acquire.tried)

    def test_at_once(self) -> None:
        """Or they are answered at once, well, badly, or not yet."""
        answers: list[Any] = [self.acquire.lease(), ValueError("no"), None]
        self.acquire.at_once = lambda: answers.pop(0)
        self.successResultOf(self.acquire.acquire(TARGET))
        self.failureResultOf(self.acquire.acquire(TARGET), ValueError)
        self.assertNoResult(self.acquire.acquire(TARGET))

    def test_cancelled(self) -> None:
        """A cancellation is recorded; a stubborn one has a lease all the same."""
        d = self.acquire.acquire(TARGET)
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.acquire.stubborn = True
        d = self.acquire.acquire(ENDPOINT)
        d.cancel()
        self.assertIs(self.acquire.leases[0], self.successResultOf(d))
        self.assertEqual([TARGET, ENDPOINT], self.acquire.cancelled)


class ServiceTests(SynchronousTestCase):
    """A service on command."""

    def test_load(self) -> None:
        """Its load is what is out or waited for."""
        service = ScriptedService(ENDPOINT)
        d = service.acquire()
        service.acquire().addErrback(lambda failure: None)
        self.assertEqual((2, 2, {"in_flight": 2}), (service.load, service.busy(), shown(service)))
        service.answer()
        service.fail(ValueError("no"))
        self.assertEqual(1, service.load)
        self.successResultOf(d).close()
        service.close()
        self.assertEqual((0, 1, 2), (service.load, service.closed, service.calls))


class DiscoverTests(SynchronousTestCase):
    """Discovery on command."""

    def setUp(self) -> None:
        self.discover = ScriptedDiscover()
        self.told: list[Any] = []

    def endpoints(self, endpoints: Any, about: Any = None) -> None:
        self.told.append(tuple(endpoints))

    def unresolved(self, error: Exception) -> None:
        self.told.append(error)

    def test_told(self) -> None:
        """Watchers are told what is known and what changes, until they close."""
        error = ValueError("no")
        self.discover.set(TARGET, [ENDPOINT])
        watch = self.discover.watch(TARGET, self)
        self.discover.fail(TARGET, error)
        self.discover.set(Authority("other.local", 80), [])
        self.assertEqual([(ENDPOINT,), error], self.told)
        self.discover.on_refresh = lambda watch: self.told.append("refresh")
        watch.refresh()
        watch.close()
        self.discover.set(TARGET, [])
        self.assertEqual([(ENDPOINT,), error, "refresh"], self.told)
        self.assertEqual((1, 1, 0), (watch.refreshed, watch.closed, self.discover.open))
