"""
L{benchmark.summary}: a line per scenario and proxy, from runs, to text and back.
"""

from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import summary
from benchmark.metrics import METRICS
from benchmark.session import Run
from benchmark.summary import COUNTS, LABELS, Row, Spread, WrongSummary

CPU, RATE, P99 = "cpu_us_per_request", "requests_per_s", "p99_ms"


def run(proxy: str, number: int, values: dict[str, float], scenario: str = "http", **rest: object) -> Run:
    """A run as L{benchmark.session} makes it."""
    labels: dict[str, str | int | float] = {"product": proxy.partition("@")[0], "load": "http", "protocol": "http"}
    labels |= {"reactor": "", "python": "", "body_bytes": 20, "target_per_s": "max", "connections": 32}
    return replace(Run(scenario, proxy, number, values, labels=labels), **rest)  # type: ignore[arg-type]


class RowTests(SynchronousTestCase):
    def test_spread(self) -> None:
        """Median, least and greatest of the rounds; counts of what was measured."""
        (row,) = summary.rows([run("envoy", at, {CPU: value}) for at, value in enumerate((3.0, 1.0, 2.0), 1)])
        self.assertEqual(Spread(2.0, 1.0, 3.0), row.values[CPU])
        self.assertEqual((3, 3, 0, 0, 0), tuple(row.counts[count] for count in COUNTS))

    def test_noisy_left_out(self) -> None:
        """A noisy round does not count beside a quiet one, nor does one that failed."""
        runs = [run("envoy", 1, {CPU: 9.0}, noisy=True), run("envoy", 2, {CPU: 1.0}), run("envoy", 3, {}, error="x")]
        (row,) = summary.rows(runs)
        self.assertEqual(Spread(1.0, 1.0, 1.0), row.values[CPU])
        self.assertEqual((3, 1, 1, 1, 0), tuple(row.counts[count] for count in COUNTS))

    def test_all_noisy(self) -> None:
        """Where there is nothing better, noisy rounds count."""
        (row,) = summary.rows([run("envoy", at, {CPU: float(at)}, noisy=True) for at in (1, 2)])
        self.assertEqual((Spread(1.5, 1.0, 2.0), 2), (row.values[CPU], row.counts["counted"]))

    def test_all_failed(self) -> None:
        """A row without a figure is a row: it says how many runs failed."""
        (row,) = summary.rows([run("envoy", 1, {}, error="no")])
        self.assertEqual(({}, 1), (row.values, row.counts["failed"]))

    def test_ratios_within_rounds(self) -> None:
        """A ratio is the median of the rounds' own: a slow minute that hit both proxies is not in it."""
        mine = [run("lproxy", at, {CPU: value}) for at, value in enumerate((10.0, 100.0, 12.0), 1)]
        theirs = [run("envoy", at, {CPU: value}) for at, value in enumerate((20.0, 200.0, 20.0), 1)]
        row = summary.rows(mine + theirs)[0]
        self.assertEqual(0.5, row.ratios["cost_of_envoy"])

    def test_ratios_without_common_round(self) -> None:
        """Where no round counts for both, medians have to do."""
        runs = [run("lproxy", 1, {CPU: 1.0}), run("lproxy", 2, {CPU: 8.0}, noisy=True)]
        runs += [run("envoy", 1, {CPU: 9.0}, noisy=True), run("envoy", 2, {CPU: 4.0})]
        self.assertEqual(0.25, summary.rows(runs)[0].ratios["cost_of_envoy"])

    def test_ratio_to_direct(self) -> None:
        """Direct traffic has no CPU to compare with, but a rate and a latency. Nothing is divided by zero."""
        runs = [run("none", 1, {RATE: 100.0, P99: 0.0}), run("lproxy", 1, {CPU: 1.0, RATE: 50.0, P99: 2.0})]
        self.assertEqual({"throughput_of_direct": 0.5}, summary.rows(runs)[1].ratios)

    def test_scenarios_together(self) -> None:
        """Rows of a scenario stand together, in the order of the first round."""
        runs = [run(proxy, at, {CPU: 1.0}, name) for at in (1, 2) for name in ("b", "a") for proxy in ("y", "x")]
        self.assertEqual(
            [("b", "y"), ("b", "x"), ("a", "y"), ("a", "x")], [(row.scenario, row.proxy) for row in summary.rows(runs)]
        )


class TextTests(SynchronousTestCase):
    def kept(self, text: str) -> Path:
        path = Path(self.mktemp())
        path.mkdir()
        (path / "summary.txt").write_text(text)
        return path

    def test_round_trip(self) -> None:
        """What is written is read again, from the file or from its folder."""
        values = {CPU: 41.25, RATE: 123456.0, P99: 0.00123}
        found = summary.rows([run(proxy, at, values) for proxy in ("lproxy", "envoy") for at in (1, 2)])
        folder = self.kept(summary.write(found))
        self.assertEqual(found, summary.read(folder))
        self.assertEqual(found, summary.read(folder / "summary.txt"))

    def test_one_header(self) -> None:
        """One line of names with their units, then as many cells in every line, and columns below each other."""
        found = summary.rows([run("none", 1, {RATE: 1.0}), run("lproxy", 1, {CPU: 1.5, RATE: 2.0})])
        head, *lines = summary.write(found).splitlines()
        self.assertEqual(list(LABELS), [cell.strip() for cell in head.split(",")][: len(LABELS)])
        self.assertIn("requests_per_s_max", head)
        for line in lines:
            self.assertEqual(head.index(", proxy"), line.index(", "))
        self.assertEqual(head.count(","), lines[-1].count(","))

    def test_hostile_names(self) -> None:
        """A comma or a quote in a name is quoted, as CSV has it."""
        found = summary.rows([run('a,"b"', 1, {CPU: 1.0})])
        self.assertEqual('a,"b"', summary.read(self.kept(summary.write(found)))[0].proxy)

    def test_cut_lines(self) -> None:
        """Empty cells at the end of a line may be missing: editors cut them."""
        text = f"scenario, proxy, {CPU}, {P99}\nhttp, lproxy, 5\n"
        (row,) = summary.read(self.kept(text))
        self.assertEqual({CPU: Spread(5.0, 5.0, 5.0)}, row.values)

    def test_wrong(self) -> None:
        """What is no summary is refused with the file, the line and the reason."""
        for text, words in (
            ("", "not a summary"),
            ("hello\n", "its first line should begin with scenario, proxy"),
            ("scenario, proxy\n", "no results"),
            ("scenario, proxy, proxy\na, b, c\n", "stands there twice"),
            ("scenario, proxy\na, b, c\n", "line 2 has 3 cells for 2 columns"),
            (f"scenario, proxy, {P99}\na, b, 1\na, c, fast\n", "line 3: p99_ms: 'fast' is no number"),
            (f"scenario, proxy, {P99}\na, b, nan\n", "line 2: p99_ms: 'nan' is no number"),
        ):
            error = self.assertRaises(WrongSummary, summary.read, self.kept(text))
            self.assertIn(words, str(error))
            self.assertIn("summary.txt", str(error))

    def test_not_there(self) -> None:
        """A file that is not there, and one that is not text, are named."""
        self.assertIn("No such file", str(self.assertRaises(WrongSummary, summary.read, Path(self.mktemp()))))
        folder = self.kept("")
        (folder / "summary.txt").write_bytes(b"\xff\xfe\x00")
        self.assertIn("not text", str(self.assertRaises(WrongSummary, summary.read, folder)))

    def test_numbers(self) -> None:
        """Five digits are kept, without exponents, whatever the size."""
        for value, text in ((0.0, "0"), (1234567.0, "1234567"), (41.253456, "41.253"), (0.00001234, "0.00001234")):
            self.assertEqual(text, summary.number(value))

    def test_every_metric(self) -> None:
        """Whatever metric there is, it survives."""
        row = Row(dict.fromkeys(LABELS, "x"), dict.fromkeys(COUNTS, 1), dict.fromkeys(METRICS, Spread(2, 1, 3)), {})
        self.assertEqual([row], summary.read(self.kept(summary.write([row]))))
