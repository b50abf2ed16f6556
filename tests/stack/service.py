# -*- test-case-name: tests.stack.test_choose -*-
"""
A service for simulations: endpoints that take so long to answer, well or badly, on a clock that is moved by hand.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from twisted.internet.task import Clock

from lproxy.balancing import DEFAULT, Balancing
from lproxy.errors import ProxyError
from lproxy.stack import balance
from lproxy.stack.backoff import Backoff
from lproxy.stack.interfaces import Health, Hint
from lproxy.target import UNKNOWN, Authority, Endpoint, Metadata
from lproxy.testing import ScriptedDiscover, ScriptedService

TARGET = Authority("web.local", 80)


class Errors(ProxyError):
    """An endpoint answers, and cannot serve."""

    layer = "upstream"
    reason = "server_errors"
    in_use = True


class Simulation:
    """
    One service, whose requests come evenly.

    @ivar takes: seconds that an endpoint takes
    @ivar fails: whether its next answer is bad
    @ivar rate: requests a second
    @ivar hint: of the next request
    """

    def __init__(self, settings: Balancing = DEFAULT, rate: int = 500, backoff: float = 0.1) -> None:
        """
        @param backoff: the shortest
        """
        self.clock, self.discover, self.random = Clock(), ScriptedDiscover(), Random(7)
        self.takes: dict[Endpoint, float] = {}
        self.fails: dict[Endpoint, Callable[[], bool]] = {}
        self.rate = rate
        self.hint: Callable[[], Hint | None] = lambda: None
        self.health: dict[Endpoint, Health] = {}
        self.services: dict[Endpoint, ScriptedService] = {}
        self.failed = 0
        self._ends: list[tuple[float, int, Endpoint, float]] = []
        self._sent = 0
        delays = Backoff(backoff, max(5.0, backoff), self.random)
        layer = balance.layer(self.discover, self.clock, delays, lambda target: settings)
        self.service: balance.Balance[Any] = layer(self._made)(TARGET)

    def close(self) -> None:
        self.service.close()

    def set(self, *endpoints: Endpoint, about: Mapping[Endpoint, Metadata] | None = None, takes: float = 0.005) -> None:
        """These serve it now."""
        for endpoint in endpoints:
            self.takes.setdefault(endpoint, takes)
        self.discover.set(TARGET, endpoints, about or {})

    def _made(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> ScriptedService:
        service = self.services[endpoint] = ScriptedService(endpoint, metadata, health)
        self.health[endpoint] = health
        return service

    def _finish(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, _, endpoint, began = heapq.heappop(self._ends)
            self.services[endpoint].load -= 1
            health = self.health[endpoint]
            if self.fails.get(endpoint, bool)():
                self.failed += 1
                health.answered_badly(Errors(endpoint), began)
            else:
                health.took(now - began, now)
                health.answered_well(began)

    def one(self) -> Endpoint:
        """Send a request; who gets it."""
        now = self.clock.seconds()
        self._finish(now)
        for service in self.services.values():
            service.warm = [service.lease()]
            service.load -= 1
        before = {endpoint: service.tried for endpoint, service in self.services.items()}
        assert self.service.try_acquire(self.hint()) is not None
        (endpoint,) = (one for one, service in self.services.items() if service.tried > before[one])
        self.services[endpoint].load += 1
        self._sent += 1
        heapq.heappush(self._ends, (now + self.takes[endpoint], self._sent, endpoint, now))
        self.clock.advance(1 / self.rate)
        return endpoint

    def run_for(self, seconds: float) -> Counter[Endpoint]:
        """Who was asked how often."""
        asked: Counter[Endpoint] = Counter()
        end = self.clock.seconds() + seconds - 1e-9
        while self.clock.seconds() < end:
            asked[self.one()] += 1
        return asked

    def share(self, endpoint: Endpoint, seconds: float) -> float:
        """What part of the requests of so many seconds it gets."""
        return self.run_for(seconds)[endpoint] / (seconds * self.rate)


def about(**known: Any) -> Metadata:
    """What is known of an endpoint."""
    return UNKNOWN._replace(**known)
