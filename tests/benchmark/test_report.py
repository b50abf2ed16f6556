"""
L{benchmark.report}: the tables that are printed.
"""

import json
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from benchmark import report, summary
from benchmark.metrics import metrics
from benchmark.peer import DIRECT, Peer
from benchmark.scenarios import Measured, Scenario, Shape
from benchmark.session import Plan, Run
from benchmark.settings import Settings

HTTP = Scenario(
    "http",
    "what?",
    Shape("http", "http"),
    "http",
    metrics("cpu_us_per_request", "requests_per_s", "errors"),
    lambda proxy, settings: Measured({}),
)


def run(proxy: str, number: int, cpu: float, **rest: object) -> Run:
    return Run("http", proxy, number, {"cpu_us_per_request": cpu, "requests_per_s": 1000.0}, **rest)  # type: ignore[arg-type]


class TableTests(SynchronousTestCase):
    def lines(self, runs: list[Run]) -> list[str]:
        names = list(dict.fromkeys(run.proxy for run in runs))
        return report.table(HTTP, names, runs)

    def test_table(self) -> None:
        """A row per proxy: the median with its range, and what a unit costs as a ratio to Envoy's."""
        runs = [run(name, at, cpu + at) for name, cpu in (("lproxy", 10.0), ("envoy", 20.0)) for at in (0, 1, 2)]
        _, head, lproxy, envoy, _ = self.lines([Run("http", DIRECT, 1, {"requests_per_s": 5.0}), *runs][1:])
        self.assertIn("CPU us/req / envoy's", head)
        self.assertIn("11.0 (10.0-12.0)", lproxy)
        self.assertTrue(lproxy.rstrip().endswith("0.52"), lproxy)
        self.assertTrue(envoy.rstrip().endswith("1.00"), envoy)

    def test_direct(self) -> None:
        """Direct traffic has a dash where a proxy would have its cost."""
        lines = self.lines([Run("http", DIRECT, 1, {"requests_per_s": 5000.0})])
        self.assertIn("direct           -  5,000", "\n".join(lines))

    def test_reference(self) -> None:
        """Envoy, or the first proxy if there is another; nobody is compared with itself, or with direct traffic."""
        for names, found in (
            (["none", "lproxy", "envoy"], "envoy"),
            (["none", "main~1", "main"], "main~1"),
            (["none", "lproxy"], None),
            (["none", "envoy"], None),
            (["envoy", "nginx"], "envoy"),
            ([], None),
            (["none"], None),
        ):
            self.assertEqual(found, report.reference(names))

    def test_remarks(self) -> None:
        """What a reader must know: failures, noise, what the load program said."""
        noisy = run("x", 1, 1.0, noisy=True, foreign_load=0.4)
        self.assertIn("1 of 2 FAILED", report.remarks([run("x", 1, 1.0), Run("http", "x", 2, error="no")]))
        self.assertEqual("1 noisy left out", report.remarks([noisy, run("x", 2, 1.0)]))
        self.assertIn("up to 40%", report.remarks([noisy]))
        self.assertEqual("missed the rate", report.remarks([run("x", 1, 1.0, notes=["missed the rate"])]))

    def test_remarks_of_what_counts(self) -> None:
        """What a round that was left out has to say is left out, too; what several say is said once."""
        runs = [run("x", 1, 1.0, notes=["odd"]), run("x", 2, 1.0, notes=["odd", "slow"])]
        runs += [run("x", 3, 1.0, noisy=True, notes=["quite different"])]
        self.assertEqual("1 noisy left out; odd; slow", report.remarks(runs))
        self.assertEqual("", report.remarks([]))

    def test_worst(self) -> None:
        """Direct traffic does not use the proxy's core, so that it does not matter who else does."""
        busy = Run("http", DIRECT, 1, foreign_proxy=0.9, foreign_load=0.1)
        self.assertEqual((0.1, 0.0), (report.worst([busy]), report.worst([])))
        self.assertEqual(0.9, report.worst([busy, replace(busy, proxy="x")]))

    def test_noisy_left_out(self) -> None:
        """A cell is of the quiet rounds, if there is one."""
        runs = [run("x", 1, 10.0), run("x", 2, 99.0, noisy=True)]
        self.assertEqual(report.Cell(10.0, 10.0, 10.0), report.cell(runs, HTTP.metrics[0]))
        self.assertEqual(report.Cell(99.0, 99.0, 99.0), report.cell(runs[1:], HTTP.metrics[0]))

    def test_ratio(self) -> None:
        """The median of the rounds' own, as in the summary; to nothing, or to zero, it is a dash, and no error."""
        cost = HTTP.metrics[0]
        mine, theirs = (
            [run(name, at, cpu) for at, cpu in enumerate(cpus)]
            for name, cpus in (("x", (10.0, 40.0, 60.0)), ("y", (20.0, 20.0, 100.0)))
        )
        self.assertEqual("0.60", report.ratio(mine, theirs, cost))
        self.assertEqual(0.6, summary.rows([*mine, *theirs])[0].ratios["cost_of_y"])
        some, zero, less = ([run("x", 1, cpu)] for cpu in (3.0, 0.0, -1.0))
        self.assertEqual("0.00", report.ratio(zero, some, cost))
        pairs: list[tuple[list[Run], list[Run]]] = [(some, zero), ([], some), (some, []), (some, less)]
        self.assertEqual(["-"] * 4, [report.ratio(*pair, cost) for pair in pairs])

    def test_range(self) -> None:
        """A range is shown where its ends look different, and only in columns with room for it."""
        cost, rate = HTTP.metrics[:2]
        self.assertEqual("1,234.0", report.Cell(1234.01, 1234.0, 1234.02).text(cost))
        self.assertEqual("2.0 (1.0-3.0)", report.Cell(2.0, 1.0, 3.0).text(cost))
        self.assertEqual("2", report.Cell(2.0, 1.0, 3.0).text(rate))

    def test_reference_failed(self) -> None:
        """Where all runs of the proxy that others are compared with failed, there are dashes."""
        lines = self.lines([Run("http", "envoy", 1, error="no"), run("x", 1, 1.0)])
        self.assertEqual("-", lines[3].split()[-1])
        self.assertIn("1 of 1 FAILED", lines[2])

    def test_only_one(self) -> None:
        """One proxy alone has no column of ratios."""
        self.assertNotIn(" / ", "".join(self.lines([run("envoy", 1, 1.0)])))

    def test_aligned(self) -> None:
        """Columns stand one below the other, whatever the length of names and figures."""
        lines = self.lines([run("x", 1, 1.0), run("a-very-long-name", 1, 1_000_000.0)])
        end = lines[1].index("req/s") + len("req/s")
        self.assertEqual(["req/s", "1,000", "1,000"], [line[:end].split()[-1] for line in lines[1:4]])

    def test_tables(self) -> None:
        """All scenarios in their order, one that nobody ran as well, and how quiet the machine was."""
        other = replace(HTTP, name="other", question="why?")
        plan = Plan([HTTP, other], [Peer("x", lambda: None, None)], [])
        text = report.tables(plan, [run("x", 1, 1.0, foreign_load=0.25)])
        self.assertLess(text.index("http: what?"), text.index("other: why?"))
        self.assertTrue(text.endswith("Others used up to 25% of a core of ours during a run."))

    def test_failed(self) -> None:
        """A proxy all of whose runs failed has a row that says so."""
        lines = self.lines([Run("http", "x", 1, error="no")])
        self.assertIn("1 of 1 FAILED", lines[2])


class VersionTests(SynchronousTestCase):
    def test_names(self) -> None:
        """Every version stands beside a name, and nobody's copyright does."""
        self.patch(report, "first_line", lambda *command: " ".join(command))
        for said, found in (
            ("1.68.0", "fortio 1.68.0"),
            ("fortio 4 Copyright (C) x", "fortio 4"),
            ("nginx version: nginx/1", "fortio nginx/1"),
        ):
            self.assertEqual(found, report.version_line("fortio", (said,)))

    def test_environment(self) -> None:
        """What figures are worth nothing without: all of it can be kept, and stands in the heading."""
        self.patch(report, "first_line", lambda *command: "1.0")
        peers = [Peer("x", lambda: None, None, version=lambda: "x 3.1"), Peer(DIRECT, lambda: None, None)]
        about = json.loads(json.dumps(report.environment(peers, Settings(seconds=7), 2, "feature/x")))
        self.assertEqual(("feature/x", {"x": "x 3.1"}), (about["branch"], about["proxies"]))
        self.assertEqual(Settings(seconds=7), Settings(**about["settings"]))
        text = report.heading(about)
        self.assertEqual(len(about), len(text.splitlines()))
        for word in ("feature/x", "x 3.1", "seconds=7", "wrk 1.0", "iperf3 1.0", "2 cores"):
            self.assertIn(word, text)
