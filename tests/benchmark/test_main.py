"""
L{benchmark.__main__}: a whole session, in which nothing is measured; its folder, its words, its exit status.

Over 300 lines: all tests share one made-up session, and each says one thing of it.
"""

import contextlib
import io
import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import __main__ as command
from benchmark.branches import NoBranch
from benchmark.folder import new
from benchmark.metrics import metrics
from benchmark.peer import DIRECT, Peer
from benchmark.peers import PEERS
from benchmark.plot import CannotPlot
from benchmark.profile import PROFILERS
from benchmark.scenarios import Measured, Scenario, Shape
from benchmark.session import ALL_SCENARIOS, Plan, Run, labels
from benchmark.settings import TINY, Settings


def scenario(name: str = "churn") -> Scenario:
    shape, keys = Shape(name, "tcp"), metrics("cpu_us_per_connection", "connections_per_s", "errors")
    return Scenario(name, "why?", shape, "echo", keys, lambda proxy, settings: Measured({}))


def revision(name: str) -> Peer:
    return Peer(name, lambda: None, lambda setting: [name], ours=True, product="lproxy", reactor="epoll")


class Resource:
    """Limits of open files, of which the hard one may be raised or not."""

    RLIMIT_NOFILE = 7

    def __init__(self, soft: int, hard: int, root: bool = False) -> None:
        self.limits, self.root = (soft, hard), root

    def getrlimit(self, which: int) -> tuple[int, int]:
        assert which == self.RLIMIT_NOFILE
        return self.limits

    def setrlimit(self, which: int, limits: tuple[int, int]) -> None:
        if limits[0] > limits[1] or (limits[1] > self.limits[1] and not self.root):
            raise ValueError("not allowed to raise maximum limit")
        self.limits = limits


class SessionTests(SynchronousTestCase):
    """C{main} from the command line to the exit status; the measurements are made up."""

    def setUp(self) -> None:
        self.cores: list[set[int]] = []
        self.settings: list[Settings] = []
        self.plans: list[Plan] = []
        self.pictures: list[str] = []
        self.broken: dict[str, str] = {}
        self.revisions: list[Peer] = []
        self.handlers: dict[int, Any] = {}
        self.patch(os, "sched_setaffinity", lambda pid, cores: self.cores.append(set(cores)))
        self.patch(command.signal, "signal", self.handlers.__setitem__)
        self.patch(command, "resource", Resource(1024, 1_000_000))
        self.patch(command, "execute", self.execute)
        self.patch(command.plot, "pictures", lambda first, second, to: self.pictures.append(to.name))
        self.patch(command.branches, "branches", self.branches)
        self.patch(command.report, "environment", lambda *about: {"branch": about[-1], "date": "today"})
        self.patch(command.folder, "branch", lambda: "main")
        self.sessions = Path(self.mktemp())
        self.patch(command.folder, "new", lambda what, today: new(what, today, self.sessions))
        self.patch(os, "environ", {})
        self.out = Path(self.mktemp())

    @contextlib.contextmanager
    def branches(self, names: Sequence[str], taken: Sequence[str], extras: Sequence[str]) -> Iterator[list[Peer]]:
        self.extras = list(extras)
        if "nowhere" in names:
            raise NoBranch("no such revision: nowhere")
        self.revisions = [revision(name) for name in names]
        yield self.revisions

    def execute(self, what: Plan, settings: Settings, home: Path, heard: Any, raw: Path) -> list[Run]:
        self.settings.append(settings)
        self.plans.append(what)
        runs = []
        for number, one, peer in what.order(settings.rounds):
            values = {metric.key: 100.0 + number for metric in one.expected(peer.name)} | {"errors": 0.0}
            run = Run(one.name, peer.name, number, values, labels=labels(one, peer, number, settings))
            if peer.name in self.broken:
                run = replace(run, values={}, error=self.broken[peer.name])
            heard(run)
            runs.append(run)
        return runs

    def main(self, *words: str) -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = command.main([*words, "--out", str(self.out)])
        return status, said.getvalue()

    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "results.json").read_text())
        return found

    def test_complete(self) -> None:
        """Everything is kept: every run by itself and all together, the summary, the page; and status 0 says so."""
        status, text = self.main("--only", "churn", "--proxies", "none,lproxy", "--rounds", "2")
        self.assertEqual(0, status, text)
        self.assertEqual(4, len(list((self.out / "runs").iterdir())))
        self.assertEqual((4, []), (len(self.results()["runs"]), self.results()["lacking"]))
        self.assertIn("<html", (self.out / "index.html").read_text())
        self.assertEqual(3, len((self.out / "summary.txt").read_text().splitlines()))
        self.assertEqual(["all"], self.pictures)
        self.assertIn("all results are complete\n", text)
        self.assertIn(str(self.out.absolute()), text)

    def test_lines(self) -> None:
        """There is a line for every run as it ends."""
        _, text = self.main("--only", "churn", "--proxies", "none,lproxy", "--rounds", "3")
        lines = [line for line in text.splitlines() if line.startswith("  round")]
        self.assertEqual(6, len(lines))
        self.assertIn("CPU us/conn 103.0", lines[-1] + lines[-2])

    def test_incomplete(self) -> None:
        """A run that failed is told twice, as it happens and at the end in one line; what went well is kept."""
        self.broken = {"lproxy": "it died\nlog"}
        status, text = self.main("--only", "churn", "--proxies", "none,lproxy", "--rounds", "1")
        self.assertEqual(1, status)
        self.assertIn("*** FAILED round 1  churn      lproxy: it died\nlog", text)
        self.assertIn("*** INCOMPLETE: churn, lproxy, round 1: it died\n", text)
        self.assertNotIn("all results are complete", text)
        self.assertEqual(["churn, lproxy, round 1: it died\nlog"], self.results()["lacking"])
        self.assertEqual(2, len(self.results()["runs"]))

    def test_all_failed(self) -> None:
        """Where every run failed there are still the results of that, a page, and status 1."""
        self.broken = {DIRECT: "no", "lproxy": "no"}
        status, text = self.main("--only", "churn", "--proxies", "none,lproxy", "--rounds", "3")
        self.assertEqual(1, status)
        self.assertEqual(6, text.count("*** INCOMPLETE"))
        self.assertTrue((self.out / "index.html").exists())
        self.assertEqual(["no"] * 6, [run["error"] for run in self.results()["runs"]])

    def test_no_pictures(self) -> None:
        """Pictures that cannot be made are incomplete, and take nothing else with them."""

        def pictures(*words: object) -> None:
            raise CannotPlot("no matplotlib")

        self.patch(command.plot, "pictures", pictures)
        status, text = self.main("--only", "churn", "--proxies", "lproxy", "--rounds", "1")
        self.assertEqual(1, status)
        self.assertIn("*** INCOMPLETE: pictures: no matplotlib", text)
        self.assertTrue((self.out / "index.html").exists())

    def test_missing(self) -> None:
        """A proxy that is not installed is told loudly, and is no failure; where warnings are denied, it is one."""
        lacking = replace(PEERS["nginx"], missing=lambda: "get nginx")
        self.patch(command.options, "ALL_PEERS", {"lproxy": PEERS["lproxy"], "nginx": lacking})
        for environment, expected in (({}, 0), ({"LPROXY_DENY_WARNINGS": "0"}, 0), ({"LPROXY_DENY_WARNINGS": "1"}, 1)):
            self.patch(os, "environ", environment)
            self.out = Path(self.mktemp())
            status, text = self.main("--only", "churn", "--rounds", "1")
            self.assertEqual(expected, status, text)
            self.assertIn("*** MISSING: proxy nginx left out: get nginx\n", text)
            self.assertEqual(expected, text.count("*** INCOMPLETE: proxy nginx left out: get nginx\n"))
            self.assertEqual(["proxy nginx left out: get nginx"], self.results()["lacking"])
            self.assertEqual(not expected, "all results are complete, as far as tools were there\n" in text)

    def test_nothing_left(self) -> None:
        """Where all that was asked for is missing, nothing is measured and no folder made: status 2."""
        self.patch(command.options, "ALL_PEERS", {"x": replace(PEERS["nginx"], missing=lambda: "get it")})
        status, text = self.main("--only", "churn")
        self.assertEqual((2, False, []), (status, self.out.exists(), self.plans))
        self.assertIn("*** nothing left to measure", text)

    def test_branches(self) -> None:
        """Revisions are measured beside direct traffic alone, and each is compared with the first."""
        status, text = self.main("--only", "churn", "--branch", "a", "--branch", "b", "--branch", "c", "--rounds", "3")
        self.assertEqual(0, status, text)
        self.assertEqual([DIRECT, "a", "b", "c"], [peer.name for peer in self.plans[0].peers])
        self.assertEqual(["all", "a-b", "a-c"], self.pictures)
        self.assertTrue((self.out / "compare-a-b.txt").read_text())
        self.assertTrue((self.out / "compare-a-c.txt").exists())

    def test_branch_beside_ours(self) -> None:
        """The working copy, where it is measured as well, is compared with the first revision, too."""
        self.main("--only", "churn", "--branch", "a", "--proxies", "lproxy,none", "--rounds", "3")
        self.assertEqual(["compare-a-lproxy.txt"], [path.name for path in self.out.glob("compare-*")])

    def test_no_revision(self) -> None:
        """A revision that is not there is one line and status 2, before anything is made."""
        status, text = self.main("--branch", "nowhere")
        self.assertEqual((2, False), (status, self.out.exists()))
        self.assertEqual("*** no such revision: nowhere\n", text)

    def test_extras(self) -> None:
        """Environments of revisions get what the reactors and profilers asked for need."""
        self.main("--only", "churn", "--branch", "a", "--rounds", "1")
        self.assertEqual([], self.extras)
        self.out = Path(self.mktemp())
        self.main("--branch", "a", "--matrix", "reactor=uvloop,epoll", "--proxies", "none", "--rounds", "0")
        self.assertEqual(["uvloop"], self.extras)

    def test_rounds(self) -> None:
        """The matrix says how often; a number of rounds on the command line says it louder; tiny is once."""
        words = ["--proxies", "none", "--only", "churn", "--matrix", "body=10", "iterations=5"]
        for more, rounds in (([], 5), (["--rounds", "2"], 2), (["--tiny"], TINY.rounds)):
            self.out = Path(self.mktemp())
            self.main(*words, *more)
            self.assertEqual(rounds, self.settings[-1].rounds)

    def test_reactors(self) -> None:
        """With reactors to compare, our own proxy is there once on each."""
        words = ["--only", "churn", "--proxies", "none,lproxy", "--matrix", "body=10", "reactor=epoll,poll"]
        self.main(*words, "--rounds", "1")
        self.assertEqual([DIRECT, "lproxy@epoll", "lproxy@poll"], [peer.name for peer in self.plans[0].peers])

    def test_core(self) -> None:
        """We ourselves stay off the proxy's core, from before the first measurement."""
        self.main("--only", "churn", "--proxies", "none", "--rounds", "1")
        self.assertEqual([{self.settings[0].load_core}], self.cores)

    def test_default_folder(self) -> None:
        """Without --out there is a folder of the branch's, or of the revisions'; one more for each session."""
        for words in ([], [], ["--branch", "a", "--branch", "b"]):
            with contextlib.redirect_stdout(io.StringIO()):
                command.main(["--only", "churn", "--proxies", "none", "--rounds", "1", *words])
        names = sorted(path.name[len("2026-11-23-") :] for path in self.sessions.iterdir())
        self.assertEqual(["a-vs-b", "main", "main-2"], names)

    def test_no_folder(self) -> None:
        """A folder that cannot be made is one line and status 2."""
        self.out.write_text("in the way")
        for out in (self.out, self.out / "x"):
            self.out = out
            status, text = self.main("--only", "churn", "--proxies", "none")
            self.assertEqual((2, []), (status, self.plans))
            self.assertIn("*** no folder for the results: ", text)

    def test_terminated(self) -> None:
        """SIGTERM unwinds, so that everything that was started is stopped."""
        self.main("--only", "churn", "--proxies", "none", "--rounds", "1")
        handler = self.handlers[signal.SIGTERM]
        self.assertEqual(143, self.assertRaises(SystemExit, handler, signal.SIGTERM, None).code)

    def test_profile_failed(self) -> None:
        """A profile that failed is incomplete; what a good one says is printed."""

        def profile(*what: Any) -> Iterator[tuple[str, str]]:
            yield "churn, lproxy, cpu", "1000 samples"
            yield "churn, lproxy, heap", "FAILED it died"

        self.patch(command, "profile", profile)
        status, text = self.main("--only", "churn", "--proxies", "lproxy", "--rounds", "1")
        self.assertEqual(1, status)
        self.assertIn("  churn, lproxy, cpu: 1000 samples\n", text)
        self.assertIn("*** INCOMPLETE: profile churn, lproxy, heap: FAILED it died\n", text)

    def test_profile_only(self) -> None:
        """Without rounds there are profiles alone: a page, and no summary of nothing."""
        self.patch(command, "prepared", lambda what, profilers: what)
        self.patch(command, "profile", lambda *what: iter([("churn", "fine")]))
        status, text = self.main("--only", "churn", "--proxies", "lproxy", "--rounds", "0", "--profile", "cpu")
        self.assertEqual(0, status, text)
        self.assertEqual((True, False), ((self.out / "index.html").exists(), (self.out / "summary.txt").exists()))


class PartsTests(SynchronousTestCase):
    def said(self, what: Any, *words: Any) -> tuple[Any, str]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            return what(*words), said.getvalue()

    def test_descriptors(self) -> None:
        """As many open files as idle connections may need; what is allowed is used before giving up."""
        for resource, idle, after in (
            (Resource(1024, 100_000), 10_000, 21_200),
            (Resource(50_000, 100_000), 10_000, 50_000),
            (Resource(1024, 15_000), 10_000, 15_000),
            (Resource(1024, 1024, root=True), 10_000, 21_200),
        ):
            self.patch(command, "resource", resource)
            self.assertIsNone(command.raise_descriptor_limit(idle))
            self.assertEqual(after, resource.limits[0])

    def test_too_few_descriptors(self) -> None:
        """Where the limit cannot be raised that far, it is told which, and how many there must be."""
        self.patch(command, "resource", Resource(1024, 4096))
        self.assertEqual(
            "only 4096 open files allowed (ulimit -n): --idle 10000 needs 10700", command.raise_descriptor_limit(10_000)
        )
        self.assertIsNone(command.raise_descriptor_limit(3396))
        self.assertIsNotNone(command.raise_descriptor_limit(3397))

    def test_impossible(self) -> None:
        """Too few open files matter to idle connections alone."""
        self.patch(command, "resource", Resource(1024, 4096))
        settings = Settings(proxy_core=0, load_core=1)
        for name, wrong in (("churn", False), ("idle", True)):
            what = Plan([ALL_SCENARIOS[name]], [PEERS["lproxy"]], [])
            self.assertEqual(wrong, command.impossible(what, settings, []) is not None)

    def test_nothing_to_do(self) -> None:
        """No rounds and no profilers, or nobody who serves the scenario, is nothing to do; one of both is enough."""
        self.patch(command, "resource", Resource(1024, 1_000_000))
        what, settings = Plan([scenario()], [PEERS["lproxy"]], []), Settings(proxy_core=0, load_core=1)
        cpu = [PROFILERS["cpu"]]
        self.assertIsNone(command.impossible(what, settings, []))
        self.assertIsNone(command.impossible(what, replace(settings, rounds=0), cpu))
        for nothing in (
            command.impossible(what, replace(settings, rounds=0), []),
            command.impossible(Plan([scenario()], [], []), settings, cpu),
            command.impossible(Plan([], [PEERS["lproxy"]], []), settings, cpu),
        ):
            self.assertEqual("nothing left to measure", nothing)

    def test_one_core(self) -> None:
        """One core for both is borne, but not in silence."""
        self.patch(command, "resource", Resource(1024, 1_000_000))
        what = Plan([scenario()], [PEERS["lproxy"]], [])
        problem, text = self.said(command.impossible, what, Settings(proxy_core=1, load_core=1), [])
        self.assertIsNone(problem)
        self.assertTrue(text.startswith("*** one core for proxy and load"), text)

    def test_prepared(self) -> None:
        """A profiler that is not there is told, left out, and counts as missing; the others stay."""
        here = replace(PROFILERS["cpu"], missing=lambda: None)
        lacking = replace(PROFILERS["cpu"], name="lacking", missing=lambda: "get it")
        profilers = [lacking, here]
        what, text = self.said(command.prepared, Plan([], [], ["scenario x left out: no y"]), profilers)
        self.assertEqual([here], profilers)
        self.assertEqual(["scenario x left out: no y", "profile lacking left out: get it"], what.missing)
        self.assertEqual("".join(f"*** MISSING: {line}\n" for line in what.missing), text)

    def test_say(self) -> None:
        """A line has what was found and what was odd; of errors it speaks only where there are some."""
        run = Run("churn", "x", 1, {"connections_per_s": 1234.4, "errors": 0.0}, ["odd"], foreign_load=0.25, noisy=True)
        what = Plan([scenario()], [], [])
        line = self.said(command.say, run, what)[1]
        self.assertIn("conn/s 1,234  [others 0%/25%, odd, NOISY]", line)
        self.assertNotIn("errors", line)
        self.assertIn("errors 2", self.said(command.say, replace(run, values={"errors": 2.0}), what)[1])
