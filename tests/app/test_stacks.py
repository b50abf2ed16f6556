# -*- test-case-name: tests.app.test_stacks -*-
"""
Tests for L{lproxy.app.stacks}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.stacks import Share, Stacks
from lproxy.balancing import DEFAULT
from lproxy.config import Config, Direction, Limits, Listen, Service
from lproxy.discover.memory import Memory
from lproxy.metrics.registry import Metrics
from lproxy.profile import RetryBudget
from lproxy.stack.interfaces import Health
from lproxy.stack.lease import ended
from lproxy.stack.report import Report
from lproxy.target import Authority, Endpoint, Metadata, ServiceName
from lproxy.testing import ScriptedService

WEB = Authority("web.local", 80)


def at_once(endpoint: Endpoint, metadata: Metadata, health: Health) -> ScriptedService:
    """An endpoint that always has a lease."""
    service = ScriptedService(endpoint, metadata, health)
    service.at_once = service.lease
    return service


class StacksTests(SynchronousTestCase):
    """The stacks of a proxy."""

    def setUp(self) -> None:
        self.clock, self.discover = Clock(), Memory()
        self.metrics = Metrics(Config().metrics, self.clock)
        self.crashes: list[tuple[str, str]] = []
        self.stacks = Stacks(self.clock, self.metrics, self.crashed)
        self.share = self.make()

    def make(self, **config: Any) -> Share:
        """A configuration's part, by which all goes."""
        share = self.stacks.share(Config(**config), self.discover)
        self.addCleanup(share.close)
        self.take(share)
        return share

    def take(self, share: Share) -> None:
        share.take()

    def acquire(self, direction: Direction, protocol: str, kind: Any, share: Share | None = None) -> Any:
        """A stack of C{share}'s."""
        return (share or self.share).of(Listen(direction=direction))(protocol, kind)

    def crashed(self, protocol: str, failure: Failure, where: str = "") -> None:
        self.crashes.append((protocol, str(failure.value)))

    def samples(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The samples of a family, by labels."""
        return {labels: value for family, labels, value in self.stacks.samples() if family == name}

    def test_shared(self) -> None:
        """Whoever asks for a protocol in a direction gets the same stack, and another for anything else."""
        http = self.acquire("outbound", "http", ScriptedService)
        self.assertIs(http, self.acquire("outbound", "http", ScriptedService))
        self.assertIsNot(http, self.acquire("inbound", "http", ScriptedService))
        self.assertIsNot(http, self.acquire("outbound", "tcp", ScriptedService))

    def test_state(self) -> None:
        """Services are counted for all stacks together."""
        for direction in ("outbound", "inbound"):
            acquire = self.acquire(direction, "http", ScriptedService)
            waiting = acquire.acquire(WEB)
            self.addCleanup(lambda d: (d.addErrback(lambda _: None), d.cancel()), waiting)
        self.discover.set(WEB, [Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)])
        self.assertEqual({(): 2}, self.samples("service_cache_size"))
        self.assertEqual({(): 2}, self.samples("in_flight"))
        self.assertEqual(["outbound", "inbound"], [row["direction"] for row in self.stacks.rows.describe()])

    def test_unused(self) -> None:
        """Services of the configuration that nobody uses are shown as well, last; used by whatever name, once."""
        names = ("web.local:80", "App.local:80", "queue")
        services = {name: Service(name, ("10.0.0.1:80", "10.0.0.2:80")) for name in names}
        share, stacks = self.make(services=services), self.stacks
        rows = [(row["target"], row["state"], row["in_flight"]) for row in stacks.rows.describe()]
        self.assertEqual([(name, "unused", 0) for name in names], rows)
        self.assertEqual(
            [{"address": "10.0.0.1:80"}, {"address": "10.0.0.2:80"}], next(stacks.rows.describe())["endpoints"]
        )
        for target in (ServiceName("web.local:80"), Authority("app.LOCAL", 80), Authority("other.local", 80)):
            waiting = self.acquire("outbound", "http", ScriptedService, share).acquire(target)
            self.addCleanup(lambda d: (d.addErrback(lambda _: None), d.cancel()), waiting)
        states = [(row["target"], row["state"]) for row in stacks.rows.describe()]
        used = [(name, "waiting") for name in ("web.local:80", "app.LOCAL:80", "other.local:80")]
        self.assertEqual([*used, ("queue", "unused")], states)

    def test_split(self) -> None:
        """One that backends serve in its place is not called unused: they have the rows."""
        self.make(services={"web.local:80": Service("web.local:80")})
        (row,) = self.stacks.rows.describe(said=lambda target: {"backends": {"a:80": 1}})
        self.assertEqual(("split", {"a:80": 1}), (row["state"], row["profile"]["backends"]))
        (row,) = self.stacks.rows.describe(said=lambda target: {"routes": 1})
        self.assertEqual("unused", row["state"])

    def test_balancing(self) -> None:
        """A service's own settings go before those of all; before there is a configuration nothing is set."""
        self.assertIs(DEFAULT, Stacks(self.clock, self.metrics, self.crashed)._balancing(WEB))
        web, app = Service("web.local:80", ("10.0.0.1:80",), max_failures=0), Service("app.local:80", ("10.0.0.1:80",))
        services = {service.name: service for service in (web, app)}
        self.make(services=services, limits=Limits(max_failures=7))
        targets = (WEB, ServiceName("app.local:80"), Authority("other.local", 80))
        self.assertEqual([0, 7, 7], [self.stacks._balancing(target).max_failures for target in targets])

    def test_failfast(self) -> None:
        """A service that fails at once is shown as such, by its target."""
        acquire = self.acquire("outbound", "http", ScriptedService)
        waiting = acquire.acquire(WEB)
        self.clock.advance(Config().outbound.failfast)
        self.failureResultOf(waiting)
        target = (("target", "web.local:80"),)
        self.assertEqual([{target: 1}, {target: 1}], [self.samples("failfast_state"), self.samples("failfast_total")])
        other = self.acquire("outbound", "tcp", ScriptedService).acquire(WEB)
        self.clock.advance(Config().outbound.failfast)
        self.failureResultOf(other)
        self.assertEqual([{target: 1}, {target: 2}], [self.samples("failfast_state"), self.samples("failfast_total")])

    def test_budgets(self) -> None:
        """How many further tries each service may have is shown by whom they are shared by."""
        service = Service("web.local:80", ("10.0.0.1:80",))
        share = self.make(services={service.name: service})
        directions: tuple[Direction, ...] = ("outbound", "inbound")
        for direction in directions:
            stack = self.acquire(direction, "http", ScriptedService, share)
            self.assertTrue(stack.budget(WEB, RetryBudget(minimum=5.0)).withdraw())
        stack.budget(Authority("other.local", 80))
        expected = {(("target", "web.local:80"),): 3, (("target", "other.local:80"),): 10}
        self.assertEqual(expected, self.samples("retry_budget_left"))

    def test_broken(self) -> None:
        """An endpoint that cannot report costs the rows of its protocol, which is named and counted."""

        class Broken(ScriptedService):
            def report(self, report: Report) -> None:
                raise SystemExit

        for protocol, kind in (("http", ScriptedService), ("memo", Broken)):
            waiting = self.acquire("outbound", protocol, kind).acquire(WEB)
            self.addCleanup(lambda d: (d.addErrback(lambda _: None), d.cancel()), waiting)
        self.discover.set(WEB, [Endpoint("10.0.0.1", 80)])
        self.assertEqual(["http"], [row["protocol"] for row in self.stacks.rows.describe()])
        self.assertEqual({(): 1}, self.samples("service_cache_size"))
        self.assertIn('plugin_errors_total{plugin="memo"} ', b"".join(self.metrics.text()).decode())

    def test_leases(self) -> None:
        """Leases that are out are known by protocol, and one that is ended twice is told with whose it is."""
        self.discover.set(WEB, [Endpoint("10.0.0.1", 80)])
        stacks = [self.acquire("outbound", name, at_once) for name in ("http", "memo")]
        leases = [self.successResultOf(stack.acquire(WEB)) for stack in (stacks[0], *stacks)]
        self.assertEqual({"http": 2, "memo": 1}, self.stacks.leases())
        self.assertEqual({(): 3}, self.samples("in_flight"))
        for lease in leases:
            lease.close()
        self.assertFalse(ended(leases[-1]))
        self.assertEqual(({"http": 0, "memo": 0}, {(): 0}), (dict(self.stacks.leases()), self.samples("in_flight")))
        ((protocol, text),) = self.crashes
        self.assertEqual("memo", protocol)
        self.assertIn(f"was ended twice, the second time by {__name__}.StacksTests.test_leases, line", text)

    def test_several(self) -> None:
        """A protocol may have several: what they hold is the protocol's, and so is what they do wrong."""
        self.discover.set(WEB, [Endpoint("10.0.0.1", 80)])
        leases = [
            self.successResultOf(self.acquire("outbound", name, at_once).acquire(WEB))
            for name in ("http", "http/2", "http/2")
        ]
        self.assertEqual({"http": 3}, self.stacks.leases())
        self.assertEqual(["http", "http/2"], [row["protocol"] for row in self.stacks.rows.describe()])
        for lease in leases:
            lease.close()
        self.assertEqual({"http": 0}, self.stacks.leases())
        ended(leases[2])
        self.assertEqual(["http"], [protocol for protocol, _ in self.crashes])

    def test_close(self) -> None:
        """Closing lets go of every service, and leaves no timer."""
        acquire = self.acquire("outbound", "http", ScriptedService)
        waiting = acquire.acquire(WEB)
        waiting.addErrback(lambda _: None)
        self.share.close()
        self.share.close()
        self.assertEqual({(): 0}, self.samples("service_cache_size"))
        waiting.cancel()
        self.assertEqual([], self.clock.getDelayedCalls())
