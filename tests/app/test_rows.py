# -*- test-case-name: tests.app.test_rows -*-
"""
Tests for L{lproxy.app.rows}; what rows there are is in L{tests.app.test_stacks}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.stacks import Stacks
from lproxy.config import Config, Listen, Service
from lproxy.discover.memory import Memory
from lproxy.metrics.registry import Metrics
from lproxy.target import Authority, Endpoint, Target
from lproxy.testing import ScriptedService
from lproxy.transport.connect import ConnectFailed

WEB, APP = Authority("web.local", 80), Authority("app.local", 80)


class RowsTests(SynchronousTestCase):
    """Of two services that are used, and one that is not."""

    def setUp(self) -> None:
        self.stacks = Stacks(Clock(), Metrics(Config().metrics, Clock()), lambda *_: None)
        self.endpoints: list[ScriptedService] = []
        addresses = ("10.0.0.1:80", "10.0.0.2:80")
        services = {name: Service(name, addresses) for name in ("web.local:80", "app.local:80", "idle.local:80")}
        share = self.stacks.share(Config(services=services), Memory())
        self.addCleanup(share.close)
        self.stack = stack = share.of(Listen())("http", self.new_endpoint)
        share.take()
        for target in (WEB, APP):
            waiting = stack.acquire(target)
            waiting.addErrback(lambda _: None)
            waiting.cancel()

    def new_endpoint(self, endpoint: Endpoint, metadata: Any, health: Any) -> ScriptedService:
        self.endpoints.append(ScriptedService(endpoint, metadata, health))
        return self.endpoints[-1]

    def said(self, target: Target) -> dict[str, Any] | None:
        return {"routes": 3} if target == WEB else None

    def test_standings(self) -> None:
        """In short, how each does that is used; the rest of it for whoever asks."""
        health: Any = self.endpoints[0].health
        health.failed(ConnectFailed(Endpoint("10.0.0.1", 80), "ECONNREFUSED"))
        web, app = self.stacks.rows.standings(said=self.said)
        self.assertEqual(("web.local:80", True, 1, 0), web[:4])
        self.assertEqual(("app.local:80", True, 0, 0), app[:4])
        row = web.row()
        assert row is not None
        self.assertEqual(("degraded", {"routes": 3}, 0), (row["state"], row["profile"], row["waiters"]))
        self.assertEqual(["app.local:80"], [one.target for one in self.stacks.rows.standings("app")])

    def test_budget(self) -> None:
        """Once somebody has a budget for retries, what is left of it."""
        (web, _) = (one.row() for one in self.stacks.rows.standings())
        assert web is not None
        self.assertNotIn("retry_budget_left", web)
        self.stack.budget(WEB)
        (web, _) = (one.row() for one in self.stacks.rows.standings())
        assert web is not None
        self.assertEqual(10, web["retry_budget_left"])

    def test_unused(self) -> None:
        """The others, by their names."""
        self.assertEqual(["idle.local:80"], [row["target"] for row in self.stacks.rows.unused()])
        self.assertEqual([], list(self.stacks.rows.unused("web")))

    def test_describe(self) -> None:
        """All of both, one at a time."""
        rows = self.stacks.rows.describe("l", self.said)
        self.assertEqual("web.local:80", next(rows)["target"])
        self.assertEqual(["app.local:80", "idle.local:80"], [row["target"] for row in rows])
