# -*- test-case-name: tests.app.test_outbound -*-
"""
Tests for L{lproxy.app.outbound} and L{lproxy.app.inbound}: which layers, in which order, with which settings.

What the layers do together is in L{tests.stack.test_whole}.
"""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import inbound, outbound
from lproxy.app.parts import Parts
from lproxy.config import INBOUND, Limits, Timeouts
from lproxy.metrics.counters import AcquireCounter
from lproxy.stack.admit import Admit, InFlight, TooManyInFlight
from lproxy.stack.backoff import Backoff
from lproxy.stack.balance import Balance
from lproxy.stack.compose import find
from lproxy.stack.failfast import FailFast
from lproxy.stack.lock import Lock
from lproxy.stack.observe import Observe
from lproxy.stack.router import CachedRouter
from lproxy.stack.timeout import AcquireTimedOut, Timeout
from lproxy.target import Authority, Endpoint
from lproxy.testing import ScriptedDiscover, ScriptedService

TARGET = Authority("web.local", 80)
OTHER = Authority("other.local", 80)
ENDPOINT = Endpoint("10.0.0.1", 80)


class AcquireTests(SynchronousTestCase):
    """The stack of a direction."""

    def setUp(self) -> None:
        self.clock, self.discover, self.counter = Clock(), ScriptedDiscover(), AcquireCounter()
        self.endpoints: list[ScriptedService] = []

    def parts(self, timeouts: Timeouts | None = None, **limits: int) -> Parts:
        """What a stack is made of."""
        settings = Limits(**limits)
        return Parts(
            self.clock,
            timeouts or Timeouts(),
            settings,
            InFlight(settings.in_flight),
            self.counter,
            self.discover,
            Backoff(0.1, 1.0, Random(0)),
        )

    def stack(self, timeouts: Timeouts | None = None, **limits: int) -> Any:
        """On scripted endpoints."""
        return outbound.acquire(self.parts(timeouts, **limits), self.new_endpoint)

    def new_endpoint(self, endpoint: Endpoint) -> Any:
        service = ScriptedService()
        self.endpoints.append(service)
        return service

    def test_order(self) -> None:
        """From the edge to the wire: admit, observe, timeout, lock, router and cache, failfast, balance."""
        stack = self.stack()
        layers = []
        here: Any = stack
        while here is not None:
            layers.append(type(here))
            here = getattr(here, "inner", None)
        self.assertEqual([Admit, Observe, Timeout, Lock, CachedRouter], layers)
        stack.acquire(TARGET).addErrback(lambda _: None)
        ((target, service),) = find(stack, CachedRouter).cache
        self.assertEqual((TARGET, FailFast, Balance), (target, type(service), type(service._inner)))

    def test_find(self) -> None:
        """Each layer whose state is shown is found, and is one and the same each time."""
        stack = self.stack()
        for kind in (Admit, Observe, Timeout, Lock, CachedRouter):
            self.assertIs(find(stack, kind), find(stack, kind))
        self.assertRaises(LookupError, find, stack, FailFast)

    def test_nothing_waits_nothing_set(self) -> None:
        """A stack that is not used has neither timers nor watches."""
        self.stack()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertEqual([], self.endpoints)

    def test_in_flight(self) -> None:
        """limits.in_flight is one for all stacks that share the parts, and over it nobody is kept waiting."""
        parts = self.parts(in_flight=1)
        first, second = (outbound.acquire(parts, self.new_endpoint) for _ in range(2))
        first.acquire(TARGET).addErrback(lambda _: None)
        self.failureResultOf(second.acquire(TARGET), TooManyInFlight)

    def test_refused_at_the_edge(self) -> None:
        """What admit refuses is no acquisition: nothing below is troubled or counts."""
        stack = self.stack(in_flight=0)
        self.failureResultOf(stack.acquire(TARGET), TooManyInFlight)
        self.assertEqual(0, len(find(stack, CachedRouter).cache))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_timeout(self) -> None:
        """timeouts.acquire bounds waiting in line, too, and is counted as what it is."""
        stack = self.stack(Timeouts(acquire=2.0, failfast=60.0), acquiring=1)
        waiting = [stack.acquire(TARGET) for _ in range(3)]
        self.clock.advance(2.0)
        for d in waiting:
            self.failureResultOf(d, AcquireTimedOut)
        self.assertEqual(3, sum(self.counter.durations["timed_out"].counts))

    def test_lines(self) -> None:
        """limits.acquiring turns for each target, and none for another's."""
        stack = self.stack(acquiring=2)
        for target in (TARGET, TARGET, TARGET, OTHER):
            stack.acquire(target).addErrback(lambda _: None)
        lock = find(stack, Lock)
        self.assertEqual((1, 2), (lock.describe(TARGET)["waiters"], lock.describe(TARGET)["lock"]["holders"]))
        self.assertEqual((0, 1), (lock.describe(OTHER)["waiters"], lock.describe(OTHER)["lock"]["holders"]))

    def test_inbound(self) -> None:
        """The inbound stack has the same layers; its shorter clocks come with its settings."""
        stack = inbound.acquire(self.parts(Timeouts(**INBOUND)), self.new_endpoint)
        self.assertEqual(INBOUND["acquire"], find(stack, Timeout).seconds)
        self.assertIs(inbound.acquire, outbound.acquire)
