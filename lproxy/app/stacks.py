# -*- test-case-name: tests.app.test_stacks -*-
"""
The acquisition stacks of all protocols in both directions: made for the first who asks, shown to whoever looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from twisted.internet.interfaces import IReactorTime

from lproxy.app import inbound, outbound
from lproxy.app.parts import Parts
from lproxy.config import Config, Direction
from lproxy.metrics.family import Labels
from lproxy.metrics.registry import Metrics
from lproxy.stack.admit import InFlight
from lproxy.stack.backoff import Backoff
from lproxy.stack.compose import find
from lproxy.stack.failfast import FailFast
from lproxy.stack.interfaces import Acquire, Discover, NewEndpoint
from lproxy.stack.lock import Lock
from lproxy.stack.router import CachedRouter


class Stacks:
    """
    One stack per protocol and direction, shared by the listeners.

    @ivar acquires: those that were made, by direction and protocol
    @ivar in_flight: the limit that all of them share
    """

    def __init__(self, config: Config, clock: IReactorTime, discover: Discover, metrics: Metrics) -> None:
        self._config = config
        self._clock = clock
        self._discover = discover
        self._metrics = metrics
        self._random = Random()
        self.in_flight = InFlight(config.limits.in_flight)
        self.acquires: dict[tuple[Direction, str], Acquire] = {}
        metrics.watch(self.samples)

    def acquire(self, direction: Direction, protocol: str, new_endpoint: NewEndpoint) -> Acquire:
        """The stack of C{protocol} in C{direction}, on top of what C{new_endpoint} of the first who asked makes."""
        acquire = self.acquires.get((direction, protocol))
        if acquire is None:
            timeouts = self._config.timeouts(direction)
            parts = Parts(
                self._clock,
                timeouts,
                self._config.limits,
                self.in_flight,
                self._metrics.acquire(direction),
                self._discover,
                Backoff(timeouts.backoff_min, timeouts.backoff_max, self._random),
            )
            build = inbound.acquire if direction == "inbound" else outbound.acquire
            acquire = self.acquires[direction, protocol] = build(parts, new_endpoint)
        return acquire

    def close(self) -> None:
        """Let go of every service."""
        for acquire in self.acquires.values():
            find(acquire, CachedRouter).cache.close()

    def describe(self) -> list[dict[str, Any]]:
        """Rows of C{/services}: state, endpoints, who waits."""
        rows: list[dict[str, Any]] = []
        for (direction, protocol), acquire in self.acquires.items():
            lock = find(acquire, Lock)
            for target, cached in find(acquire, CachedRouter).cache:
                row = {"direction": direction, "protocol": protocol, "target": str(target)}
                rows.append({**row, **cached.describe(), **lock.describe(target)})
        return rows

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        """Of the families in L{lproxy.metrics.acquisition.STATE}."""
        yield "in_flight", (), self.in_flight.count
        yield "in_flight_refused_total", (), self.in_flight.refused
        caches = [find(acquire, CachedRouter).cache for acquire in self.acquires.values()]
        yield "lock_waiters", (), sum(find(acquire, Lock).waiting for acquire in self.acquires.values())
        yield "service_cache_size", (), sum(map(len, caches))
        yield "service_cache_evictions_total", (), sum(cache.evictions for cache in caches)
        cap = self._metrics.cap_target()
        failing: Counter[str] = Counter()
        trips: Counter[str] = Counter()
        for cache in caches:
            for target, cached in cache:
                if isinstance(cached, FailFast) and cached.trips:
                    label = cap(str(target))
                    failing[label] = max(failing[label], int(cached.failing))
                    trips[label] += cached.trips
        for label, n in trips.items():
            yield "failfast_state", (("target", label),), failing[label]
            yield "failfast_total", (("target", label),), n
