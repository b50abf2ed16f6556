# -*- test-case-name: tests.stack.test_balance_slow -*-
"""
L{lproxy.stack.balance} with endpoints that differ in speed: a simulation, with a clock of its own and a fixed seed.
"""

from __future__ import annotations

import heapq
from collections import Counter
from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack import balance
from lproxy.stack.backoff import Backoff
from lproxy.stack.interfaces import Health
from lproxy.target import Authority, Endpoint, Metadata
from lproxy.testing import ScriptedDiscover, ScriptedService

TARGET = Authority("web.local", 80)
ENDPOINTS = [Endpoint(f"10.0.0.{n}", 80) for n in range(10)]
SLOW = ENDPOINTS[3]
#: requests a second
RATE = 500


class SlowTests(SynchronousTestCase):
    """Ten endpoints that answer in 5 ms, and 500 requests a second."""

    def setUp(self) -> None:
        self.clock, self.discover, random = Clock(), ScriptedDiscover(), Random(7)
        self.takes = dict.fromkeys(ENDPOINTS, 0.005)
        self.health: dict[Endpoint, Health] = {}
        self.services: dict[Endpoint, ScriptedService] = {}
        self.ends: list[tuple[float, int, Endpoint, float]] = []
        self.sent = 0
        self.service: balance.Balance = balance.layer(self.discover, self.clock, Backoff(0.1, 5.0, random))(self.made)(
            TARGET
        )
        self.addCleanup(self.service.close)
        self.discover.set(TARGET, ENDPOINTS)

    def made(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> ScriptedService:
        service = self.services[endpoint] = ScriptedService(endpoint, metadata, health)
        self.health[endpoint] = health
        return service

    def run_for(self, seconds: float) -> Counter[Endpoint]:
        """Who was asked how often."""
        asked: Counter[Endpoint] = Counter()
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            now = self.clock.seconds()
            while self.ends and self.ends[0][0] <= now:
                _, _, endpoint, began = heapq.heappop(self.ends)
                self.services[endpoint].load -= 1
                self.health[endpoint].took(now - began, now)
            for service in self.services.values():
                service.warm = [service.lease()]
                service.load -= 1
            before = {endpoint: len(service.warm) for endpoint, service in self.services.items()}
            self.assertIsNotNone(self.service.try_acquire())
            (endpoint,) = (one for one, service in self.services.items() if len(service.warm) < before[one])
            self.services[endpoint].load += 1
            self.sent += 1
            heapq.heappush(self.ends, (now + self.takes[endpoint], self.sent, endpoint, now))
            asked[endpoint] += 1
            self.clock.advance(1 / RATE)
        return asked

    def share(self, seconds: float) -> float:
        """What part of the requests of so many seconds the slow one got."""
        return self.run_for(seconds)[SLOW] / (seconds * RATE)

    def test_fair(self) -> None:
        """Where all are the same, all get about the same."""
        asked = self.run_for(10.0)
        self.assertTrue(all(350 < asked[endpoint] < 650 for endpoint in ENDPOINTS), asked)

    def test_slow(self) -> None:
        """One that becomes slow loses most of its traffic within a second, without any failure."""
        self.run_for(5.0)
        self.takes[SLOW] = 0.5
        self.run_for(1.0)
        self.assertTrue(self.share(5.0) < 0.02, "of 0.1")

    def test_back(self) -> None:
        """One that has recovered gets its share again, and keeps it: no oscillation."""
        self.takes[SLOW] = 0.5
        self.run_for(5.0)
        self.takes[SLOW] = 0.005
        self.run_for(90.0)
        shares = [self.share(2.0) for _ in range(10)]
        self.assertTrue(all(0.05 < share < 0.15 for share in shares), shares)
