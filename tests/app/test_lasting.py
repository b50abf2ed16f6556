# -*- test-case-name: tests.app.test_lasting -*-
"""
Tests for L{lproxy.app.lasting}.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import lasting
from lproxy.config import Limits, Service, Timeouts


class SettledTests(SynchronousTestCase):
    """What makes services anew, and what does not."""

    def test_named(self) -> None:
        """Every name is a setting's, so that none is passed over by a slip."""
        for kind, names in ((Limits, lasting.LIMITS), (Timeouts, lasting.TIMEOUTS), (Service, lasting.SERVICE)):
            self.assertEqual(set(), set(names) - {field.name for field in fields(kind)}, kind)

    def test_passed_over(self) -> None:
        """What is looked at elsewhere changes nothing; what services and connections are made with does."""
        same: Any = lasting.timeouts
        self.assertEqual(same(Timeouts()), same(Timeouts(acquire=9.0, connect=9.0, drain=9.0)))
        for name in ("failfast", "backoff_min", "backoff_max", "upstream_idle", "h2_ping"):
            self.assertNotEqual(same(Timeouts()), same(replace(Timeouts(), **{name: 9.0})), name)
        same = lasting.limits
        self.assertEqual(same(Limits()), same(Limits(in_flight=9, services=9)))
        for name in ("pool", "buffer", "h2_connections", "max_failures"):
            self.assertNotEqual(same(Limits()), same(replace(Limits(), **{name: 9})), name)

    def test_service(self) -> None:
        """A service that is served by others, secured otherwise or for others is the same; so is one that is named."""
        same = lasting.service
        self.assertEqual(same(None), same(Service("web", ("10.0.0.1:80",), tls=True, allow=("a",), protocol="http2")))
        self.assertNotEqual(same(None), same(Service("web", max_failures=3)))
