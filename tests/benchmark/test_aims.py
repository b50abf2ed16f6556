"""
L{benchmark.aims}: what was aimed at, and whether it was reached.
"""

from twisted.trial.unittest import SynchronousTestCase

from benchmark import aims
from benchmark.aims import AIMS, Aim
from benchmark.metrics import METRICS
from benchmark.session import ALL_SCENARIOS
from benchmark.summary import LABELS, Row, Spread


def row(proxy: str, values: dict[str, float], **ratios: float) -> Row:
    labels = dict.fromkeys(LABELS, "") | {"scenario": "grpc", "proxy": proxy}
    return Row(labels, {}, {key: Spread(value, value, value) for key, value in values.items()}, ratios)


ROWS = [
    row("envoy", {"p99_added_ms": 2.0}),
    row("lproxy", {"p99_added_ms": 3.0, "unread_mib": 12.0}, cost_of_envoy=0.9),
    row("lproxy-compiled", {"p99_added_ms": 1.0}, cost_of_envoy=0.5),
]


class FoundTests(SynchronousTestCase):
    def found(self, figure: str, of: str, proxy: str = "lproxy", scenario: str = "grpc") -> float | None:
        return aims.found(Aim("x", scenario, figure, of, 1.0), ROWS, proxy)

    def test_cost(self) -> None:
        """The ratio of what a unit of work costs is that of the rounds, as the summary has it."""
        self.assertEqual((0.9, 0.5), (self.found("cost", "envoy"), self.found("cost", "envoy", "lproxy-compiled")))

    def test_figure(self) -> None:
        """A figure by itself, or to another proxy's."""
        self.assertEqual((12.0, 1.5), (self.found("unread_mib", ""), self.found("p99_added_ms", "envoy")))

    def test_nothing(self) -> None:
        """What was not measured, of oneself or of the other, is not made up."""
        for given in (
            ("cost", "nginx"),
            ("p99_added_ms", "nginx"),
            ("unread_mib", "", "lproxy-compiled"),
            ("unread_mib", "envoy"),
            ("cost", "envoy", "haproxy"),
            ("cost", "envoy", "lproxy", "h2"),
        ):
            self.assertIsNone(self.found(*given), given)


class TableTests(SynchronousTestCase):
    def test_table(self) -> None:
        """A line for each aim whose scenario was measured; what is beyond its limit is called missed."""
        wanted = [
            Aim("cost", "grpc", "cost", "envoy", 0.8, 0.55),
            Aim("memory", "grpc", "unread_mib", "", 16.0),
            Aim("elsewhere", "h2", "cost", "envoy", 1.0),
        ]
        lines = aims.table(wanted, ROWS).splitlines()
        self.assertEqual(6, len(lines))
        self.assertEqual(["cost", "0.8", "0.90", "missed", "0.55", "0.50"], lines[3].split())
        self.assertEqual(["memory", "16", "12.0", "16", "-"], lines[4].split())

    def test_nothing_measured(self) -> None:
        """Without one of its scenarios there is no table."""
        self.assertEqual(["aims-http2"], list(aims.tables(ROWS)))

    def test_known(self) -> None:
        """Every aim is about a scenario that there is, and a figure of it."""
        for aim in [one for several in AIMS.values() for one in several]:
            keys = {metric.key for metric in ALL_SCENARIOS[aim.scenario].metrics}
            if aim.figure != aims.COST:
                self.assertIn(aim.figure, keys & set(METRICS), aim.what)
