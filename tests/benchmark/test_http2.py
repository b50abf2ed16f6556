"""
L{benchmark.http2}: what is asked of our client, and what comes of its words.
"""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import http2, load
from benchmark.http2 import SCENARIOS
from benchmark.peer import Ports, Proxy
from benchmark.peers import PEERS
from benchmark.process import ProcessFailed
from benchmark.settings import Settings


class GenerateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.patch(load, "h2", self.h2)

    def h2(self, how: str, port: int, seconds: float, core: int, raw: object, **more: Any) -> dict[str, float]:
        self.assertEqual((80, 2.0, 3, None), (port, seconds, core, raw))
        self.asked.append((how, more))
        return {"requests": 1000, "bytes": 5_000_000_000, "seconds": 2.0, "p99_us": 500.0, "errors": 0}

    def test_calls(self) -> None:
        """Requests a second, at many streams on few connections; gRPC's with a message."""
        done = http2.calls(message=20)(80, 2.0, Settings(load_core=3), None)
        self.assertEqual((1000, 500.0, 0.5), (done.units, done.values["requests_per_s"], done.values["p99_ms"]))
        self.assertEqual([("calls", {"connections": 4, "streams": 10, "message": 20})], self.asked)

    def test_rate(self) -> None:
        """One that was missed is marked."""
        done = http2.rate(80, 2.0, Settings(load_core=3), None)
        self.assertEqual((False, http2.RATE), (done.reached, self.asked[0][1]["rate"]))

    def test_messages(self) -> None:
        """They are the units."""
        done = http2.messages(80, 2.0, Settings(load_core=3), None)
        self.assertEqual((1000, 500.0), (done.units, done.values["messages_per_s"]))

    def test_bulk(self) -> None:
        """Gigabytes; with errors there is no result."""
        done = http2.bulk(80, 2.0, Settings(load_core=3), None)
        self.assertEqual((5.0, {"gbit_per_s": 20.0, "errors": 0.0}, ""), (done.units, done.values, done.problem))
        self.assertEqual("/bulk/", self.asked[0][1]["path"])
        self.assertTrue(load.bytes_of({"bytes": 5e9, "errors": 1, "seconds": 1.0}).problem)
        self.assertTrue(load.bytes_of({"bytes": 0, "errors": 0, "seconds": 1.0}).problem)


class FakeWindow:
    cpu, seconds, foreign_proxy, foreign_load = 0.02, 1.0, 0.1, 0.2

    def __init__(self, *where: object) -> None: ...

    def __enter__(self) -> "FakeWindow":
        return self

    def __exit__(self, *error: object) -> None: ...


class IdleTests(SynchronousTestCase):
    """A proxy whose memory is what is held: 8 KiB a connection, 2 a stream, 100 an answer once it is there."""

    def setUp(self) -> None:
        self.held = dict.fromkeys(("connections", "streams", "unread"), 0)
        self.closed, self.looks = 0, 0
        self.patch(http2.time, "sleep", lambda seconds: None)
        self.patch(http2, "Window", FakeWindow)
        self.patch(http2, "resident_kib", self.resident)
        self.patch(load, "holding", self.holding)

    def resident(self, pid: int) -> float:
        self.assertEqual(4711, pid)
        self.looks += bool(self.held["unread"])
        late = 100 * self.held["unread"] * (3 < self.looks < 7)
        return 50 * 1024 + 8 * self.held["connections"] + 2 * self.held["streams"] + late

    def open(self, count: int, what: str) -> int:
        self.held[what] += count
        return self.held[what]

    @contextlib.contextmanager
    def holding(self, core: int, *program: str) -> Iterator[Any]:
        self.program = program
        yield SimpleNamespace(open=self.open, finish=lambda: self.closed)

    def run_idle(self) -> dict[str, float]:
        running: Any = SimpleNamespace(pid=4711)
        proxy = Proxy(PEERS["envoy"], Ports(1, 2, 3, ways={"h2": 81, "grpc": 82}), running)
        return SCENARIOS["h2-idle"].run(proxy, Settings()).values

    def test_figures(self) -> None:
        """What further connections and streams add, and the most that unread answers did while they were looked at."""
        found = self.run_idle()
        self.assertEqual((8.0, 200.0), (found["idle_kib_per_connection"], found["streams_kib"]))
        self.assertEqual((100 * 100 / 1024, 50.0), (found["unread_mib"], found["rss_start_mib"]))
        self.assertEqual(("hold", "81", "82"), self.program)
        self.assertEqual({metric.key for metric in SCENARIOS["h2-idle"].expected("envoy")}, set(found))

    def test_closed(self) -> None:
        """A proxy that closed what should have been held has no figures."""
        self.closed = 3
        self.assertIn("closed 3", str(self.assertRaises(ProcessFailed, self.run_idle)))
