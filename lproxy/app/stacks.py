# -*- test-case-name: tests.app.test_stacks -*-
"""
The acquisition stacks of all protocols in both directions: made for the first who asks, shown to whoever looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.app import outbound
from lproxy.app.endpoints import Endpoints
from lproxy.app.parts import Parts
from lproxy.config import Config, Direction, Service
from lproxy.metrics.family import Labels
from lproxy.metrics.registry import Metrics
from lproxy.protocols.runtime import Crashed
from lproxy.stack.admit import InFlight
from lproxy.stack.backoff import Backoff
from lproxy.stack.budget import Budgets
from lproxy.stack.interfaces import Discover, L, NewEndpoint, NewStack, Stack
from lproxy.stack.lease import Hold
from lproxy.stack.report import Key, Report
from lproxy.target import Target

#: families that are sums over all stacks
TOTALS = ("lock_waiters", "service_cache_size", "service_cache_evictions_total")


def _nowhere(target: Target) -> None:
    return None


def owner(stack: str) -> str:
    """The protocol whose stack that is: one may have several, C{http} and C{http/2}."""
    return stack.partition("/")[0]


class Stacks:
    """
    One stack per protocol and direction, shared by the listeners.

    @ivar in_flight: the limit that all of them share
    """

    def __init__(
        self,
        config: Config,
        clock: IReactorTime,
        discover: Discover,
        metrics: Metrics,
        crashed: Crashed,
        find: Callable[[Target], Service | None] = _nowhere,
    ) -> None:
        """
        @param crashed: told of what a protocol does wrong with its leases, by its name
        @param find: which service of the configuration's a target is
        """
        self._config = config
        self._clock = clock
        self._discover = discover
        self._metrics = metrics
        self._random = Random()
        self._crashed = crashed
        self._shares: dict[tuple[Direction, str], Hold] = {}
        # each has leases of its own protocol's type
        self._stacks: dict[tuple[Direction, str], Stack[Any]] = {}
        self._find = find
        self._endpoints = Endpoints(metrics.endpoints, clock)
        self._budgets = Budgets(clock, self._served)
        self.in_flight = InFlight(config.limits.in_flight)
        self._unwatch = metrics.watch(self.samples)

    def acquire(self, direction: Direction, protocol: str, new_endpoint: NewEndpoint[L]) -> Stack[L]:
        """The stack of C{protocol} in C{direction}, on top of what C{new_endpoint} of the first who asked makes."""
        stack = self._stacks.get((direction, protocol))
        if stack is None:
            share = self._shares[direction, protocol] = self.in_flight.share(partial(self._crashed, owner(protocol)))
            timeouts = self._config.timeouts(direction)
            parts = Parts(
                self._clock,
                timeouts,
                self._config.limits,
                self.in_flight,
                share,
                self._metrics.acquire(direction),
                self._discover,
                Backoff(timeouts.backoff_min, timeouts.backoff_max, self._random),
                self._max_failures,
                self._endpoints,
                self._budgets,
                self._random,
            )
            stack = self._stacks[direction, protocol] = outbound.acquire(parts, new_endpoint)
        return stack

    def of(self, direction: Direction) -> NewStack:
        """Those of one direction, as protocols get at them."""

        def acquire(protocol: str, new_endpoint: NewEndpoint[L]) -> Stack[L]:
            return self.acquire(direction, protocol, new_endpoint)

        return acquire

    def close(self) -> None:
        """Let go of every service; once."""
        # first: what they have counted goes with them
        self._unwatch()
        for stack in self._stacks.values():
            stack.close()

    def describe(self, unused: bool = True) -> list[dict[str, Any]]:
        """
        Rows of C{/services}: state, endpoints, who waits.

        @param unused: whether those of the configuration are among them that nobody uses, last
        """
        rows: list[dict[str, Any]] = []
        rest = dict(self._config.services) if unused else {}
        for direction, protocol, report in self._reports(rows=True):
            for part in report.parts("services"):
                rows.append({"direction": direction, "protocol": protocol, **part.row()})
                if isinstance(part.about, Target) and (found := self._find(part.about)) is not None:
                    rest.pop(found.name, None)
        for name, service in rest.items():
            endpoints = [{"address": address} for address in service.endpoints]
            rows.append({"target": name, "state": "unused", "in_flight": 0, "waiters": 0, "endpoints": endpoints})
        return rows

    def _max_failures(self, target: Target) -> int:
        """Of C{target}'s service, or of all."""
        service = self._find(target)
        own = service.max_failures if service is not None else None
        return self._config.limits.max_failures if own is None else own

    def _served(self, target: Target) -> object:
        """Who serves C{target}: the service of that name, or that target alone."""
        service = self._find(target)
        return target if service is None else service.name

    def leases(self) -> Counter[str]:
        """How many leases are out, by protocol."""
        out: Counter[str] = Counter()
        for (_, protocol), share in self._shares.items():
            out[owner(protocol)] += share.count
        return out

    def waited(self) -> Counter[str]:
        """How many leases were given so far to who had to wait for them, by protocol."""
        given: Counter[str] = Counter()
        for (_, protocol), share in self._shares.items():
            given[owner(protocol)] += share.waited
        return given

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        """Of the families in L{lproxy.metrics.acquisition.STATE}."""
        counts: Counter[Key] = Counter()
        for _, _, report in self._reports():
            counts.update(report.counts)
        yield "in_flight", (), self.in_flight.count
        yield "in_flight_refused_total", (), self.in_flight.refused
        for name in TOTALS:
            yield name, (), counts[name, None]
        cap = self._metrics.cap_target()
        failing: Counter[str] = Counter()
        trips: Counter[str] = Counter()
        for (name, of), n in counts.items():
            if name == "failfast_state":
                label = cap(str(of))
                failing[label] = max(failing[label], min(n, 1))
            elif name == "failfast_total":
                trips[cap(str(of))] += n
        left: Counter[str] = Counter()
        for served, budget in self._budgets.items():
            left[cap(str(served))] += budget.left
        for label, n in left.items():
            yield "retry_budget_left", (("target", label),), n
        for label, n in trips.items():
            yield "failfast_state", (("target", label),), failing[label]
            yield "failfast_total", (("target", label),), n

    def _reports(self, rows: bool = False) -> Iterator[tuple[Direction, str, Report]]:
        """Of each stack by itself: endpoints are a protocol's, and what they raise costs that protocol's rows."""
        for (direction, protocol), stack in self._stacks.items():
            report = Report(rows)
            try:
                stack.report(report)
            except BaseException:
                self._metrics.failed(owner(protocol), Failure())
            else:
                yield direction, protocol, report
