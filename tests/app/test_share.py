# -*- test-case-name: tests.app.test_share -*-
"""
Tests for L{lproxy.app.share}: what goes on from one configuration to the next.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.share import Share, owner
from lproxy.app.slices import PAUSE, SLICE
from lproxy.app.stacks import Stacks
from lproxy.config import Config, Identity, Limits, Listen, Service, Timeouts
from lproxy.discover.memory import Memory
from lproxy.metrics.registry import Metrics
from lproxy.stack.interfaces import Health
from lproxy.target import Authority, Endpoint, Metadata
from lproxy.testing import ScriptedService
from lproxy.transport.connect import ConnectFailed

WEB, APP = Authority("web.local", 80), Authority("app.local", 80)
LISTEN = Listen(name="a", address="127.0.0.1:1")
BOTH = ("10.0.0.1:80", "10.0.0.2:80")


class ShareTests(SynchronousTestCase):
    """One configuration after another."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.stacks = Stacks(self.clock, Metrics(Config().metrics, self.clock), lambda *_: None)
        self.endpoints: list[ScriptedService] = []
        self.shares: list[Share] = []
        self.addCleanup(lambda: [share.close() for share in self.shares])
        self.first = self.take()

    def new_endpoint(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> ScriptedService:
        """One that always has a lease."""
        service = ScriptedService(endpoint, metadata, health)
        service.at_once = service.lease
        self.endpoints.append(service)
        return service

    def take(self, listen: Listen = LISTEN, **config: Any) -> Any:
        """A stack of a configuration that all goes by from now on."""
        services = config.pop("services", {"web.local:80": BOTH, "app.local:80": ("10.0.0.3:80",)})
        tables = {name: one if isinstance(one, Service) else Service(name, one) for name, one in services.items()}
        share = self.stacks.share(Config(listen=(listen,), services=tables, **config), Memory())
        self.shares.append(share)
        stack = share.of(listen)("http", self.new_endpoint)
        share.take()
        return stack

    def ask(self, stack: Any, target: Authority = WEB) -> str:
        """Which endpoint serves."""
        lease = self.successResultOf(stack.acquire(target))
        (endpoint,) = [str(one.key) for one in self.endpoints if one.load]
        lease.close()
        return endpoint

    def use(self, stack: Any) -> list[ScriptedService]:
        """Have all endpoints used; those that there are."""
        for target in (WEB, APP):
            self.ask(stack, target)
        return list(self.endpoints)

    def test_owner(self) -> None:
        """A protocol may have several stacks."""
        self.assertEqual(["http", "http"], [owner(name) for name in ("http", "http/2")])

    def test_warm(self) -> None:
        """What changes elsewhere leaves services, and with them their connections, as they are; for both of them."""
        made = self.use(self.first)
        second = self.take(outbound=Timeouts(acquire=9.0, connect=2.0), limits=Limits(in_flight=7, services=99))
        self.assertEqual(made, self.use(second))
        self.assertEqual(made, self.use(self.first))
        self.assertEqual([0] * 3, [one.closed for one in made])
        self.assertEqual(7, self.stacks.in_flight.limit)

    def test_first_ends(self) -> None:
        """They are not the first one's, and stay when it goes; with the last they go."""
        made = self.use(self.first)
        second = self.take()
        self.shares.pop(0).close()
        self.assertEqual(made, self.use(second))
        self.shares.pop(0).close()
        self.assertEqual([1] * 3, [one.closed for one in made])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_endpoints(self) -> None:
        """Of a service with other endpoints than before, those stay that it still has."""
        one, two, three = self.use(self.first)
        second = self.take(services={"web.local:80": (BOTH[0], "10.0.0.4:80"), "app.local:80": ("10.0.0.3:80",)})
        made = self.use(second)
        self.assertEqual([one, two, three], made[:3])
        self.assertEqual(["10.0.0.4:80"], [str(new.key) for new in made[3:]])
        self.assertEqual([0, 1, 0], [old.closed for old in (one, two, three)])

    def test_gone(self) -> None:
        """A service that the configuration has no more has no endpoints; who comes is told so."""
        self.use(self.first)
        second = self.take(services={"app.local:80": ("10.0.0.3:80",)})
        self.assertEqual([1, 1, 0], [one.closed for one in self.endpoints])
        self.assertNoResult(second.acquire(WEB).addErrback(lambda _: None))
        self.assertEqual([], [row["endpoints"] for row in self.stacks.rows.describe() if row["target"] == str(WEB)][0])

    def test_health(self) -> None:
        """An endpoint that is down stays down."""
        self.use(self.first)
        health: Any = self.endpoints[0].health
        health.failed(ConnectFailed(Endpoint("10.0.0.1", 80), "ECONNREFUSED"))
        second = self.take(limits=Limits(connections=9))
        self.assertEqual({"10.0.0.2:80"}, {self.ask(second) for _ in range(20)})

    def test_failfast(self) -> None:
        """A service that fails at once does so for whoever comes by the next configuration."""
        nobody = {"nobody:80": ()}
        target = Authority("other.local", 80)
        self.first.acquire(target).addErrback(lambda _: None)
        self.clock.advance(Config().outbound.failfast)
        second = self.take(services=nobody)
        self.assertIn("failing at once", str(self.failureResultOf(second.acquire(target)).value))

    def test_settled(self) -> None:
        """Where what a service keeps to is another, it is made anew: for all, or for it alone."""
        made = self.use(self.first)
        for more in (
            {"outbound": Timeouts(failfast=9.0)},
            {"limits": Limits(pool=1)},
            {"identity": Identity("trust.pem", "own.pem", "own.key")},
            {"listen": Listen(name="a", address="127.0.0.1:1", plugins={"http": "other"})},
        ):
            self.assertEqual(set(), set(made) & set(self.use(self.take(**more))[len(made) :]))
            self.assertEqual([1] * len(made), [one.closed for one in made], more)
            self.use(self.take())
            made, self.endpoints = self.endpoints[len(made) + 3 :], self.endpoints[len(made) + 3 :]
        web = Service("web.local:80", BOTH, max_failures=1)
        self.use(self.take(services={"web.local:80": web, "app.local:80": ("10.0.0.3:80",)}))
        self.assertEqual([1, 1, 0, 0, 0], [one.closed for one in self.endpoints])

    def test_in_use(self) -> None:
        """One that is used goes when it is not any more, and what waits for it is served by it."""
        lease = self.successResultOf(self.first.acquire(APP))
        (used,) = self.endpoints
        second = self.take(outbound=Timeouts(failfast=9.0))
        self.successResultOf(second.acquire(APP)).close()
        self.clock.advance(Config().outbound.service_idle)
        self.assertEqual((0, 2), (used.closed, len(self.endpoints)))
        lease.close()
        self.clock.advance(Config().outbound.service_idle)
        self.assertEqual(1, used.closed)

    def test_outward(self) -> None:
        """The way out is the same while its clocks and bounds are; it opens connections as the last one says."""
        connectors: list[Any] = ["one", "two", "three"]
        outward = []
        for connector, pool in zip(connectors, (5, 5, 6), strict=True):
            share = self.stacks.share(Config(limits=Limits(pool=pool)), Memory())
            share.connectors["outbound"] = connector
            outward.append(share.outward("outbound", "http"))
            share.take()
            self.addCleanup(share.close)
        self.assertIs(outward[0], outward[1])
        self.assertEqual((6, outward[0].counters), (outward[2].limits.pool, outward[2].counters))
        connector: Any = outward[0].connector
        self.assertEqual("three", connector.inner)
        self.assertIs(connector, outward[2].connector)

    def ticking(self, services: int) -> tuple[Any, dict[str, tuple[str, ...]]]:
        """So many services, all of which are used; from now on whatever is done takes its time."""
        tables: dict[str, tuple[str, ...]] = {f"s{n}:80": ("10.0.0.1:80",) for n in range(services)}
        stack = self.take(services=tables)
        for n in range(services):
            self.successResultOf(stack.acquire(Authority(f"s{n}", 80))).close()
        self.old = list(self.endpoints)
        self.endpoints.clear()
        ticks = iter(range(1, 1_000_000))
        self.patch(self.clock, "seconds", lambda: self.clock.rightNow + next(ticks) * SLICE / 4)
        return stack, tables

    def test_turns(self) -> None:
        """However many are served, the reactor has its turns in between; who is new goes by the new one at once."""
        _, services = self.ticking(20)
        second = self.take(services={**dict.fromkeys(services, ("10.0.0.2:80",)), "new:80": ("10.0.0.3:80",)})
        self.assertEqual("10.0.0.3:80", self.ask(second, Authority("new", 80)))
        turns = 0
        while len(self.endpoints) < 21:
            before = len(self.endpoints)
            self.clock.pump([PAUSE])
            self.assertLess(len(self.endpoints) - before, 5)
            turns += 1
        self.assertGreater(turns, 3)
        self.clock.pump([PAUSE] * 2)
        self.assertNotIn("_go", str(self.clock.getDelayedCalls()))

    def test_turns_of_the_next(self) -> None:
        """Where another is taken meanwhile, all end up with what that one says."""
        stack, services = self.ticking(20)
        for address in ("10.0.0.2:80", "10.0.0.3:80"):
            stack = self.take(services=dict.fromkeys(services, (address,)))
        self.clock.pump([PAUSE] * 50)
        self.assertEqual({"10.0.0.3:80"}, {self.ask(stack, Authority(f"s{n}", 80)) for n in range(20)})
        self.assertNotIn("_go", str(self.clock.getDelayedCalls()))

    def test_turns_end(self) -> None:
        """With the last one, what is left of them ends."""
        self.ticking(20)
        self.take(services={})
        for share in self.shares:
            share.close()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_anew_in_turns(self) -> None:
        """Services that are begun anew are so at once for whoever asks, and the old ones go in turns."""
        _, services = self.ticking(20)
        second = self.take(services={name: Service(name, one, max_failures=9) for name, one in services.items()})
        self.ask(second, Authority("s7", 80))
        self.assertEqual(1, len(self.endpoints))
        self.assertLess(sum(one.closed for one in self.old), 10)
        self.clock.pump([PAUSE] * 50)
        self.assertEqual([1] * 20, [one.closed for one in self.old])
        self.assertNotIn("_go", str(self.clock.getDelayedCalls()))

    def test_compared(self) -> None:
        """What is found out beforehand is what is found out by itself, also of what is used meanwhile."""
        made = self.use(self.first)
        tables = {"web.local:80": Service("web.local:80", BOTH, max_failures=9)}
        share = self.stacks.share(Config(listen=(LISTEN,), services=tables), Memory())
        self.shares.append(share)
        stack = share.of(LISTEN)("http", self.new_endpoint)
        self.assertEqual(2, len(list(share.compare())))
        other = Authority("other.local", 80)
        self.first.acquire(other).addErrback(lambda _: None)
        share.take()
        self.assertEqual({WEB: True, APP: True}, share.another)
        self.assertEqual([1, 1, 1], [one.closed for one in made])
        self.ask(stack)
        self.assertEqual(len(made) + 2, len(self.endpoints))

    def test_compared_with_another(self) -> None:
        """Where another has been taken meanwhile, it is found out anew."""
        self.use(self.first)
        services = {name: Service(name, BOTH, max_failures=9) for name in ("web.local:80", "app.local:80")}
        share = self.stacks.share(Config(listen=(LISTEN,), services=services), Memory())
        self.shares.append(share)
        share.of(LISTEN)("http", self.new_endpoint)
        list(share.compare())
        made = self.use(self.take(services=services))
        share.take()
        self.assertEqual(0, made[-1].closed)
