"""
L{benchmark.observing}: two processes in turns, and what is made of that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import observing
from benchmark.collector import Collector
from benchmark.load import Load
from benchmark.observing import Side
from benchmark.peer import LOG_JSON, LOG_TEXT, SCRAPED, TRACE_SOME, Ports, Proxy, Setting
from benchmark.peers import PEERS
from benchmark.process import ProcessFailed
from benchmark.settings import Settings
from benchmark.upstreams import Upstreams


class Process:
    pid = 7


class ScriptedWindow:
    """A window in which the observed process used 30 and the other 20 microseconds for a request."""

    foreign_proxy = 0.25
    foreign_load = 0.5

    def __init__(self, pid: int, proxy_core: int, load_core: int) -> None:
        self.cpu = 0.03 if pid == 8 else 0.02

    def __enter__(self) -> "ScriptedWindow":
        return self

    def __exit__(self, *what: object) -> None:
        pass


class RunTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[tuple[int, float]] = []
        self.setting = Setting(Path("x"), Ports(80, 81, 82), Upstreams(1, 2, 3), 100)
        self.proxy = Proxy(PEERS["lproxy"], self.setting.ports, Process(), setting=self.setting)  # type: ignore[arg-type]
        self.told: list[Setting] = []
        self.lines = b""

        def http(port: int, seconds: float, core: int, raw: Path | None = None) -> Load:
            self.asked.append((port, seconds))
            return Load(1000, seconds, {"p99_ms": 2.0, "requests_per_s": 1.0, "errors": 0.0})

        @contextmanager
        def beside(proxy: Proxy, settings: Settings, setting: Setting) -> Iterator[Side]:
            self.told.append(setting)
            yield Side(90, 8)
            (setting.directory / "access.log").write_bytes(self.lines)

        self.patch(observing.load, "http", http)
        self.patch(observing, "beside", beside)
        self.patch(observing, "Window", ScriptedWindow)
        self.patch(observing, "resident_kib", lambda pid: 2048.0)

    def run_it(self, how: str) -> Any:
        return observing.run(how, self.proxy, Settings(warmup=1, seconds=2, load_core=1))

    def test_turns(self) -> None:
        """Both are warmed up, then measured in turns; a figure is of all turns together."""
        self.lines = b"GET /item/1\n" * 2_940 + b"* /\n"
        found = self.run_it(LOG_JSON)
        self.assertEqual([(80, 1), (90, 1), (80, 2), (90, 2), (90, 2), (80, 2)], self.asked)
        values = found.values
        self.assertAlmostEqual(1.5, values["of_unobserved"])
        self.assertAlmostEqual(20.0, values["cpu_us_unobserved"])
        self.assertAlmostEqual(30.0, values["cpu_us_per_request"])
        self.assertAlmostEqual(98.0, values["observed_percent"])
        self.assertEqual((500.0, 2.0), (values["requests_per_s"], values["p99_ms"]))
        self.assertEqual((0.25, 0.5), (found.foreign_proxy, found.foreign_load))

    def test_setting(self) -> None:
        """The observed one has files and ports of its own, what stands behind it is the same; a collector runs."""
        self.patch(Collector, "traces", lambda collector: 30)
        found = self.run_it(TRACE_SOME)
        (setting,) = self.told
        self.assertEqual((TRACE_SOME, self.setting.upstreams), (setting.observe, setting.upstreams))
        self.assertNotIn(setting.ports.http, (None, 80))
        self.assertNotIn(setting.collector, (None, 0))
        self.assertAlmostEqual(1.0, found.values["observed_percent"])

    def test_scraped(self) -> None:
        """Somebody scrapes the observed one; nothing can be seen of single requests."""
        asked: list[tuple[int, str]] = []

        @contextmanager
        def scraping(port: int, path: str) -> Iterator[None]:
            asked.append((port, path))
            yield

        self.patch(observing, "scraping", scraping)
        found = self.run_it(SCRAPED)
        self.assertEqual([(self.told[0].ports.admin, "/metrics")], asked)
        self.assertNotIn("observed_percent", found.values)

    def test_failed(self) -> None:
        """Where requests fail nothing was measured."""
        self.patch(observing.load, "http", lambda *what, **more: Load(0, 1.0, {"errors": 1.0}))
        self.assertRaises(ProcessFailed, self.run_it, LOG_TEXT)

    def test_metrics(self) -> None:
        """A run has all the figures of its scenario but what lproxy's metrics have."""
        for name in (LOG_JSON, SCRAPED):
            self.patch(observing, "scraping", lambda port, path: observing.nullcontext())
            wanted = {metric.key for metric in observing.SCENARIOS[name].metrics} - {"reactor_lag_p99_ms"}
            self.assertEqual(set(), wanted - set(self.run_it(name).values) - {"p50_ms", "p90_ms", "p999_ms"})


class MissingTests(SynchronousTestCase):
    def test_packages(self) -> None:
        """A package that is not installed is told with the way to get it."""
        self.patch(observing, "need", lambda *tools: lambda: None)
        self.assertIsNone(observing.missing(("json",)))
        self.assertIn("pip install", observing.missing(("no_such_package",)) or "")

    def test_tools(self) -> None:
        """So is a program."""
        self.patch(observing, "need", lambda *tools: lambda: "no wrk")
        self.assertEqual("no wrk", observing.missing())
