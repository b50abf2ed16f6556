# -*- test-case-name: tests.app.test_stacks -*-
"""
Tests for L{lproxy.app.stacks}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.stacks import Stacks
from lproxy.config import Config
from lproxy.discover.memory import Memory
from lproxy.metrics.registry import Metrics
from lproxy.stack.report import Report
from lproxy.target import Authority, Endpoint
from lproxy.testing import ScriptedService

WEB = Authority("web.local", 80)


class StacksTests(SynchronousTestCase):
    """The stacks of a proxy."""

    def setUp(self) -> None:
        self.clock, self.discover = Clock(), Memory()
        self.metrics = Metrics(Config().metrics, self.clock)
        self.stacks = Stacks(Config(), self.clock, self.discover, self.metrics)
        self.addCleanup(self.stacks.close)

    def samples(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The samples of a family, by labels."""
        return {labels: value for family, labels, value in self.stacks.samples() if family == name}

    def test_shared(self) -> None:
        """Whoever asks for a protocol in a direction gets the same stack, and another for anything else."""
        http = self.stacks.acquire("outbound", "http", ScriptedService)
        self.assertIs(http, self.stacks.acquire("outbound", "http", ScriptedService))
        self.assertIsNot(http, self.stacks.acquire("inbound", "http", ScriptedService))
        self.assertIsNot(http, self.stacks.acquire("outbound", "tcp", ScriptedService))

    def test_state(self) -> None:
        """Services are counted for all stacks together."""
        for direction in ("outbound", "inbound"):
            acquire = self.stacks.acquire(direction, "http", ScriptedService)
            waiting = acquire.acquire(WEB)
            self.addCleanup(lambda d: (d.addErrback(lambda _: None), d.cancel()), waiting)
        self.discover.set(WEB, [Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)])
        self.assertEqual({(): 2}, self.samples("service_cache_size"))
        self.assertEqual({(): 2}, self.samples("in_flight"))
        self.assertEqual(["outbound", "inbound"], [row["direction"] for row in self.stacks.describe()])

    def test_failfast(self) -> None:
        """A service that fails at once is shown as such, by its target."""
        acquire = self.stacks.acquire("outbound", "http", ScriptedService)
        waiting = acquire.acquire(WEB)
        self.clock.advance(Config().outbound.failfast)
        self.failureResultOf(waiting)
        target = (("target", "web.local:80"),)
        self.assertEqual([{target: 1}, {target: 1}], [self.samples("failfast_state"), self.samples("failfast_total")])
        other = self.stacks.acquire("outbound", "tcp", ScriptedService).acquire(WEB)
        self.clock.advance(Config().outbound.failfast)
        self.failureResultOf(other)
        self.assertEqual([{target: 1}, {target: 2}], [self.samples("failfast_state"), self.samples("failfast_total")])

    def test_broken(self) -> None:
        """An endpoint that cannot report costs the rows of its protocol, which is named and counted."""

        class Broken(ScriptedService):
            def report(self, report: Report) -> None:
                raise SystemExit

        for protocol, kind in (("http", ScriptedService), ("memo", Broken)):
            waiting = self.stacks.acquire("outbound", protocol, kind).acquire(WEB)
            self.addCleanup(lambda d: (d.addErrback(lambda _: None), d.cancel()), waiting)
        self.discover.set(WEB, [Endpoint("10.0.0.1", 80)])
        self.assertEqual(["http"], [row["protocol"] for row in self.stacks.describe()])
        self.assertEqual({(): 1}, self.samples("service_cache_size"))
        self.assertIn('plugin_errors_total{plugin="memo"} ', b"".join(self.metrics.text()).decode())

    def test_unwatched(self) -> None:
        """Once closed, they are not shown any more."""
        self.assertIn("\nin_flight 0\n", b"".join(self.metrics.text()).decode())
        Stacks(Config(), self.clock, self.discover, self.metrics).close()
        self.assertIn("\nin_flight 0\n", b"".join(self.metrics.text()).decode())
        self.stacks.close()
        self.assertNotIn("\nin_flight 0\n", b"".join(self.metrics.text()).decode())

    def test_close(self) -> None:
        """Closing lets go of every service, and leaves no timer."""
        acquire = self.stacks.acquire("outbound", "http", ScriptedService)
        waiting = acquire.acquire(WEB)
        waiting.addErrback(lambda _: None)
        self.stacks.close()
        self.assertEqual({(): 0}, self.samples("service_cache_size"))
        waiting.cancel()
        self.assertEqual([], self.clock.getDelayedCalls())
