"""
L{benchmark.plot}: panels of bars, and pictures of them where matplotlib is installed.
"""

import contextlib
import io
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import plot
from benchmark.process import PROJECT
from benchmark.summary import COUNTS, LABELS, Row, Spread, write
from tests.components import require

CPU, RATE, IDLE, RSS = "cpu_us_per_request", "requests_per_s", "idle_kib_per_connection", "rss_mib"


def row(scenario: str, proxy: str, **values: float) -> Row:
    labels = dict.fromkeys(LABELS, "") | {"scenario": scenario, "proxy": proxy}
    spreads = {key: Spread(value, value * 0.9, value * 1.2) for key, value in values.items()}
    return Row(labels, dict.fromkeys(COUNTS, 3), spreads)


ROWS = [
    row("http", "none", requests_per_s=50_000, p50_ms=0.3, p99_ms=0.6),
    row("http", "lproxy", cpu_us_per_request=41, requests_per_s=20_000, p50_ms=1.2, p99_ms=3.0, rss_mib=57),
    row("http", "envoy", cpu_us_per_request=56, requests_per_s=17_000, p50_ms=1.5, p99_ms=4.0, rss_mib=65),
    row("idle", "lproxy", idle_kib_per_connection=4, rss_start_mib=57),
]


def folder(case: SynchronousTestCase, rows: list[Row], name: str = "out") -> Path:
    path = Path(case.mktemp()).absolute() / name
    path.mkdir(parents=True)
    (path / "summary.txt").write_text(write(rows))
    return path


class PanelTests(SynchronousTestCase):
    def panels(self, group: str, rows: list[Row]) -> list[plot.Panel]:
        return list(plot.panels(group, rows))

    def test_cpu(self) -> None:
        """A panel per scenario, a bar per proxy that has the figure; direct traffic has no CPU."""
        (panel,) = self.panels("cpu", ROWS)
        self.assertEqual(("http", ["lproxy", "envoy"], "CPU us/req"), (panel.title, panel.groups, panel.unit))
        self.assertEqual([41.0, 56.0], [spread.median for spread in panel.series[""] if spread])

    def test_latency(self) -> None:
        """Percentiles side by side, a colour for each proxy, only those that were measured."""
        (panel,) = self.panels("latency", ROWS)
        self.assertEqual((["p50", "p99"], ["direct", "lproxy", "envoy"]), (panel.groups, list(panel.series)))

    def test_memory(self) -> None:
        """Memory under load is left to the scenario that looks at nothing else, where there is one."""
        self.assertEqual({"idle"}, {panel.title for panel in self.panels("memory", ROWS)})
        self.assertEqual({"http"}, {panel.title for panel in self.panels("memory", ROWS[:3])})

    def test_one_unit(self) -> None:
        """A panel has one axis: where records and Gbit/s were measured, it shows records."""
        (panel,) = self.panels("throughput", [row("k", "a", records_per_s=10, gbit_per_s=1)])
        self.assertEqual("records/s", panel.unit)

    def test_colours(self) -> None:
        """A known proxy has its own colour, and no two in a picture have the same."""
        names = ["lproxy", "lproxy@poll", "envoy", "x", "y"]
        found = plot.colours(names)
        self.assertEqual(plot.COLOURS["lproxy"], found[0])
        self.assertEqual(len(names), len(set(found)))

    def test_two(self) -> None:
        """Two results: each proxy's bars beside each other, named after the folders."""
        one, two = folder(self, ROWS, "before"), folder(self, ROWS[::-1], "after")
        (panel,) = plot.paired_panels("cpu", str(one), str(two))
        self.assertEqual(["before", "after"], list(panel.series))
        self.assertEqual({"lproxy", "envoy"}, set(panel.groups))
        latencies = list(plot.paired_panels("latency", str(one), str(two)))
        self.assertEqual(3, len(latencies))

    def test_two_proxies(self) -> None:
        """Two proxies of one result, though they have different names."""
        one = folder(self, ROWS)
        (panel,) = plot.paired_panels("cpu", f"{one}:lproxy", f"{one}:envoy")
        self.assertEqual((["lproxy", "envoy"], ["lproxy / envoy"]), (list(panel.series), panel.groups))

    def test_wide(self) -> None:
        """Bars that differ by more than a factor of thirty get a logarithmic axis; zero is no reason."""
        series = {"": [Spread(1, 1, 1), Spread(40, 40, 40), Spread(0, 0, 0), None]}
        self.assertTrue(plot.wide(plot.Panel("", "", ["a"] * 4, series, [])))
        self.assertFalse(plot.wide(plot.Panel("", "", ["a"] * 4, {"": series[""][1:]}, [])))

    def test_brief(self) -> None:
        """A number over a bar has three digits, whatever its size."""
        self.assertEqual(["0.325", "41.3", "213", "54k"], [plot.brief(v) for v in (0.3254, 41.26, 213.4, 53_700)])


class PictureTests(SynchronousTestCase):
    def setUp(self) -> None:
        require(packages=["matplotlib"])

    def drawn(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """benchmark/plot.py, run as a file from a folder that is not the project's."""
        here = Path(self.mktemp())
        here.mkdir()
        self.here = here
        command = [sys.executable, str(PROJECT / "benchmark" / "plot.py"), *words]
        return subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=120)

    def test_script(self) -> None:
        """It writes a PNG and an SVG of each kind, says which, and ends well; without a display."""
        one = folder(self, ROWS)
        ended = self.drawn(str(one), str(folder(self, ROWS)), "--logy", "-o", "deep/ly")
        self.assertEqual((0, ""), (ended.returncode, ended.stderr))
        files = [self.here / line for line in ended.stdout.splitlines()]
        self.assertEqual(8, len(files))
        for file in files:
            start = file.read_bytes()[:200]
            self.assertTrue(start.startswith(b"\x89PNG") if file.suffix == ".png" else b"<?xml" in start, file)

    def test_wrong(self) -> None:
        """What is not there is a line and status 2, not a traceback."""
        ended = self.drawn("nowhere")
        self.assertEqual((2, "nowhere: no such file or folder\n"), (ended.returncode, ended.stderr))

    def test_same_twice(self) -> None:
        """The same figures make the same picture, to the byte: it can be kept under version control."""
        one, base = folder(self, ROWS), Path(self.mktemp())
        first = {path.name: path.read_bytes() for path in plot.pictures(str(one), None, base)}
        self.assertEqual(first, {path.name: path.read_bytes() for path in plot.pictures(str(one), None, base)})

    def test_odd_figures(self) -> None:
        """Zeros, a value without spread and one proxy alone can be drawn, on both kinds of axes."""
        odd = [row("http", "x" * 60, cpu_us_per_request=0.0, requests_per_s=1.0, p50_ms=0.0, p99_ms=5.0)]
        one = folder(self, odd)
        for logy in (False, True):
            self.assertTrue(plot.pictures(str(one), None, Path(self.mktemp()), logy))


class NothingTests(SynchronousTestCase):
    def said(self, *words: str) -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return plot.main(words), said.getvalue()

    def test_no_matplotlib(self) -> None:
        """Without matplotlib there is one line how to get it."""
        self.patch(sys, "modules", dict(sys.modules) | {"matplotlib": None})
        status, text = self.said(str(folder(self, ROWS)))
        self.assertEqual(2, status)
        self.assertIn("pip install matplotlib", text)

    def test_nothing(self) -> None:
        """Results without a figure, or with none in common, are nothing to draw."""
        empty, other = folder(self, [row("http", "a")]), folder(self, [row("tcp", "b", gbit_per_s=1)])
        self.assertEqual(2, self.said(str(empty))[0])
        status, text = self.said(str(empty), str(other))
        self.assertEqual(2, status)
        self.assertIn("nothing in common", text)
