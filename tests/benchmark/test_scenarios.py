"""
L{benchmark.scenarios} and L{benchmark.load}: what a load program's words come to.
"""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import load, scenarios
from benchmark.load import Load
from benchmark.metrics import COST, METRICS, THROUGHPUT, metrics
from benchmark.peers import DIRECT, PEERS, Peer, Ports, Proxy
from benchmark.process import ProcessFailed, Running
from benchmark.scenarios import SCENARIOS, loaded
from benchmark.session import ALL_SCENARIOS
from benchmark.settings import Settings


class Process:
    """A process with an id."""

    pid = 4711


class FakeWindow:
    """A window in which the proxy used two seconds of CPU."""

    cpu, foreign_proxy, foreign_load = 2.0, 0.25, 0.5

    def __init__(self, *where: object) -> None: ...

    def __enter__(self) -> "FakeWindow":
        return self

    def __exit__(self, *error: object) -> None: ...


def proxy(peer: Peer) -> Proxy:
    """A proxy that looks as if it ran."""
    running = None if peer.name == DIRECT else Running(peer.name, Process(), Path("log"))  # type: ignore[arg-type]
    return Proxy(peer, Ports(80, 81, 82), running)


class LoadedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(scenarios, "Window", FakeWindow)
        self.patch(scenarios, "resident_kib", lambda pid: 2048.0)
        self.asked: list[float] = []

    def measured(
        self, done: Load, peer: str = "nginx", cpu: str = "cpu_us_per_request", **rest: Any
    ) -> scenarios.Measured:
        def generate(port: int, seconds: float, settings: Settings, raw: Path | None) -> Load:
            self.asked.append(seconds)
            return done

        return loaded("http", generate, cpu, **rest)(proxy(PEERS[peer]), Settings(warmup=0.5, seconds=3))

    def test_cpu(self) -> None:
        """The proxy's CPU is divided by the units of work: microseconds a request, seconds a gigabyte."""
        found = self.measured(Load(1000, 4.0, {"requests_per_s": 250.0}))
        self.assertEqual(
            (2000.0, 50.0, 2.0), tuple(found.values[k] for k in ("cpu_us_per_request", "core_percent", "rss_mib"))
        )
        self.assertEqual((0.25, 0.5), (found.foreign_proxy, found.foreign_load))
        self.assertEqual(0.5, self.measured(Load(4, 4.0), cpu="cpu_s_per_gb").values["cpu_s_per_gb"])

    def test_direct(self) -> None:
        """Direct traffic has no proxy, so nothing is said about one."""
        self.assertEqual({"errors": 0.0}, self.measured(Load(1000, 4.0), DIRECT).values)

    def test_warm_up(self) -> None:
        """The measured part comes after a warm-up, unless there is to be none."""
        self.measured(Load(1, 1.0))
        self.measured(Load(1, 1.0), warm=False)
        self.assertEqual([0.5, 3, 3], self.asked)

    def test_errors(self) -> None:
        """A few errors of a peer are a note; one of lproxy's is a failure."""
        done = Load(1000, 4.0, {"errors": 1.0}, notes=("odd",))
        self.assertEqual(["odd", "1 errors"], self.measured(done).notes)
        self.assertIn("1 errors", str(self.assertRaises(ProcessFailed, self.measured, done, "lproxy")))

    def test_problem(self) -> None:
        """A result that is worth nothing is none."""
        self.assertRaises(ProcessFailed, self.measured, Load(0, 1.0, {}, "no requests"))

    def test_reached(self) -> None:
        """A rate that was missed is told."""
        self.assertFalse(self.measured(Load(1, 1.0, reached=False)).reached)


class ScenarioTests(SynchronousTestCase):
    def test_expected(self) -> None:
        """Direct traffic owes nothing about a proxy; nobody owes what only lproxy can tell."""
        direct = {metric.key for metric in SCENARIOS["http-rate"].expected(DIRECT)}
        mine = {metric.key for metric in SCENARIOS["http-rate"].expected("nginx")}
        self.assertIn("p99_ms", direct)
        self.assertEqual({"cpu_us_per_request", "core_percent", "rss_mib", "p99_added_ms"}, mine - direct)
        self.assertNotIn("reactor_lag_p99_ms", mine)

    def test_need(self) -> None:
        """What is missing is told with how to get it, and nothing where all is there."""
        self.patch(scenarios.shutil, "which", lambda tool: None if tool == "wrk" else f"/bin/{tool}")
        self.assertEqual("no wrk: apt-get install wrk", scenarios.need("wrk", "nginx")())
        self.assertIsNone(scenarios.need("nginx")())

    def test_cost_first(self) -> None:
        """The first metric of every scenario is what a unit of work costs; the table's ratios are taken of it."""
        for scenario in ALL_SCENARIOS.values():
            self.assertIn(scenario.metrics[0].key, COST, scenario.name)

    def test_metrics(self) -> None:
        """Whatever a picture or a ratio is made of, is a metric."""
        self.assertEqual([], [key for key in (*COST, *THROUGHPUT) if key not in METRICS])
        self.assertRaises(KeyError, metrics, "nonsense")


class LoadTests(SynchronousTestCase):
    def test_timed(self) -> None:
        """Our programs' and wrk's microseconds become milliseconds, their units a rate."""
        done = load.timed({"requests": 200, "seconds": 4.0, "p50_us": 1500, "p999_us": 2000, "errors": 0}, "requests")
        self.assertEqual({"requests_per_s": 50.0, "errors": 0, "p50_ms": 1.5, "p999_ms": 2.0}, done.values)
        self.assertEqual((200, ""), (done.units, done.problem))

    def test_problem(self) -> None:
        """One failure in a hundred is borne, two are not; nothing at all is told with its errors."""
        self.assertEqual("", load.problem(1, 99, "requests"))
        self.assertEqual("2 of 100 requests failed", load.problem(2, 98, "requests"))
        self.assertEqual("no requests, 7 errors", load.problem(7, 0, "requests"))
        self.assertEqual("no requests", load.problem(0, 0, "requests"))

    def test_at_rate(self) -> None:
        """A rate that was not reached is marked; without one, nothing is."""
        done = Load(980, 1.0)
        self.assertEqual(("missed the rate: 980 of 1000/s",), load.at_rate(done, 1000.0).notes)
        for fine in (
            load.at_rate(Load(995, 1.0), 1000.0),
            load.at_rate(done, 0.0),
            load.at_rate(done, 1000.0, slack=0.05),
        ):
            self.assertTrue(fine.reached)

    def test_result_line(self) -> None:
        """The last line that begins with RESULT counts; without one, the output is told."""
        self.assertEqual({"a": 2}, load.result_line('x\nRESULT {"a": 1}\nRESULT {"a": 2}\ny\n'))
        self.assertIn("usage", str(self.assertRaises(ProcessFailed, load.result_line, "usage: x")))

    def test_kept(self) -> None:
        """A program's output is kept where somebody wants it, and given on."""
        path = Path(self.mktemp())
        self.assertEqual(("a", "b"), (load.kept("a", None), load.kept("b", path)))
        self.assertEqual("b", path.read_text())
