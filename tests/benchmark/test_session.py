"""
L{benchmark.session}: what is run, in which order, and what a run's result is.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import matrix, session, stock
from benchmark.metrics import metrics
from benchmark.peer import DIRECT, Peer, Ports, Proxy
from benchmark.peers import PEERS
from benchmark.process import ProcessFailed
from benchmark.scenarios import SCENARIOS, Measured, Scenario, Shape
from benchmark.session import Plan, Run
from benchmark.settings import Settings
from benchmark.upstreams import Upstreams

SETTINGS = Settings()
NONE = PEERS[DIRECT]
BEHIND = Upstreams(1, 2, 3)


def peer(name: str, *listeners: str) -> Peer:
    return Peer(name, lambda: None, lambda setting: [name], frozenset(listeners or ("http", "tcp")))


def scenario(name: str, listener: str = "http", **rest: Any) -> Scenario:
    def run(proxy: Proxy, settings: Settings) -> Measured:
        return Measured({"p99_ms": 1.0})

    given: dict[str, Any] = {"run": run, "metrics": metrics("p99_ms")} | rest
    return Scenario(name, "why?", Shape(name, "http"), listener, **given)


class PlanTests(SynchronousTestCase):
    def test_missing(self) -> None:
        """What is not installed is left out, with a line that says how to get it; the rest stays."""
        lacking = replace(peer("x"), missing=lambda: "no x: get x")
        found = session.plan([scenario("a"), scenario("b", missing=lambda: "no b: get b")], [lacking, peer("y")])
        self.assertEqual((["a"], ["y"]), ([one.name for one in found.scenarios], [one.name for one in found.peers]))
        self.assertEqual(["scenario b left out: no b: get b", "proxy x left out: no x: get x"], found.missing)

    def test_idle_proxies(self) -> None:
        """A proxy that serves none of the listeners in use is not missed, installed or not."""
        lacking = replace(peer("x", "kafka"), missing=lambda: "no x")
        self.assertEqual(
            ([], []), (session.plan([scenario("a")], [lacking]).peers, session.plan([scenario("a")], [lacking]).missing)
        )

    def test_unable(self) -> None:
        """What a proxy cannot do is said once, with the reason, even of one that can do nothing of what is asked."""
        unable = [replace(peer(name, "http"), cannot={"tcp": "no bytes"}) for name in "xy"]
        found = session.plan([scenario("a", "tcp"), scenario("b", "tcp"), scenario("c", "echo")], unable)
        self.assertEqual(([], [f"a, b without {name}: no bytes" for name in "xy"]), (found.peers, found.unable))
        self.assertEqual([], found.missing)

    def test_direct_where_needed(self) -> None:
        """Where a figure is a difference to direct traffic, that is measured even if nobody asked; else it is not."""
        added = scenario("a", metrics=metrics("p99_ms", "p99_added_ms"))
        self.assertEqual([DIRECT, "x"], [one.name for _, one in Plan([added], [peer("x")], []).pairs()])
        self.assertEqual(["x"], [one.name for _, one in Plan([scenario("a")], [peer("x")], []).pairs()])
        self.assertEqual(
            ["x"], [one.name for _, one in Plan([scenario("a", direct=False)], [NONE, peer("x")], []).pairs()]
        )


class OrderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.plan = Plan([scenario("a"), scenario("b", "tcp")], [peer("x"), peer("y"), peer("z", "http")], [])
        self.slots = [(number, one.name, other.name) for number, one, other in self.plan.order(3)]

    def test_everything_once(self) -> None:
        """Every round has every proxy in every scenario that it serves, once."""
        self.assertEqual(3 * (3 + 2), len(set(self.slots)))
        self.assertEqual(len(self.slots), len(set(self.slots)))

    def test_interleaved(self) -> None:
        """All proxies take their turn at one scenario before the next, and a round ends before the next begins."""
        places = [slot[:2] for slot in self.slots]
        self.assertEqual(sorted(places), places)

    def test_turns(self) -> None:
        """Another proxy comes first in each round."""
        first = [next(slot[2] for slot in self.slots if slot[:2] == (number, "a")) for number in (1, 2, 3)]
        self.assertEqual(["x", "y", "z"], first)

    def test_nothing(self) -> None:
        """Without proxies there is nothing to do."""
        self.assertEqual([], list(Plan([scenario("a")], [], []).order(3)))


class NameTests(SynchronousTestCase):
    def test_unique(self) -> None:
        """No two runs of a session share a file name, whatever varies; and none needs a folder."""
        words = ["protocol=http,http-churn,tcp", "body=10,200", "rate=1234567,1234568,max", "connections=1,2"]
        asked = matrix.parse([*words, "reactor=epoll,poll", "python=none,-O"])
        peers = matrix.contenders(
            asked, [NONE, PEERS["lproxy"], stock.PEER, peer("a/b"), peer("nginx", "http", "echo")]
        )
        what = Plan([*SCENARIOS.values(), *matrix.scenarios(asked)], peers, [])
        runs = [
            Run(one.name, other.name, number, labels=session.labels(one, other, number, SETTINGS))
            for number, one, other in what.order(3)
        ]
        names = [session.file_name(run) for run in runs]
        self.assertGreater(len(names), 1000)
        self.assertEqual(len(names), len(set(names)))
        self.assertFalse([name for name in names if set(name) & set("/ ,")])

    def test_labels(self) -> None:
        """Every dimension is told: what a rate of the settings is, what a product is whose name says more."""
        on = matrix.Runtime("poll", ("-O",)).of(PEERS["lproxy"])
        found = session.labels(SCENARIOS["http-rate"], on, 2, replace(SETTINGS, rate=500.0))
        self.assertEqual(
            {
                "load": "http-rate",
                "protocol": "http",
                "body_bytes": 20,
                "target_per_s": "500",
                "connections": 32,
                "product": "lproxy",
                "reactor": "poll",
                "python": "-O",
                "iteration": 2,
            },
            found,
        )


class MeasureTests(SynchronousTestCase):
    def measured(self, one: Scenario, who: Peer = NONE, behind: Upstreams | ProcessFailed = BEHIND) -> Run:
        return session.measure(one, who, 1, SETTINGS, behind, Path(self.mktemp()), None)

    def raising(self, error: Exception) -> Scenario:
        def run(proxy: Proxy, settings: Settings) -> Measured:
            raise error

        return scenario("a", run=run)

    def finding(self, **found: Any) -> Scenario:
        return scenario("a", run=lambda proxy, settings: Measured({"p99_ms": 1.0}, **found))

    def test_good(self) -> None:
        """What the scenario found, with its labels."""
        run = self.measured(self.finding(notes=["odd"], reached=False))
        self.assertEqual(({"p99_ms": 1.0}, ["odd"], False, ""), (run.values, run.notes, run.reached, run.error))
        self.assertEqual("http", run.labels["protocol"])

    def test_failed(self) -> None:
        """What goes wrong is the run's error, and never empty; the session goes on."""
        kinds = (ProcessFailed, OSError, ValueError, KeyError, ZeroDivisionError, AssertionError, struct.error)
        for kind in kinds:
            self.assertIn("refused", self.measured(self.raising(kind("refused"))).error)
            run = self.measured(self.raising(kind()))
            self.assertTrue(run.error)
            self.assertEqual(({}, False), (run.values, run.noisy))

    def test_interrupted(self) -> None:
        """Ctrl-C is no failure of a run: it ends the session."""

        def run(proxy: Proxy, settings: Settings) -> Measured:
            raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, self.measured, scenario("a", run=run))

    def test_raw(self) -> None:
        """What the load program prints goes to a file of the run's own name, where anybody wants it."""
        asked: list[Path | None] = []

        def run(proxy: Proxy, settings: Settings) -> Measured:
            asked.append(proxy.raw)
            return Measured({})

        one = scenario("a", run=run)
        done = session.measure(one, NONE, 2, SETTINGS, BEHIND, Path("home"), Path("raw"))
        self.measured(one)
        self.assertEqual([Path("raw", f"{session.file_name(done)}.txt"), None], asked)

    def test_watched(self) -> None:
        """What lproxy leaves open is looked for in the first round alone, and of nobody else."""
        watched: list[int | None] = []

        @contextmanager
        def proxy(who: Peer, *rest: object) -> Iterator[Proxy]:
            running: Any = SimpleNamespace(pid=4711)
            yield Proxy(who, Ports(1, 2, 3), running)

        self.patch(session.peers, "proxy", proxy)
        self.patch(session.leaks, "watched", lambda pid, allowed: watched.append(pid) or nullcontext())
        for who in (replace(peer("x"), ours=True), peer("y")):
            for number in (1, 2):
                session.measure(scenario("a"), who, number, SETTINGS, BEHIND, Path("home"), None)
        self.assertEqual([4711, None, None, None], watched)

    def test_nothing_behind(self) -> None:
        """Where what stands behind did not come up, the run fails with that reason, without starting anything."""
        one = self.raising(AssertionError("it was started"))
        run = self.measured(one, behind=ProcessFailed("no broker"))
        self.assertEqual(("no broker", "http"), (run.error, run.labels["protocol"]))

    def test_noise(self) -> None:
        """Others on a core of ours make a run noisy; direct traffic has no use for the proxy's, memory for neither."""
        busy = {"foreign_proxy": 0.5, "foreign_load": 0.0}
        self.assertFalse(self.measured(self.finding(**busy)).noisy)
        self.assertTrue(self.measured(self.finding(foreign_load=0.5)).noisy)
        self.assertFalse(self.measured(replace(self.finding(foreign_load=0.5), timed=False)).noisy)
        self.assertFalse(self.measured(self.finding(foreign_load=0.05)).noisy)

    def test_stand(self) -> None:
        """One thing that cannot be started takes nobody else's scenarios with it."""

        @contextmanager
        def fine(home: Path, settings: Settings, names: object) -> Iterator[Upstreams]:
            yield BEHIND

        what = Plan([scenario("a"), scenario("k", behind="kafka")], [NONE], [])
        for kind in (ProcessFailed, OSError, AssertionError):

            def broken(home: Path, settings: Settings, names: object, kind: type[Exception] = kind) -> Any:
                raise kind("no Java")

            self.patch(session, "BEHIND", {"usual": fine, "kafka": broken})
            runs = session.execute(what, replace(SETTINGS, rounds=1), Path(self.mktemp()), lambda run: None)
            self.assertEqual({"a": "", "k": "no Java"}, {run.scenario: run.error for run in runs})
            self.assertEqual(["k, none, round 1: no Java"], session.incomplete(what, runs, 1))

    def test_heard(self) -> None:
        """Each run is told as it ends, and what stands behind is started once and stopped at the end."""
        events: list[object] = []

        @contextmanager
        def behind(home: Path, settings: Settings, names: object) -> Iterator[Upstreams]:
            events.append(names)
            yield BEHIND
            events.append("stopped")

        self.patch(session, "BEHIND", {"usual": behind})
        what = Plan([scenario("a"), scenario("b")], [NONE], [])
        settings = replace(SETTINGS, rounds=2)
        runs = session.execute(what, settings, Path(self.mktemp()), lambda run: events.append(run.scenario))
        self.assertEqual([[DIRECT], "a", "b", "a", "b", "stopped"], events)
        self.assertEqual([1, 1, 2, 2], [run.round for run in runs])


class AfterwardsTests(SynchronousTestCase):
    def test_differences(self) -> None:
        """Added latency is the difference to the same round's direct traffic, or to its median if that was noisy."""
        one = scenario("a", metrics=metrics("p99_ms", "p99_added_ms"))
        runs = [Run("a", DIRECT, 1, {"p99_ms": 1.0}), Run("a", DIRECT, 2, {"p99_ms": 9.0}, noisy=True)]
        runs += [Run("a", DIRECT, 3, {"p99_ms": 2.0})]
        mine = [Run("a", "x", number, {"p99_ms": 5.0}) for number in (1, 2, 3)]
        session.add_differences([*runs, *mine], one)
        self.assertEqual([4.0, 3.5, 3.0], [run.values["p99_added_ms"] for run in mine])
        self.assertNotIn("p99_added_ms", runs[0].values)

    def test_no_direct(self) -> None:
        """Where direct traffic failed there is no difference, and that is incomplete."""
        one = scenario("a", metrics=metrics("p99_ms", "p99_added_ms"))
        runs = [Run("a", DIRECT, 1, error="refused"), Run("a", "x", 1, {"p99_ms": 5.0})]
        session.add_differences(runs, one)
        lacking = session.incomplete(Plan([one], [NONE, peer("x")], []), runs, 1)
        self.assertEqual(["a, none, round 1: refused", "a, x, round 1: no p99_added_ms"], lacking)

    def test_figure_missing(self) -> None:
        """A run that lacks what a difference is made of takes no other run's difference with it."""
        one = scenario("a", metrics=metrics("p99_ms", "p99_added_ms"))
        runs = [Run("a", DIRECT, 1, {"errors": 0.0}), Run("a", DIRECT, 2, {"p99_ms": 2.0})]
        runs += [Run("a", "x", 1, {"p99_ms": 5.0}), Run("a", "x", 2, {"errors": 0.0})]
        session.add_differences(runs, one)
        self.assertEqual({"p99_ms": 5.0, "p99_added_ms": 3.0}, runs[2].values)
        lacking = session.incomplete(Plan([one], [NONE, peer("x")], []), runs, 2)
        self.assertEqual(
            ["a, none, round 1: no p99_ms", "a, x, round 2: no p99_ms", "a, x, round 2: no p99_added_ms"], lacking
        )

    def test_other_scenarios(self) -> None:
        """Direct traffic in another scenario is nothing to subtract."""
        one = scenario("a", metrics=metrics("p99_ms", "p99_added_ms"))
        runs = [Run("b", DIRECT, 1, {"p99_ms": 1.0}), Run("a", "x", 1, {"p99_ms": 5.0})]
        session.add_differences(runs, one)
        self.assertEqual([{"p99_ms": 1.0}, {"p99_ms": 5.0}], [run.values for run in runs])

    def test_only_noisy_direct(self) -> None:
        """Where all of direct traffic's rounds were noisy, they are what there is to subtract."""
        one = scenario("a", metrics=metrics("p99_ms", "p99_added_ms"))
        mine = Run("a", "x", 1, {"p99_ms": 5.0})
        session.add_differences([Run("a", DIRECT, 1, {"p99_ms": 1.0}, noisy=True), mine], one)
        self.assertEqual(4.0, mine.values["p99_added_ms"])

    def test_incomplete(self) -> None:
        """A run or a figure that is not there is told; what only lproxy knows of itself is not missed."""
        one = scenario("a", metrics=metrics("p99_ms", "reactor_lag_p99_ms", "rss_mib"))
        what = Plan([one], [NONE, peer("x")], [])
        runs = [Run("a", DIRECT, 1, {"p99_ms": 1.0}), Run("a", "x", 1, {"rss_mib": 1.0})]
        self.assertEqual(["a, x, round 1: no p99_ms"], session.incomplete(what, runs, 1))
        self.assertIn("a, x, round 2: not run", session.incomplete(what, runs, 2))
        self.assertEqual([], session.incomplete(what, runs, 0))

    def test_counted(self) -> None:
        """Quiet runs count; noisy ones where there is no other; failed ones never."""
        quiet, noisy, failed = Run("a", "x", 1), Run("a", "x", 2, noisy=True), Run("a", "x", 3, error="x")
        self.assertEqual([quiet], session.counted([quiet, noisy, failed]))
        self.assertEqual([noisy], session.counted([noisy, failed]))
        self.assertEqual([], session.counted([failed]))
        self.assertEqual([], session.counted([]))
