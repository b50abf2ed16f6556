# -*- test-case-name: tests.stack.test_shared -*-
"""
Tests for L{lproxy.stack.shared}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack import router
from lproxy.stack.shared import Shared
from lproxy.target import Authority, Endpoint, Target
from lproxy.testing import ScriptedService, reported

WEB = Authority("web.local", 80)


class SharedTests(SynchronousTestCase):
    """Two stacks on one router."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.services: list[ScriptedService] = []
        self.router = router.cached(10, 5.0, self.clock)(self.new_service)
        self.addCleanup(self.router.close)
        self.kept: list[Target] = []
        self.one, self.other = Shared(self.router, self.kept), Shared(self.router, [])

    def new_service(self, target: object) -> ScriptedService:
        service = ScriptedService(Endpoint("10.0.0.1", 80))
        self.services.append(service)
        return service

    def test_shared(self) -> None:
        """Both use the same service, and both show it."""
        for stack in (self.one, self.other):
            stack.acquire(WEB)
        self.assertEqual(([2], True), ([one.waiting for one in self.services], self.other.serves(WEB)))
        self.assertEqual([1, 1], [reported(one).total("service_cache_size") for one in (self.one, self.other)])

    def test_keep(self) -> None:
        """What one keeps is made, and known to its owner, who has to say it again."""
        self.one.keep(WEB)
        self.assertEqual((1, [WEB]), (len(self.services), self.kept))
        self.clock.pump([3.0] * 10)
        self.assertEqual(0, self.services[0].closed)

    def test_close(self) -> None:
        """Who closes one closes nothing of it."""
        self.one.acquire(WEB)
        self.one.close()
        self.assertEqual((0, 1), (self.services[0].closed, reported(self.other).total("service_cache_size")))
