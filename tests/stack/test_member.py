# -*- test-case-name: tests.stack.test_member -*-
"""
Tests for L{lproxy.stack.member}.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.balancing import DEFAULT, HealthCheck
from lproxy.stack.backoff import Backoff
from lproxy.stack.health import EndpointHealth, ServiceHealth
from lproxy.stack.member import Member
from lproxy.target import UNKNOWN, Authority, Endpoint
from lproxy.testing import ScriptedService, shown

ENDPOINT = Endpoint("10.0.0.1", 80)
CHECK = HealthCheck(interval=1.0)


class MemberTests(SynchronousTestCase):
    """An endpoint of weight 3, in a zone, eased in within ten seconds."""

    def setUp(self) -> None:
        self.clock = Clock()
        settings = replace(DEFAULT, slow_start=10.0, check=CHECK)
        self.shared = ServiceHealth(Authority("web", 80), self.clock, Backoff(1.0, 5.0, Random(1)), settings)
        self.service = ScriptedService(ENDPOINT)
        self.health = EndpointHealth(self.shared, ENDPOINT)
        self.member = Member(ENDPOINT, UNKNOWN._replace(weight=3, zone="eu-1"), self.service, self.health)

    def test_part(self) -> None:
        """Its part is its weight, less at first where it is eased in."""
        self.assertEqual(3.0, self.member.part(0.0))
        self.health.ease()
        self.assertEqual([0.3, 1.5, 3.0, 3.0], [round(self.member.part(now), 6) for now in (0.0, 5.0, 10.0, 1000.0)])

    def test_checked(self) -> None:
        """It is asked as its service has it, and what it says is its health's."""
        self.member.watch(self.shared)
        self.clock.advance(0.1)
        self.service.checks.pop().callback(None)
        self.assertEqual({"ok": 1}, self.health.counter.checks)
        self.member.close()
        self.assertEqual(([], 1), (self.clock.getDelayedCalls(), self.service.closed))

    def test_unchecked(self) -> None:
        """Where it has nothing of the kind there is no timer."""
        self.shared.settings = DEFAULT
        self.member.watch(self.shared)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_report(self) -> None:
        """Weight and zone can be seen, where there is more to say than usual."""
        self.assertEqual({"state": "healthy", "weight": 3, "zone": "eu-1"}, shown(self.member))
        self.member.metadata = UNKNOWN
        self.assertEqual({"state": "healthy"}, shown(self.member))
