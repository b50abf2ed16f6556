"""
L{benchmark.scenarios}: what a load comes to, and what each scenario owes.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import matrix, scenarios
from benchmark.load import Load
from benchmark.metrics import COST, THROUGHPUT
from benchmark.peer import DIRECT, Peer, Ports, Proxy
from benchmark.peers import PEERS
from benchmark.process import ProcessFailed, Running
from benchmark.scenarios import SCENARIOS, Scenario, loaded
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

    def test_raw(self) -> None:
        """What the load program prints is kept for the measured part alone: a warm-up would be taken for the result."""
        raws: list[Path | None] = []

        def generate(port: int, seconds: float, settings: Settings, raw: Path | None) -> Load:
            raws.append(raw)
            return Load(1, 1.0)

        path = Path("raw.txt")
        loaded("http", generate, "cpu_us_per_request")(replace(proxy(PEERS[DIRECT]), raw=path), Settings(warmup=1))
        self.assertEqual([None, path], raws)

    def test_port(self) -> None:
        """The load goes to the listener that was asked for; one that is not there is told by name."""
        ports = []

        def generate(port: int, *rest: Any) -> Load:
            ports.append(port)
            return Load(1, 1.0)

        for listener in ("http", "tcp", "echo"):
            loaded(listener, generate, "cpu_us_per_request")(proxy(PEERS[DIRECT]), Settings(warmup=0))
        self.assertEqual([80, 81, 82], ports)
        run = loaded("kafka", generate, "cpu_us_per_request")
        self.assertIn("kafka", str(self.assertRaises(AssertionError, run, proxy(PEERS[DIRECT]), Settings())))

    def test_no_errors(self) -> None:
        """A run without errors says so in a figure, and in no note."""
        found = self.measured(Load(1000, 4.0))
        self.assertEqual((0.0, []), (found.values["errors"], found.notes))

    def test_errors(self) -> None:
        """A few errors of a peer are a note; one of lproxy's is a failure."""
        done = Load(1000, 4.0, {"errors": 1.0}, notes=("odd",))
        self.assertEqual(["odd", "1 errors"], self.measured(done).notes)
        self.assertIn("1 errors", str(self.assertRaises(ProcessFailed, self.measured, done, "lproxy")))

    def test_problem(self) -> None:
        """A result that is worth nothing is none."""
        self.assertRaises(ProcessFailed, self.measured, Load(0, 1.0, {}, "no requests"))

    def test_problem_first(self) -> None:
        """What the load program found wrong is the reason given, not the errors that it comes with, nor a division."""
        done = Load(0, 0.0, {"errors": 9.0}, "no requests, 9 errors")
        for peer in ("lproxy", "nginx", DIRECT):
            self.assertEqual("no requests, 9 errors", str(self.assertRaises(ProcessFailed, self.measured, done, peer)))

    def test_reached(self) -> None:
        """A rate that was missed is told, and is no failure, even of lproxy's."""
        found = self.measured(Load(1, 1.0, notes=("missed the rate",), reached=False), "lproxy")
        self.assertEqual((False, ["missed the rate"]), (found.reached, found.notes))


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
        self.patch(scenarios.shutil, "which", lambda tool: None)
        self.assertEqual(2, str(scenarios.need("wrk", "nginx")()).count("apt-get install"))

    def every(self) -> list[Scenario]:
        """With a fixed name, and of the matrix."""
        words = ["protocol=http,http-churn,tcp", "rate=1000,max"]
        return [*ALL_SCENARIOS.values(), *matrix.scenarios(matrix.parse(words))]

    def test_cost_first(self) -> None:
        """The first metric of every scenario is what a unit of work costs; the table's ratios are taken of it."""
        for scenario in self.every():
            self.assertIn(scenario.metrics[0].key, COST, scenario.name)

    def test_once(self) -> None:
        """No scenario has a metric twice, or two kinds of cost: a table would show one of them."""
        for scenario in self.every():
            keys = [metric.key for metric in scenario.metrics]
            self.assertEqual(len(keys), len(set(keys)), scenario.name)
            self.assertEqual(1, len(set(keys) & set(COST)), scenario.name)
            self.assertTrue(set(keys) & {*THROUGHPUT, "idle_kib_per_connection", "kib_per_profile"}, scenario.name)

    def test_difference_of_something(self) -> None:
        """A scenario with a difference to direct traffic measures what that is a difference of, directly too."""
        for scenario in self.every():
            for metric in scenario.metrics:
                if metric.added:
                    self.assertIn(metric.added, {one.key for one in scenario.expected(DIRECT)}, scenario.name)
                    self.assertTrue(scenario.direct, scenario.name)

    def test_errors_everywhere(self) -> None:
        """Every scenario counts errors, so that a result with none is complete and one without the figure is not."""
        for scenario in self.every():
            self.assertIn("errors", {metric.key for metric in scenario.expected("nginx")}, scenario.name)

    def test_labels(self) -> None:
        """A rate is what the scenario or the settings say, or max; idle connections are as many as the settings say."""
        settings = Settings(rate=1234567.5, idle=77)
        found = {name: one.shape.labels(settings) for name, one in SCENARIOS.items()}
        self.assertEqual(("1234567.5", "max"), tuple(found[at]["target_per_s"] for at in ("http-rate", "http")))
        self.assertEqual((77, 8), (found["idle"]["connections"], found["churn"]["connections"]))
