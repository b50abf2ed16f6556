# -*- test-case-name: tests.stack.test_whole -*-
"""
The whole stack, as the proxy assembles it, on scripted endpoints: what only shows when layers work together.
"""

from __future__ import annotations

import gc
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import outbound
from lproxy.app.parts import Parts
from lproxy.balancing import DEFAULT
from lproxy.config import Limits, Timeouts
from lproxy.errors import ProxyError, explain
from lproxy.metrics.counters import AcquireCounter
from lproxy.stack.admit import InFlight, TooManyInFlight
from lproxy.stack.backoff import Backoff
from lproxy.stack.budget import Budgets
from lproxy.stack.failfast import FailedFast
from lproxy.stack.interfaces import Health, Hint, Lease
from lproxy.stack.lease import Hold
from lproxy.stack.observer import Unobserved
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority, Endpoint, Metadata, Split
from lproxy.testing import ScriptedDiscover, ScriptedService, reported

TARGET = Authority("web.local", 80)
ENDPOINT = Endpoint("10.0.0.1", 80)


class Refused(ProxyError):
    """An endpoint refuses."""

    layer = "connect"

    def what(self) -> str:
        return "refused"


class WholeMixin:
    """A stack with small limits."""

    acquiring = 1
    failfast = 2.0

    def setUp(self) -> None:
        self.clock, self.discover, self.counter = Clock(), ScriptedDiscover(), AcquireCounter()
        self.endpoints: list[ScriptedService] = []
        self.timeouts = Timeouts(acquire=3.0, failfast=self.failfast, service_idle=5.0)
        self.in_flight = InFlight(5)
        parts = Parts(
            self.clock,
            self.timeouts,
            Limits(acquiring=self.acquiring, services=3),
            self.in_flight,
            Hold(self.in_flight),
            self.counter,
            self.discover,
            Backoff(0.1, 1.0, Random(1)),
            lambda target: DEFAULT,
            Unobserved(),
            Budgets(self.clock),
            Random(2),
        )
        self.lower = outbound.Lower(parts, self.new_endpoint)
        self.stack = outbound.acquire(parts, self.lower, [])

    def new_endpoint(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> ScriptedService:
        service = ScriptedService(endpoint, metadata, health)
        self.endpoints.append(service)
        return service

    def total(self, name: str) -> int:
        return reported(self.stack).total(name)

    def nothing_left(self) -> None:
        """Idle for long enough, there is nothing left: services, watches, leases, queues, timers."""
        self.clock.pump([self.timeouts.service_idle / 2] * 4)
        left = (self.total("service_cache_size"), self.total("lock_waiters"), self.discover.open, self.in_flight.count)
        self.assertEqual((0, 0, 0, 0), left)
        self.assertEqual([], self.clock.getDelayedCalls())
        for endpoint in self.endpoints:
            self.assertEqual((1, 0, 0), (endpoint.closed, endpoint.waiting, endpoint.open))

    def ready(self) -> ScriptedService:
        """The target's only endpoint, known."""
        self.discover.known[TARGET] = (ENDPOINT,)
        lease = self.stack.acquire(TARGET)
        self.endpoints[0].answer()
        self.successResultOf(lease).close()
        return self.endpoints[0]


class ClockTests(WholeMixin, SynchronousTestCase):
    """The acquisition's clock measures acquisition, all of it and nothing else."""

    def test_slow_application(self) -> None:
        """A backend that is ready at once may answer after twice the acquisition's time, or stream for hours."""
        self.ready()
        d = self.stack.acquire(TARGET)
        inner = self.endpoints[0].answer()
        lease = self.successResultOf(d)
        lease.call("upload")
        self.clock.pump([1.0] * 3600)
        self.assertEqual((0, 0), (inner.closed, self.endpoints[0].closed))
        lease.close()
        self.nothing_left()

    def test_never_ready(self) -> None:
        """A backend that is never ready fails at the deadline, or before by failfast, with an error that says why."""
        self.discover.known[TARGET] = (ENDPOINT,)
        d = self.stack.acquire(TARGET)
        self.clock.advance(1.99)
        self.assertNoResult(d)
        self.clock.advance(0.01)
        self.failureResultOf(d, FailedFast)
        self.endpoints[0].answer()
        self.nothing_left()

    def test_queue_counts(self) -> None:
        """Waiting for a permit is on the clock, too, and what then takes too long is named."""
        endpoint = self.ready()
        first, late = self.stack.acquire(TARGET), self.stack.acquire(TARGET)
        self.clock.advance(1.75)
        endpoint.answer()
        self.successResultOf(first).close()
        self.clock.advance(1.0)
        self.assertNoResult(late)
        self.clock.advance(0.25)
        error = self.failureResultOf(late, AcquireTimedOut).value
        self.assertEqual("acquire: web.local:80 not ready within 3 s: while connecting to 10.0.0.1:80", explain(error))
        self.nothing_left()


class PatientTests(WholeMixin, SynchronousTestCase):
    """With a failfast that comes later than the acquisition's deadline, each stage explains itself."""

    failfast = 20.0

    def explained(self, d: Deferred[Lease]) -> str:
        self.clock.advance(3.0)
        return explain(self.failureResultOf(d, AcquireTimedOut).value)

    def test_resolving(self) -> None:
        """Waiting for discovery."""
        wanted = "acquire: web.local:80 not ready within 3 s: waiting for endpoints"
        self.assertEqual(wanted, self.explained(self.stack.acquire(TARGET)))
        self.nothing_left()

    def test_connecting(self) -> None:
        """Waiting for a connect, after one that was refused."""
        self.discover.known[TARGET] = (ENDPOINT,)
        d = self.stack.acquire(TARGET)
        self.endpoints[0].fail(Refused(ENDPOINT))
        self.assertEqual("connect: 10.0.0.1:80 refused", explain(self.failureResultOf(d).value))
        wanted = (
            "acquire: web.local:80 not ready within 3 s: while connecting to 10.0.0.1:80; "
            "lately: connect: 10.0.0.1:80 refused"
        )
        self.assertEqual(wanted, self.explained(self.stack.acquire(TARGET)))
        self.nothing_left()


class EndsTests(WholeMixin, SynchronousTestCase):
    """Whoever leaves leaves nothing behind."""

    def cancel(self, d: Deferred[Lease]) -> None:
        d.cancel()
        self.failureResultOf(d, CancelledError)

    def test_cancelled_anywhere(self) -> None:
        """Cancelled while resolving, queued, connecting: what was under way stops, and nothing is left."""
        resolving, queued = self.stack.acquire(TARGET), self.stack.acquire(TARGET)
        self.cancel(queued)
        self.cancel(resolving)
        self.discover.set(TARGET, [ENDPOINT])
        connecting, behind = self.stack.acquire(TARGET), self.stack.acquire(TARGET)
        (endpoint,) = self.endpoints
        self.assertEqual(1, endpoint.waiting)
        self.cancel(connecting)
        self.assertEqual((1, [ENDPOINT]), (endpoint.waiting, endpoint.cancelled))
        self.cancel(behind)
        self.assertEqual(0, endpoint.waiting)
        self.nothing_left()

    def test_late_leases(self) -> None:
        """Leases that arrive while they are cancelled are closed, or the caller's who asked; none is lost."""
        endpoint = self.ready()
        endpoint.stubborn = True
        given: list[Lease] = []
        for _ in range(3):
            d = self.stack.acquire(TARGET)
            d.addCallback(given.append)
            d.cancel()
            given[-1].call("request")
        d = self.stack.acquire(TARGET)
        self.clock.advance(2.0)  # by failfast
        self.failureResultOf(d, FailedFast)
        for lease in given:
            lease.close()
        endpoint.stubborn = False
        self.nothing_left()

    def test_limit(self) -> None:
        """Over the limit, those who wait keep their place and the others are refused."""
        endpoint = self.ready()
        waiting = [self.stack.acquire(TARGET) for _ in range(5)]
        self.failureResultOf(self.stack.acquire(TARGET), TooManyInFlight)
        for d in waiting:
            endpoint.answer()
            self.successResultOf(d).close()
        self.nothing_left()

    def test_random(self) -> None:
        """After thousands of requests that end in every way there is, to targets that come and go, nothing is left."""
        random = Random(11)
        targets = [Authority(f"host{i}.local", 80) for i in range(6)]
        waiting: list[Deferred[Any]] = []
        leases: list[Lease] = []

        def got(lease: Lease) -> None:
            leases.append(lease)
            if random.random() < 0.5:
                lease.call("request")

        def one() -> None:
            chance = random.random()
            target = random.choice(targets)
            busy = [endpoint for endpoint in self.endpoints if endpoint.waiting]
            if chance < 0.3:
                d = self.stack.acquire(target).addCallbacks(got, lambda failure: None)
                waiting.append(d)
            elif chance < 0.45 and busy:
                random.choice(busy).answer()
            elif chance < 0.5 and busy:
                random.choice(busy).fail(Refused(ENDPOINT))
            elif chance < 0.7 and leases:
                leases.pop(random.randrange(len(leases))).close()
            elif chance < 0.75 and waiting:
                waiting.pop(random.randrange(len(waiting))).cancel()
            elif chance < 0.85:
                self.discover.set(target, random.sample([Endpoint(f"10.0.0.{n}", 80) for n in range(4)], 3))
            elif chance < 0.9:
                self.discover.set(target, [])
            else:
                self.clock.advance(random.uniform(0, 1.5))

        for _ in range(20_000):
            one()
            # those that are gone and done with need not be looked at any more
            self.endpoints = [endpoint for endpoint in self.endpoints if endpoint.load or not endpoint.closed]
            self.discover.watches = [watch for watch in self.discover.watches if not watch.closed]
        for target in targets:
            self.discover.set(target, [])
        self.clock.advance(100.0)
        for lease in leases:
            lease.close()
        self.nothing_left()
        self.assertGreater(min(sum(h.counts) for h in self.counter.durations.values()), 20)
        self.assertEqual({"waited", "failed", "cancelled", "failfast"}, set(self.counter.durations) - {"timed_out"})


class ConcurrentEndsTests(EndsTests):
    """The same with several permits."""

    acquiring = 100

    def test_cancelled_anywhere(self) -> None:
        """Nobody is queued: everybody is under way."""
        waiting = [self.stack.acquire(TARGET) for _ in range(4)]
        self.discover.set(TARGET, [ENDPOINT])
        self.assertEqual(4, self.endpoints[0].waiting)
        for d in waiting:
            self.cancel(d)
        self.nothing_left()


class FailfastTests(WholeMixin, SynchronousTestCase):
    """No endpoints, for too long."""

    def test_all_at_once(self) -> None:
        """All who wait fail within one tick, those who are queued too, and new ones do not wait at all."""
        waiting = [self.stack.acquire(TARGET) for _ in range(4)]
        self.clock.advance(2.0)
        for d in waiting:
            self.failureResultOf(d, FailedFast)
        self.failureResultOf(self.stack.acquire(TARGET), FailedFast)
        self.assertEqual(5, sum(self.counter.durations["failfast"].counts))
        self.nothing_left()

    def test_recovers(self) -> None:
        """An endpoint that is added brings it back, without any request."""
        d = self.stack.acquire(TARGET)
        self.clock.advance(2.0)
        self.failureResultOf(d, FailedFast)
        self.discover.set(TARGET, [ENDPOINT])
        self.endpoints[0].answer()
        d = self.stack.acquire(TARGET)
        self.endpoints[0].answer()
        self.successResultOf(d).close()
        self.nothing_left()

    def test_not_for_ever(self) -> None:
        """Services that fail fill no cache: unknown hosts come and go, and leave room for others."""
        for i in range(20):
            d = self.stack.acquire(Authority(f"host{i}.local", 80))
            self.clock.advance(2.0)
            self.failureResultOf(d, FailedFast)
        self.assertLessEqual(self.total("service_cache_size"), 3)
        self.ready().at_once = None
        self.nothing_left()


class HintTests(WholeMixin, SynchronousTestCase):
    """What is known of a request."""

    def test_all_the_way(self) -> None:
        """It comes down to the choice of the endpoint, by every door; and through a split of the service."""
        ends = [Endpoint(f"10.0.0.{n}", 80) for n in range(1, 6)]
        self.discover.known[TARGET] = tuple(ends)
        split = Split(Authority("shop.local", 80), ((TARGET, 1),))
        error = Refused(ENDPOINT)
        for key in (b"a", b"b", b"c", b"d"):
            hint, found = Hint(key), []
            for acquire in (
                lambda hint=hint: self.stack.acquire(TARGET, hint),
                lambda hint=hint: self.stack.acquire(split, hint),
                lambda hint=hint: self.stack.again(TARGET, error, hint),
            ):
                waiting = acquire()
                (asked,) = (one for one in self.endpoints if one.waiting)
                found.append(asked.key)
                asked.answer()
                self.successResultOf(waiting).close()
            self.assertEqual(1, len(set(found)), found)
            avoiding = self.stack.again(TARGET, error, Hint(key, (found[0],)))
            (asked,) = (one for one in self.endpoints if one.waiting)
            self.assertNotEqual(found[0], asked.key)
            asked.answer()
            self.successResultOf(avoiding).close()
        for one in self.endpoints:
            one.warm.append(one.lease())
        lease = self.stack.try_acquire(TARGET, Hint(b"a"))
        assert lease is not None
        lease.close()
        self.assertEqual(1, sum(one.tried == max(two.tried for two in self.endpoints) for one in self.endpoints))


class WarmTests(WholeMixin, SynchronousTestCase):
    """A target in use, with something ready."""

    def test_fast_path(self) -> None:
        """A warm request makes no timer, no lock entry and no Deferred, and counts all the same."""
        endpoint = self.ready()
        timers = len(self.clock.getDelayedCalls())
        calls = endpoint.calls
        for _ in range(10):
            endpoint.warm.append(endpoint.lease())
            lease = self.stack.try_acquire(TARGET)
            assert lease is not None
            self.assertEqual(1, self.in_flight.count)
            lease.call("request")
            lease.close()
        self.assertEqual((timers, calls), (len(self.clock.getDelayedCalls()), endpoint.calls))
        self.assertEqual(10, self.counter.ready)
        self.nothing_left()

    def test_flat(self) -> None:
        """Tens of thousands of warm requests leave no object behind."""
        endpoint = self.ready()

        def some(n: int) -> int:
            for _ in range(n):
                endpoint.warm.append(endpoint.lease())
                lease = self.stack.try_acquire(TARGET)
                assert lease is not None
                lease.close()
                endpoint.leases.clear()
            gc.collect()
            return len(gc.get_objects())

        some(100)
        first = some(100)
        self.assertLess(some(20_000) - first, 50)
        self.nothing_left()
