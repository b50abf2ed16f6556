# -*- test-case-name: tests.app.test_outbound -*-
"""
Tests for L{lproxy.app.outbound}: which layers, in which order, with which settings.

What the layers do together is in L{tests.stack.test_whole}.
"""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import outbound
from lproxy.app.parts import Parts
from lproxy.balancing import DEFAULT
from lproxy.config import INBOUND, Limits, Timeouts
from lproxy.errors import ProxyError
from lproxy.metrics.counters import AcquireCounter
from lproxy.stack.admit import Admit, InFlight, TooManyInFlight
from lproxy.stack.backoff import Backoff
from lproxy.stack.balance import Balance
from lproxy.stack.budget import Budgets
from lproxy.stack.failfast import FailedFast, FailFast
from lproxy.stack.interfaces import Health
from lproxy.stack.lock import Lock
from lproxy.stack.observe import Observe, ObserveRetries
from lproxy.stack.observer import Unobserved
from lproxy.stack.retry import Retry
from lproxy.stack.router import CachedRouter
from lproxy.stack.shared import Shared
from lproxy.stack.split import Splitter
from lproxy.stack.timeout import AcquireTimedOut, Timeout
from lproxy.target import Authority, Endpoint, Metadata
from lproxy.testing import ScriptedDiscover, ScriptedService, reported, shown

TARGET = Authority("web.local", 80)
OTHER = Authority("other.local", 80)
ENDPOINT = Endpoint("10.0.0.1", 80)


class UpstreamGone(ProxyError):
    """A connection in use is lost."""


class AcquireTests(SynchronousTestCase):
    """The stack of a direction."""

    def setUp(self) -> None:
        self.clock, self.discover, self.counter = Clock(), ScriptedDiscover(), AcquireCounter()
        self.endpoints: list[ScriptedService] = []
        self.twice: list[Failure] = []

    def parts(self, timeouts: Timeouts | None = None, **limits: int) -> Parts:
        """What a stack is made of."""
        settings = Limits(**limits)
        in_flight = InFlight(settings.in_flight)
        return Parts(
            self.clock,
            timeouts or Timeouts(),
            settings,
            in_flight,
            in_flight.share(self.twice.append),
            self.counter,
            self.discover,
            Backoff(0.1, 1.0, Random(0)),
            lambda target: DEFAULT,
            Unobserved(),
            Budgets(self.clock),
            Random(0),
        )

    def stack(self, timeouts: Timeouts | None = None, **limits: int) -> Any:
        """On scripted endpoints."""
        parts = self.parts(timeouts, **limits)
        return outbound.acquire(parts, outbound.Lower(parts, self.new_endpoint), [])

    def new_endpoint(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> Any:
        service = ScriptedService(endpoint, metadata, health)
        self.endpoints.append(service)
        return service

    def test_order(self) -> None:
        """From the edge to the wire."""
        stack = self.stack()
        layers = []
        here: Any = stack
        while here is not None:
            layers.append(type(here))
            router, here = here, getattr(here, "inner", None)
        self.assertEqual([ObserveRetries, Retry, Admit, Observe, Timeout, Splitter, Shared, Lock, CachedRouter], layers)
        service = router._new_service(TARGET)
        self.addCleanup(service.close)
        self.assertEqual((FailFast, Balance), (type(service), type(service._inner)))

    def test_nothing_waits_nothing_set(self) -> None:
        """A stack that is not used has neither timers nor watches."""
        self.stack()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertEqual([], self.endpoints)

    def test_in_flight(self) -> None:
        """limits.in_flight is one for all stacks that share the parts, and over it nobody is kept waiting."""
        parts = self.parts(in_flight=1)
        first, second = (outbound.acquire(parts, outbound.Lower(parts, self.new_endpoint), []) for _ in range(2))
        first.acquire(TARGET).addErrback(lambda _: None)
        self.failureResultOf(second.acquire(TARGET), TooManyInFlight)

    def test_refused_at_the_edge(self) -> None:
        """What admit refuses is no acquisition: nothing below is troubled or counts."""
        stack = self.stack(in_flight=0)
        self.failureResultOf(stack.acquire(TARGET), TooManyInFlight)
        self.assertEqual(0, reported(stack).total("service_cache_size"))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_timeout(self) -> None:
        """timeouts.acquire bounds waiting for a permit, too, and is counted as what it is."""
        stack = self.stack(Timeouts(acquire=2.0, failfast=60.0), acquiring=1)
        waiting = [stack.acquire(TARGET) for _ in range(3)]
        self.clock.advance(2.0)
        for d in waiting:
            self.failureResultOf(d, AcquireTimedOut)
        self.assertEqual(3, sum(self.counter.durations["timed_out"].counts))

    def test_queues(self) -> None:
        """limits.acquiring permits for each target, and none for another's."""
        stack = self.stack(acquiring=2)
        for target in (TARGET, TARGET, TARGET, OTHER):
            stack.acquire(target).addErrback(lambda _: None)
        rows = {row["target"]: (row["waiters"], row["lock"]["holders"]) for row in shown(stack)["services"]}
        self.assertEqual({str(TARGET): (1, 2), str(OTHER): (0, 1)}, rows)

    def test_inbound(self) -> None:
        """The inbound stack has the same layers; its shorter clocks come with its settings."""
        stack = self.stack(Timeouts(**{**INBOUND, "failfast": 60.0}))
        d = stack.acquire(TARGET)
        self.clock.advance(INBOUND["acquire"])
        self.failureResultOf(d, AcquireTimedOut)

    def test_retry(self) -> None:
        """
        A request whose endpoint dies under it is tried once more, on the other one; the try is acquired, admitted and
        counted like any other, and counted as a retry.
        """
        self.discover.known[TARGET] = ends = (ENDPOINT, Endpoint("10.0.0.2", 80))
        stack = self.stack(in_flight=1)
        for _ in range(20):
            d = stack.acquire(TARGET)
            first = next(service for service in self.endpoints if service.waiting)
            first.answer()
            lease = self.successResultOf(d)
            error = UpstreamGone(first.key)
            first.health.failed(error)
            self.failureResultOf(stack.again(TARGET, error), TooManyInFlight)
            lease.close()
            again = stack.again(TARGET, error)
            (second,) = (service for service in self.endpoints if service.waiting)
            self.assertEqual({first.key, second.key}, set(ends))
            second.answer()
            self.successResultOf(again).close()
            self.clock.advance(60.0)
        self.assertEqual({"acquired": 20, "failed": 20}, self.counter.retries)
        self.assertEqual(40, sum(self.counter.durations["waited"].counts))

    def test_shed(self) -> None:
        """A request that was shed is never tried again: nothing is acquired for it."""
        stack = self.stack()
        error = FailedFast(TARGET, 1.0)
        self.assertIs(error, self.failureResultOf(stack.again(TARGET, error)).value)
        self.assertEqual(({"refused": 1}, {}), (self.counter.retries, self.counter.durations))
