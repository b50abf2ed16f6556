# -*- test-case-name: tests.stack.test_failfast -*-
"""
Tests for L{lproxy.stack.failfast}.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.literal import Literal
from lproxy.errors import explain
from lproxy.stack import balance, failfast
from lproxy.stack.backoff import Backoff
from lproxy.stack.interfaces import Health, Lease
from lproxy.target import Authority, Endpoint, Metadata
from lproxy.testing import ScriptedDiscover, ScriptedService, shown, uncounted

TARGET = Authority("web.local", 80)
PERIOD = 2.0


class FailFastMixin:
    """A service that has two seconds to become ready."""

    def setUp(self) -> None:
        self.clock, self.inner = Clock(), ScriptedService(TARGET)
        self.backoff = Backoff(0.1, 1.0, Random(1))
        self.service: failfast.FailFast = failfast.layer(PERIOD, self.clock, self.backoff)(lambda target: self.inner)(
            TARGET
        )

    def tearDown(self) -> None:
        """Closed, it leaves no timer and nobody waiting inside."""
        self.service.close()
        self.assertEqual(([], 0), (self.clock.getDelayedCalls(), self.inner.waiting))
        self.assertEqual(0, self.inner.open)

    def trip(self) -> Deferred[Lease]:
        """Have somebody wait for the whole period."""
        d = self.service.acquire()
        self.clock.advance(PERIOD)
        self.assertTrue(self.service.failing)
        return d


class ReadyTests(FailFastMixin, SynchronousTestCase):
    """As long as it is not failing."""

    def test_warm(self) -> None:
        """What is ready passes straight through: itself, no timer, no clock."""
        lease = self.inner.lease()
        self.inner.warm.append(lease)
        self.assertIs(lease, self.service.try_acquire())
        self.assertEqual([], self.clock.getDelayedCalls())
        lease.close()

    def test_at_once(self) -> None:
        """An acquisition that is answered at once sets no timer either, well or badly."""
        self.patch(self.clock, "callLater", None)
        self.inner.at_once = self.inner.lease
        self.successResultOf(self.service.acquire()).close()
        self.inner.at_once = lambda: ValueError("refused")
        self.failureResultOf(self.service.acquire(), ValueError)
        self.assertFalse(self.service.failing)

    def test_in_time(self) -> None:
        """Whoever is served in time never hears of it, and the timer is gone."""
        d = self.service.acquire()
        self.clock.advance(PERIOD - 0.01)
        lease = self.inner.answer()
        self.assertIs(lease, self.successResultOf(d))
        self.assertEqual([], self.clock.getDelayedCalls())
        lease.close()

    def test_refused(self) -> None:
        """An upstream that refuses at once, however often, fails each caller by itself, with its own explanation."""
        self.inner.at_once = lambda: ValueError("refused")
        for _ in range(100):
            self.failureResultOf(self.service.acquire(), ValueError)
            self.clock.advance(1.0)
        self.assertFalse(self.service.failing)

    def test_busy_but_serving(self) -> None:
        """
        Where somebody waits at any time but is served soon, as connections one after the other are, it is ready: it
        never fails, however long that goes on.
        """
        waiting = [self.service.acquire()]
        for _ in range(1000):
            self.clock.advance(0.01)
            waiting.append(self.service.acquire())
            self.clock.advance(0.01)
            self.inner.answer().close()
            self.successResultOf(waiting.pop(0))
        self.assertEqual(0, self.service.trips)
        self.clock.advance(PERIOD - 0.03)
        self.assertFalse(self.service.failing)
        self.clock.advance(0.03)
        self.failureResultOf(waiting[0], failfast.FailedFast)

    def test_warm_is_ready(self) -> None:
        """So is one that has something ready for others meanwhile."""
        d = self.service.acquire()
        for _ in range(100):
            self.clock.advance(PERIOD / 2)
            self.inner.warm.append(self.inner.lease())
            lease = self.service.try_acquire()
            assert lease is not None
            lease.close()
        self.assertNoResult(d)
        self.clock.advance(PERIOD)
        self.failureResultOf(d, failfast.FailedFast)

    def test_short_waits(self) -> None:
        """Callers that give up before the period ends do not hide that it is never ready: their waiting adds up."""
        for _ in range(3):
            d = self.service.acquire()
            self.clock.advance(PERIOD / 4)
            d.cancel()
            self.failureResultOf(d, CancelledError)
            self.clock.advance(1000.0)  # nobody waits: no time
        self.assertFalse(self.service.failing)
        d = self.service.acquire()
        self.clock.advance(PERIOD / 4)
        self.failureResultOf(d, failfast.FailedFast)

    def test_slow_failures(self) -> None:
        """Nor do failures that take their time, such as connects that time out."""
        for _ in range(2):
            self.assertFalse(self.service.failing)
            self.clock.callLater(PERIOD / 2, lambda: self.inner.fail(ValueError("timed out")))
            d = self.service.acquire()
            self.clock.advance(PERIOD / 2)
            self.failureResultOf(d, ValueError)
        self.assertTrue(self.service.failing)

    def test_ready_forgives(self) -> None:
        """Being ready once makes up for all waiting before."""
        for _ in range(100):
            d = self.service.acquire()
            self.clock.advance(PERIOD / 2)
            self.inner.fail(ValueError("timed out"))
            self.failureResultOf(d, ValueError)
            d = self.service.acquire()
            self.inner.answer().close()
            self.successResultOf(d)
        self.assertFalse(self.service.failing)

    def test_closed(self) -> None:
        """Closed while somebody waits, it lets that go on, and has no clock for it any more."""
        d = self.service.acquire()
        self.service.close()
        self.assertEqual(([], 1), (self.clock.getDelayedCalls(), self.inner.closed))
        self.inner.answer().close()
        self.successResultOf(d)

    def test_closed_while_told(self) -> None:
        """Closed by one whom it has just failed, as the last of a drain may do, it probes nothing any more."""
        d = self.service.acquire().addErrback(lambda failure: self.service.close())
        self.clock.advance(PERIOD)
        self.successResultOf(d)
        self.assertEqual(([], 1, 0), (self.clock.getDelayedCalls(), self.inner.calls, self.inner.waiting))

    def test_closed_and_unready(self) -> None:
        """Nor does it where somebody still waits, and fails after the period."""
        d = self.service.acquire()
        self.service.close()
        self.clock.advance(PERIOD)
        self.inner.fail(ValueError("refused"))
        self.failureResultOf(d, ValueError)
        self.assertEqual(([], 1, 0), (self.clock.getDelayedCalls(), self.inner.calls, self.inner.waiting))

    def test_late_lease(self) -> None:
        """A lease that comes after its caller was told of the cancellation is closed."""
        deaf: Deferred[Lease] = Deferred()
        self.patch(deaf, "cancel", lambda: None)
        self.patch(self.inner, "acquire", lambda hint=None: deaf)
        d = self.service.acquire()
        d.cancel()
        self.failureResultOf(d, CancelledError)
        late = self.inner.lease()
        deaf.callback(late)
        self.assertEqual(1, late.closed)


class FailingTests(FailFastMixin, SynchronousTestCase):
    """Once it fails."""

    def test_all_fail(self) -> None:
        """N that wait fail within one tick, whenever they came; the work stops, and the error tells why."""
        waiting = []
        for _ in range(50):
            waiting.append(self.service.acquire())
            self.clock.advance(PERIOD / 50 - 0.0001)
        for d in waiting:
            self.assertNoResult(d)
        self.clock.advance(0.01)
        for d in waiting:
            error = self.failureResultOf(d, failfast.FailedFast).value
            self.assertEqual((TARGET, PERIOD), (error.target, error.seconds))
        self.assertEqual((50, 1), (len(self.inner.cancelled), self.inner.waiting))
        self.assertEqual("failfast: web.local:80 not ready for 2 s, failing at once until it is", explain(error))

    def test_new_ones(self) -> None:
        """New ones do not each wait: they fail at once, and make no work."""
        self.failureResultOf(self.trip(), failfast.FailedFast)
        calls = self.inner.calls
        for _ in range(1000):
            self.assertIsNone(self.service.try_acquire())
            self.failureResultOf(self.service.acquire(), failfast.FailedFast)
        self.assertEqual((calls, 0), (self.inner.calls, self.inner.tried))

    def test_cause(self) -> None:
        """The latest error from below is named as the cause."""
        d = self.service.acquire()
        self.service.acquire().addErrback(lambda failure: None)
        self.clock.advance(PERIOD / 2)
        self.inner.fail(ValueError("connect: refused"))
        self.failureResultOf(d)
        self.clock.advance(PERIOD / 2)
        error = self.failureResultOf(self.service.acquire()).value
        self.assertTrue(explain(error).endswith("failing at once until it is: connect: refused"))

    def test_cause_of_waiting(self) -> None:
        """Where nothing failed but waiting, what was waited for is the cause, for those that waited and all after."""
        inner: Deferred[Lease] = Deferred(lambda d: d.errback(CancelledError("while connecting to 10.0.0.1:80")))
        self.inner.acquire = lambda hint=None: inner
        d = self.service.acquire()
        self.inner.acquire = Deferred
        self.clock.advance(PERIOD)
        for error in (self.failureResultOf(d).value, self.failureResultOf(self.service.acquire()).value):
            self.assertTrue(explain(error).endswith("failing at once until it is: while connecting to 10.0.0.1:80"))

    def test_probe_waits(self) -> None:
        """It recovers the moment it is ready, without any request; what was probed with is given back unused."""
        self.failureResultOf(self.trip())
        self.assertEqual(1, self.inner.waiting)
        self.clock.advance(3600.0)
        self.assertTrue(self.service.failing)
        lease = self.inner.answer()
        self.assertEqual(([], 1, False), (lease.requests, lease.closed, self.service.failing))
        d = self.service.acquire()
        self.inner.answer().close()
        self.successResultOf(d)

    def test_probe_again(self) -> None:
        """A probe that fails is followed by another, later and later, one at a time."""
        self.failureResultOf(self.trip())
        calls = self.inner.calls
        for _ in range(20):
            self.assertEqual(1, self.inner.waiting)
            self.inner.fail(ValueError("refused"))
            self.assertEqual(0, self.inner.waiting)
            self.clock.advance(1.0)
        self.assertEqual(calls + 20, self.inner.calls)
        self.inner.answer()
        self.assertFalse(self.service.failing)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_no_spin(self) -> None:
        """An upstream that refuses every probe at once is probed no more often than its backoff allows."""
        self.inner.at_once = None
        d = self.service.acquire()
        self.inner.at_once = lambda: ValueError("refused")
        self.clock.advance(PERIOD)
        self.failureResultOf(d)
        before = self.inner.calls
        self.clock.pump([0.1] * 600)
        self.assertLess(self.inner.calls - before, 60 / 0.5 + 10)
        self.assertGreater(self.inner.calls - before, 55)

    def test_probe_raises(self) -> None:
        """A service that raises where it should fail is probed again all the same."""

        def broken() -> Any:
            raise ValueError("a mistake")

        d = self.service.acquire()
        self.inner.at_once = broken
        self.clock.advance(PERIOD)
        self.failureResultOf(d)
        self.inner.at_once = None
        self.clock.advance(1.0)
        self.inner.answer()
        self.assertFalse(self.service.failing)

    def test_slow_after_recovery(self) -> None:
        """
        After it has recovered, all counts from nothing: waiting, and the backoff of probes. It may fail again, and is
        counted each time.
        """
        for trips in (1, 2, 3):
            self.failureResultOf(self.trip())
            self.assertEqual(trips, self.service.trips)
            for delay in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0):
                self.inner.fail(ValueError("refused"))
                self.clock.advance(delay)
            self.inner.answer()

    def test_late_lease(self) -> None:
        """A lease that arrives while the wait for it is being cancelled is closed, not leaked."""
        self.inner.stubborn = True
        self.failureResultOf(self.trip(), failfast.FailedFast)
        self.inner.stubborn = False
        self.assertEqual([1], [lease.closed for lease in self.inner.leases])

    def test_told_cancels_others(self) -> None:
        """One that is told may cancel others that are about to be told: everybody is told once, and it is probed."""
        waiting = [self.service.acquire() for _ in range(4)]
        errors: list[Any] = []
        waiting[1].addErrback(lambda failure: waiting[2].cancel())
        for d in waiting:
            d.addErrback(errors.append)
        self.clock.advance(PERIOD)
        wanted = [failfast.FailedFast, CancelledError, failfast.FailedFast]
        self.assertEqual(wanted, [failure.type for failure in errors])
        self.assertEqual(1, self.inner.waiting)

    def test_not_busy(self) -> None:
        """A probe keeps nothing from being evicted; somebody who waits or holds a lease does."""
        d = self.service.acquire()
        self.assertEqual(1, self.service.busy())
        self.inner.answer()
        self.failureResultOf(self.trip())
        self.assertEqual((1, 1), (self.inner.waiting, self.service.busy()))
        self.successResultOf(d).close()
        self.assertEqual((1, 0), (self.inner.waiting, self.service.busy()))
        self.inner.fail(ValueError("refused"))
        self.assertEqual(0, self.service.busy())

    def test_describe(self) -> None:
        """Its state can be seen, with the latest error."""
        self.assertEqual({"state": "ready", "in_flight": 0}, shown(self.service))
        d = self.trip()
        self.failureResultOf(d)
        self.inner.fail(ValueError("refused"))
        wanted = {"state": "failfast", "last_error": "refused", "last_error_seconds": 0.0, "in_flight": 0}
        self.assertEqual(wanted, shown(self.service))
        self.clock.advance(1.0)
        self.inner.answer()
        self.service.acquire().addErrback(lambda failure: None)
        self.assertEqual("waiting", shown(self.service)["state"])
        self.inner.answer().close()

    def test_flat(self) -> None:
        """A long time of failing costs no memory."""
        self.failureResultOf(self.trip())

        def some() -> int:
            for _ in range(300):
                self.failureResultOf(self.service.acquire())
                self.inner.fail(ValueError("refused"))
                self.clock.advance(1.0)
            gc.collect()
            return len(gc.get_objects())

        some()
        first = some()
        self.assertLess(some() - first, 100)


class TransitionTests(FailFastMixin, SynchronousTestCase):
    """The machine has four states, and does what its table says."""

    def test_walk(self) -> None:
        """Through all of them, by everything that can happen."""
        walked = [self.service.state]

        def step(what: Callable[..., Any], *args: Any) -> Any:
            result = what(*args)
            walked.append(self.service.state)
            return result

        d = step(self.service.acquire)
        lease = step(self.inner.answer)
        step(lease.close)
        self.successResultOf(d)
        d = step(self.service.acquire)
        step(self.clock.advance, PERIOD)
        self.failureResultOf(d, failfast.FailedFast)
        step(self.inner.fail, ValueError("refused"))
        step(self.clock.advance, 0.1)
        step(self.inner.fail, ValueError("refused"))
        assert self.inner.on_ready is not None
        step(self.inner.on_ready)
        step(self.inner.answer)
        o, w, f, p = failfast.OPEN, failfast.WAITING, failfast.FAILING, failfast.PROBING
        self.assertEqual([o, w, o, o, w, p, f, p, f, p, o], walked)

    def test_mistake(self) -> None:
        """What the table does not have for a state cannot happen, or is found out."""
        self.assertRaises(KeyError, self.service._move, failfast.Event.READY)
        self.assertIs(failfast.OPEN, self.service.state)

    def test_passed_on(self) -> None:
        """A new reason to try is one for whoever stands above, too, once there is somebody."""
        told: list[str] = []
        assert self.inner.on_ready is not None
        self.inner.on_ready()
        self.service.on_ready = lambda: told.append("ready")
        self.inner.on_ready()
        self.assertEqual(["ready"], told)

    def test_table(self) -> None:
        """From each state there is a way to each other, and none to itself."""
        for state in failfast.State:
            reached = {state}
            for _ in failfast.State:
                reached |= {to for (at, _), to in failfast.TRANSITIONS.items() if at in reached}
            self.assertEqual(set(failfast.State), reached)
        self.assertNotIn(True, [at is to for (at, _), to in failfast.TRANSITIONS.items()])

    def test_shown(self) -> None:
        """Its state can be seen at any time."""
        self.assertEqual("<FailFast web.local:80 ready left=2>", repr(self.service))
        self.failureResultOf(self.trip())
        self.assertEqual("<FailFast web.local:80 probing left=2>", repr(self.service))


class EmptyPoolTests(SynchronousTestCase):
    """On top of a balancer, as in a proxy."""

    def setUp(self) -> None:
        self.clock, self.discover = Clock(), ScriptedDiscover()
        self.services: list[ScriptedService] = []
        backoff = Backoff(0.1, 60.0, Random(1))
        new_service = failfast.layer(PERIOD, self.clock, backoff)(
            balance.layer(self.discover, self.clock, backoff)(self.new_endpoint)
        )
        self.service: failfast.FailFast = new_service(TARGET)
        self.addCleanup(self.service.close)

    def new_endpoint(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> ScriptedService:
        service = ScriptedService(endpoint, metadata, health)
        service.at_once = service.lease
        self.services.append(service)
        return service

    def trip(self) -> None:
        d = self.service.acquire()
        self.clock.advance(PERIOD)
        self.failureResultOf(d, failfast.FailedFast)

    def test_cause(self) -> None:
        """Those that it fails are told what was waited for, those that come later as well."""
        first = self.service.acquire()
        self.clock.advance(PERIOD)
        for d in (first, self.service.acquire()):
            error = self.failureResultOf(d, failfast.FailedFast).value
            self.assertIn("failing at once until it is: waiting for endpoints", explain(error))

    def test_cause_has_a_time(self) -> None:
        """What was waited for in vain is shown with how long ago that was found, however late the clock is."""
        self.clock.advance(86400.0)
        self.trip()
        self.clock.advance(1.5)
        self.assertEqual(1.5, shown(self.service)["last_error_seconds"])

    def test_recovers(self) -> None:
        """A pool is empty past its period; then an endpoint is added, without any request: the next is served."""
        self.trip()
        self.clock.advance(600.0)
        self.discover.set(TARGET, [Endpoint("10.0.0.1", 80)])
        self.assertFalse(self.service.failing)
        self.successResultOf(self.service.acquire()).close()

    def test_down(self) -> None:
        """A service whose endpoints have all failed is not shown as ready, until one of them has not."""
        self.assertEqual("ready", shown(self.service)["state"])
        self.discover.set(TARGET, [Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)])
        for service in self.services:
            service.at_once = lambda: failfast.FailedFast(TARGET, 1.0)
        self.failureResultOf(self.service.acquire(), balance.NoEndpointReady)
        self.assertEqual("down", shown(self.service)["state"])
        for service in self.services:
            service.at_once = service.lease
        self.successResultOf(self.service.acquire()).close()
        self.assertEqual("degraded", shown(self.service)["state"])
        self.clock.advance(60.0)
        self.successResultOf(self.service.acquire()).close()
        self.assertEqual("ready", shown(self.service)["state"])
        self.discover.fail(TARGET, ValueError("no answer any more"))
        self.assertEqual("ready", shown(self.service)["state"], "the latest endpoints are as good as ever")

    def test_probe_not_in_flight(self) -> None:
        """The probe is nobody's request: neither the service nor an endpoint has it in flight. What is, is shown."""
        self.discover.set(TARGET, [Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)])
        old = self.service.acquire()
        for service in self.services:
            service.at_once = None
        waiting = self.service.acquire()
        self.clock.advance(PERIOD)
        self.failureResultOf(waiting, failfast.FailedFast)
        self.assertEqual(1, sum(service.waiting for service in self.services), "the probe")
        row = shown(self.service)
        self.assertEqual(("failfast", 1), (row["state"], row["in_flight"]))
        self.assertEqual(1, sum(end["in_flight"] for end in row["endpoints"]))
        loads = [member.load for member in self.service._inner._list]
        self.assertEqual([0, 1], sorted(loads), "and metrics have no other")
        self.successResultOf(old).close()
        self.assertEqual(0, shown(self.service)["in_flight"])

    def test_errors_have_a_time(self) -> None:
        """What went wrong last is shown with how long ago that was."""
        self.discover.set(TARGET, [Endpoint("10.0.0.1", 80)])
        self.services[0].at_once = lambda: failfast.FailedFast(TARGET, 1.0)
        self.failureResultOf(self.service.acquire())
        self.clock.advance(7.5)
        self.assertEqual(7.5, shown(self.service)["last_error_seconds"])
        self.discover.fail(TARGET, ValueError("no such name"))
        self.clock.advance(1.5)
        self.assertEqual(1.5, shown(self.service)["last_error_seconds"])

    def test_down_and_waited_for(self) -> None:
        """What becomes of callers goes before that."""
        self.discover.fail(TARGET, ValueError("no such name"))
        self.assertEqual("down", shown(self.service)["state"])
        d = self.service.acquire()
        self.assertEqual("waiting", shown(self.service)["state"])
        self.clock.advance(PERIOD)
        self.failureResultOf(d, failfast.FailedFast)
        self.assertEqual("failfast", shown(self.service)["state"])

    def test_new_endpoint(self) -> None:
        """
        Endpoints that do not answer are replaced by one that does: that is tried at once, however long the backoff had
        become. Being told the same again is no new reason.
        """
        bad, good = Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)
        self.discover.set(TARGET, [bad])
        (service,) = self.services
        service.at_once = None
        self.trip()
        for _ in range(10):
            if service.waiting:
                service.fail(failfast.FailedFast(TARGET, 1.0))
            self.clock.advance(30.0)
        service.at_once = lambda: failfast.FailedFast(TARGET, 1.0)
        if service.waiting:
            service.fail(failfast.FailedFast(TARGET, 1.0))
        calls = service.calls
        self.discover.set(TARGET, [bad])
        self.assertEqual((calls, True), (service.calls, self.service.failing))
        self.discover.set(TARGET, [good])
        self.assertFalse(self.service.failing)
        self.successResultOf(self.service.acquire()).close()

    def test_no_cycles(self) -> None:
        """A service that is closed leaves nothing to the garbage collector: there may be many short-lived ones."""
        backoff = Backoff(0.1, 60.0, Random(1))
        balanced = balance.layer(Literal(self.discover), self.clock, backoff)(self.new_endpoint)
        new_service = failfast.layer(PERIOD, self.clock, backoff)(balanced)
        with uncounted("lproxy.stack") as left:
            service = new_service(Endpoint("10.0.0.1", 80))
            self.successResultOf(service.acquire()).close()
            service.close()
            endpoint = self.services.pop()
            endpoint.at_once = None  # its own
            endpoint.leases.clear()
            del endpoint
            del service
        self.assertEqual([], left)

    def test_gone_while_failing(self) -> None:
        """An endpoint that goes away while it is being probed is not waited for any longer than its answer takes."""
        self.trip()
        self.assertEqual(0, self.service.busy())
        self.service.close()
        self.assertEqual((0, []), (self.discover.open, self.clock.getDelayedCalls()))
