# -*- test-case-name: tests.app.workers.test_aggregate -*-
"""
L{lproxy.app.workers.aggregate}: two workers in one process, each of which answers for both.
"""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from lproxy.admin.tapping import RATE, Reader
from lproxy.app.rows import Standing
from lproxy.app.workers import sibling
from lproxy.app.workers.aggregate import Together
from lproxy.app.workers.portion import Portion
from lproxy.metrics.family import Family
from lproxy.protocols.taps import Row, Taps
from tests.app.running import RunningCase, reactor


class FakeWorker:
    """One that has a supervisor: the test."""

    def __init__(self, index: int, ledgers: list[int], table: list[dict[str, Any]]) -> None:
        self.portion = Portion(index, 2)
        self.ledgers = ledgers
        self.answers_at = f"lproxy-test-{os.getpid()}-{secrets.token_hex(4)}"
        self.table = table
        self.told: list[dict[str, Any]] = []

    def ask(self, values: dict[str, Any]) -> Deferred[Any]:
        usage = {"pid": 1, "cpu_seconds": 0.5, "resident_bytes": 20_000_000, "open_fds": 9}
        return succeed({"workers": self.table, "supervisor": usage})

    def tell(self, values: dict[str, Any]) -> None:
        self.told.append(values)


class FakeMetrics:
    """Has counted something."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.inherited: list[Family] = []

    def families(self) -> list[Family]:
        return [Family("x_total", "counter", "h", [((), self.count)]), Family("open", "gauge", "h", [((), 1)])]

    everything = families

    def inherit(self, families: Any) -> None:
        self.inherited = list(families)

    def sweep(self) -> None:
        """There is nothing to forget."""

    def failed(self, plugin: str, failure: Any) -> None:
        raise AssertionError(failure)


class FakeProxy:
    """Says what it is told to."""

    version = "1"

    def __init__(self, count: int) -> None:
        self.metrics = FakeMetrics(count)
        self.taps = Taps()
        self.why: str | None = None
        self.hash = "h"
        self.level = ""
        self.warned: list[str] = []

    def ready(self) -> str | None:
        return self.why

    def describe_config(self) -> dict[str, Any]:
        return {"limits": {}, "live": {"hash": self.hash}}

    def addresses(self) -> dict[str, tuple[str, int]]:
        return {"web": ("127.0.0.1", 80)}

    def glance(self) -> dict[str, Any]:
        return {"live": {}, "listen": []}

    def standings(self, wanted: str) -> list[Standing]:
        return [Standing("web", True, 0, self.metrics.count, lambda: self.services()[0])]

    def unused(self, wanted: str) -> list[dict[str, Any]]:
        return [{"target": "web"}, {"target": "other"}]

    def spoken(self) -> Counter[tuple[str, str]]:
        return Counter({("web", "http"): self.metrics.count})

    def services(self) -> list[dict[str, Any]]:
        return [{"target": "web", "state": "ready", "in_flight": self.metrics.count, "waiters": 0, "endpoints": []}]

    def connections(self, limit: int = 1000) -> list[dict[str, Any]]:
        return [{"client": str(self.metrics.count)}]

    def plugins(self) -> list[dict[str, Any]]:
        return [{"name": "http", "file": "f", "sessions": self.metrics.count, "leases": 0}]

    def failures(self) -> list[dict[str, Any]]:
        return [{"kind": "k", "text": "t", "key": "t", "at": 1.0, "times": self.metrics.count}]

    def set_log_level(self, name: str) -> None:
        if name == "loud":
            raise ValueError(name)
        self.level = name

    def warn(self, kind: str, text: str, parts: object = None, /) -> None:
        self.warned.append(text)


class Written:
    """A request, or what a reader needs of one."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """It keeps up."""

    def write(self, data: bytes) -> None:
        self.rows.append(json.loads(data))


class Counting(Reader):
    """Knows how much it was told."""

    passed_on = 0

    def passed(self, row: Row) -> None:
        self.passed_on += 1
        super().passed(row)


class TogetherTests(RunningCase):
    """Two of them."""

    def setUp(self) -> None:
        super().setUp()
        self.ledgers = [os.memfd_create("ledger") for _ in range(2)]
        for fd in self.ledgers:
            self.addCleanup(os.close, fd)
        self.table: list[dict[str, Any]] = []
        self.proxies = [FakeProxy(1), FakeProxy(10)]
        self.workers = [FakeWorker(index, self.ledgers, self.table) for index in range(2)]
        self.together = [
            Together(proxy, worker, reactor)  # type: ignore[arg-type]
            for proxy, worker in zip(self.proxies, self.workers, strict=True)
        ]
        for one in self.together:
            one.start()
            self.addCleanup(one.stop)
        restarts = {"died": 0, "hung": 0, "ended": 0}
        for worker in self.workers:
            row = {"worker": worker.portion.index, "state": "serving", "at": worker.answers_at, "restarts": restarts}
            self.table.append(row)

    def values(self, one: Together, name: str) -> dict[Any, Any]:
        return {labels: value for family in one.families() if family.name == name for labels, value in family.samples}

    def test_all(self) -> Deferred[None]:
        """Each shows the sum of both."""

        async def go() -> None:
            for one in self.together:
                await one.ask_all("services.json")
                self.assertEqual([11], [row["in_flight"] for row in one.services("we")])
                self.assertEqual([], one.services("nobody"))
                await one.ask_all("plugins")
                self.assertEqual([11], [row["sessions"] for row in one.plugins()])
                await one.ask_all("connections")
                self.assertEqual(2, len(one.connections()))
                await one.ask_all("")
                self.assertIsNone(one.ready())
                (standing,) = one.standings("")
                self.assertEqual(("web", True, 0, 11), standing[:4])
                self.assertEqual(11, (standing.row() or {})["in_flight"])
                self.assertEqual([{"target": "other"}], one.unused(""))
                self.assertEqual({("web", "http"): 11}, one.spoken())
                self.assertEqual({"live": {}, "listen": []}, one.glance())
                self.assertEqual([(0, "1"), (1, "10")], [(row["worker"], row["client"]) for row in one.connections()])
                self.assertEqual([11], [row["times"] for row in one.failures()])
                self.assertEqual({(): 11}, self.values(one, "x_total"))
                self.assertEqual({(): 2}, self.values(one, "open"))
                self.assertEqual({(("worker", "0"),): 1, (("worker", "1"),): 1}, self.values(one, "worker_up"))
                resident = self.values(one, "process_resident_memory_bytes")
                self.assertEqual({(("worker", "supervisor"),): 20_000_000}, resident)
                self.assertEqual({"web": ("127.0.0.1", 80)}, one.addresses())
                self.assertNotIn("at", one.workers()[0])
            text = b"".join(self.together[0].text()).decode()
            self.assertIn("x_total 11\n", text)
            self.assertTrue(b"".join(self.together[0].text(True)).decode().endswith("# EOF\n"))

        return Deferred.fromCoroutine(go())

    def test_not_ready(self) -> Deferred[None]:
        """One that is not ready makes all of it not so, and is named; so does one that is not there."""

        async def go() -> None:
            self.proxies[1].why = "kafka: no seed"
            await self.together[0].ask_all("ready")
            self.assertEqual("worker 1: kafka: no seed", self.together[0].ready())
            self.table[1].update(state="starting", at="")
            await self.together[0].ask_all("ready")
            self.assertEqual("worker 1 is starting", self.together[0].ready())

        return Deferred.fromCoroutine(go())

    def test_tap(self) -> Deferred[None]:
        """Who reads one is told what ends in both, each with its worker; once it leaves, nobody is asked any more."""

        async def go() -> None:
            request = Written()
            reader = Reader(request, {"status": "5xx"}, reactor)
            self.together[0].taps.add(reader)
            await self.until(lambda: self.proxies[1].taps.on)
            for n, proxy in enumerate(self.proxies):
                proxy.taps({"status": 500 + n, "path": "/a?b"})
                proxy.taps({"status": 200})
            await self.until(lambda: len(request.rows) == 2)
            expected = [{"worker": n, "status": 500 + n, "path": "/a?..."} for n in range(2)]
            self.assertEqual(expected, request.rows)
            self.together[0].taps.remove(reader)
            await self.until(lambda: not self.proxies[1].taps.on)
            self.assertFalse(self.proxies[0].taps.on)

        return Deferred.fromCoroutine(go())

    def test_tap_limit(self) -> Deferred[None]:
        """The limit of lines a second is the sum's, and so is what is said to be left out."""

        async def go() -> None:
            clock, request = Clock(), Written()
            reader = Counting(request, {}, clock)
            self.together[0].taps.add(reader)
            await self.until(lambda: self.proxies[1].taps.on)
            # what each of them may say by itself, and both together may not
            for _ in range(RATE - 50):
                for proxy in self.proxies:
                    proxy.taps({})
            await self.until(lambda: reader.passed_on == 2 * RATE - 100)
            self.assertEqual(RATE, len(request.rows))
            clock.advance(1.0)
            self.proxies[1].taps({})
            await self.until(lambda: len(request.rows) > RATE)
            self.assertEqual({"worker": 1, "dropped": RATE - 100}, request.rows[-1])
            self.together[0].taps.remove(reader)
            await self.until(lambda: not self.proxies[1].taps.on)

        return Deferred.fromCoroutine(go())

    def test_gone(self) -> Deferred[None]:
        """What one that is gone has counted stays in the sums, what it had open does not; its successor goes on."""

        async def go() -> None:
            one, other = self.together
            await one.ask_all("metrics")
            self.assertEqual(({(): 11}, {(): 2}), (self.values(one, "x_total"), self.values(one, "open")))
            await other.stop()
            self.table[1].update(state="down", at="")
            await one.ask_all("metrics")
            self.assertEqual(({(): 11}, {(): 1}), (self.values(one, "x_total"), self.values(one, "open")))
            self.assertEqual({(("worker", "0"),): 1, (("worker", "1"),): 0}, self.values(one, "worker_up"))
            successor = FakeProxy(0)
            again = Together(successor, self.workers[1], reactor)  # type: ignore[arg-type]
            again.start()
            self.assertEqual(["x_total"], [family.name for family in successor.metrics.inherited])
            self.assertEqual([[((), 10)]], [list(family.samples) for family in successor.metrics.inherited])
            await again.stop()

        return Deferred.fromCoroutine(go())

    def test_hangs(self) -> Deferred[None]:
        """One that does not answer is named; what it has and had counted is shown as it was last known."""

        async def go() -> None:
            one = self.together[0]
            self.patch(sibling, "PATIENCE", 0.05)
            await self.together[1].stop()
            await one.ask_all("")
            self.assertEqual("worker 1 is silent", one.ready())
            self.assertEqual(({(): 11}, {(): 2}), (self.values(one, "x_total"), self.values(one, "open")))
            self.table[1].update(state="hung")
            await one.ask_all("")
            self.assertEqual("worker 1 is hung", one.ready())

        return Deferred.fromCoroutine(go())

    def test_differs(self) -> Deferred[None]:
        """Where one has another configuration, that is said."""

        async def go() -> None:
            await self.together[0].ask_all("config")
            self.assertEqual([], self.together[0].describe_config()["live"]["differs_in_workers"])
            self.proxies[1].hash = "other"
            await self.together[0].ask_all("config")
            self.assertEqual([1], self.together[0].describe_config()["live"]["differs_in_workers"])

        return Deferred.fromCoroutine(go())

    def test_commands(self) -> None:
        """A shutdown and a log level are everybody's; a level that there is not is nobody's."""
        one, worker = self.together[0], self.workers[0]
        one.set_log_level("DEBUG")
        one.shutdown()
        self.assertEqual([{"do": "level", "level": "debug"}, {"do": "shutdown"}], worker.told)
        self.assertRaises(ValueError, one.set_log_level, "loud")
        self.assertEqual(2, len(worker.told))

    def test_no_supervisor(self) -> Deferred[None]:
        """Without a supervisor it shows what it knows, and says so in the log."""

        async def go() -> None:
            self.workers[0].ask = lambda values: Deferred()  # type: ignore[method-assign]
            from lproxy.app.workers import aggregate

            self.patch(aggregate, "PATIENCE", 0.05)
            await self.together[0].ask_all("")
            self.assertIn("the supervisor does not answer", self.proxies[0].warned[0])

        return Deferred.fromCoroutine(go())
