"""
L{benchmark.metrics}: the names of all figures.
"""

import ast
import inspect

from twisted.trial.unittest import SynchronousTestCase

from benchmark import metrics
from benchmark.metrics import COST, GROUPS, METRICS, OPTIONAL, THROUGHPUT


class MetricTests(SynchronousTestCase):
    def test_unique(self) -> None:
        """No two metrics share a key, which would lose one without a word, or a column's head."""
        calls = [node for node in ast.walk(ast.parse(inspect.getsource(metrics))) if isinstance(node, ast.Call)]
        written = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Metric"]
        self.assertEqual(len(written), len(METRICS))
        self.assertEqual(len(METRICS), len({metric.title for metric in METRICS.values()}))

    def test_columns(self) -> None:
        """A key is a column's name in a file with commas, and a title stands in one: neither has a comma of its own."""
        for key, metric in METRICS.items():
            self.assertEqual(key, metric.key)
            self.assertRegex(key, r"^[a-z][a-z0-9_]*$")
            self.assertNotIn(",", metric.title)

    def test_known(self) -> None:
        """Whatever a ratio, a picture or a difference is made of, is a metric."""
        added = [metric.added for metric in METRICS.values() if metric.added]
        self.assertEqual([], [key for key in (*COST, *THROUGHPUT, *OPTIONAL, *added) if key not in METRICS])

    def test_meaning(self) -> None:
        """More throughput is better, more cost is not; what a unit costs is the proxy's own."""
        better = {key for key, metric in METRICS.items() if metric.more_is_better}
        self.assertEqual(set(THROUGHPUT), better)
        self.assertEqual([], [key for key in COST if not METRICS[key].of_proxy])

    def test_groups(self) -> None:
        """Every picture shows something, and nothing belongs to a picture that is not drawn."""
        self.assertEqual(set(GROUPS), {metric.group for metric in METRICS.values() if metric.group})
        shown = [metric for group in GROUPS for metric in metrics.of_group(group)]
        self.assertEqual(sum(bool(metric.group) for metric in METRICS.values()), len(shown))

    def test_by_name(self) -> None:
        """Metrics come in the order in which they are named; a name that is none is an error at once."""
        self.assertEqual(["errors", "p50_ms"], [metric.key for metric in metrics.metrics("errors", "p50_ms")])
        self.assertRaises(KeyError, metrics.metrics, "p51_ms")
