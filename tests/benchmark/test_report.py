"""
L{benchmark.report}: the tables that are printed.
"""

from twisted.trial.unittest import SynchronousTestCase

from benchmark import report
from benchmark.metrics import metrics
from benchmark.peers import DIRECT
from benchmark.scenarios import Measured, Scenario, Shape
from benchmark.session import Run

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
