# -*- test-case-name: tests.metrics.test_past -*-
"""
L{lproxy.metrics.past}: counters do not fall when who counted is gone.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import Family, Kind, Labels
from lproxy.metrics.past import MOST, Past
from tests.metrics.case import MetricsCase

BOARD: Labels = (("board", "kitchen"),)


def family(name: str, kind: Kind, *samples: tuple[Labels, Any]) -> Family:
    return Family(name, kind, "Help.", samples)


def histogram(*values: float) -> Histogram:
    made = Histogram((1.0, 2.0))
    for value in values:
        made.observe(value)
    return made


class PastTests(SynchronousTestCase):
    """What is kept of what is gone."""

    def setUp(self) -> None:
        self.past = Past()

    def shown(self) -> dict[tuple[str, Labels], Any]:
        return {(one.name, labels): value for one in self.past.families() for labels, value in one.samples}

    def test_sums(self) -> None:
        """Counters and histograms are added up by their labels; gauges go, and so does what counted nothing."""
        for seconds in (0.5, 3.0):
            self.past.add(
                [
                    family("memo_total", "counter", (BOARD, 2), ((), 0)),
                    family("memo_seconds", "histogram", (BOARD, histogram(seconds)), ((), histogram())),
                    family("memo_open", "gauge", (BOARD, 7)),
                ]
            )
        shown = self.shown()
        self.assertEqual({("memo_total", BOARD), ("memo_seconds", BOARD)}, set(shown))
        self.assertEqual(4, shown["memo_total", BOARD])
        both = shown["memo_seconds", BOARD]
        self.assertEqual(([1, 0, 1], 3.5), (both.counts, both.total))
        self.past.add([family("memo_total", "counter", (BOARD, 0))])
        self.assertEqual(4, self.shown()["memo_total", BOARD])

    def test_own(self) -> None:
        """A histogram is kept as it was: whoever still counts in it counts elsewhere."""
        late = histogram(0.5)
        self.past.add([family("memo_seconds", "histogram", (BOARD, late))])
        late.observe(0.5)
        self.assertEqual([1, 0, 0], self.shown()["memo_seconds", BOARD].counts)

    def test_bounded(self) -> None:
        """Of very many those stay that were counted last."""
        self.past.add(
            [family("memo_total", "counter", (BOARD, 1), *(((("board", str(n)),), 1) for n in range(MOST - 1)))]
        )
        self.past.add([family("memo_total", "counter", (BOARD, 1))])
        self.past.add([family("memo_total", "counter", ((("board", "new"),), 1))])
        shown = self.shown()
        self.assertEqual((MOST, 2), (len(shown), shown["memo_total", BOARD]))
        self.assertNotIn(("memo_total", (("board", "0"),)), shown)


class RemovedTests(MetricsCase):
    """A registry whose plugins, and whose stacks, come and go."""

    def memo(self, n: int, waiting: int = 0) -> Any:
        """A plugin that has counted C{n}."""
        counters = self.metrics.plugin("memo")
        counters.families(
            lambda: [family("memo_total", "counter", (BOARD, n)), family("memo_waiting", "gauge", (BOARD, waiting))]
        )
        return counters

    def test_plugin(self) -> None:
        """A plugin's counters go on from where those before have ended; what is, is that of those that are."""
        for n in (3, 4):
            self.metrics.remove(self.memo(n, 1))
            self.assertEqual([], self.values("memo_waiting"))
        self.assertEqual([7], self.values("memo_total", board="kitchen"))
        self.memo(1, 5)
        self.assertEqual([8], self.values("memo_total", board="kitchen"))
        self.assertEqual([5], self.values("memo_waiting", board="kitchen"))
        self.assertEqual([], self.failures)

    def test_broken(self) -> None:
        """One that cannot be read when it goes costs its own rows, and is told."""
        good, bad = self.memo(3), self.metrics.plugin("bad")
        bad.families(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        for one in (bad, good):
            self.metrics.remove(one)
        self.assertEqual(["bad"], [name for name, _ in self.failures])
        self.assertEqual([3], self.values("memo_total", board="kitchen"))

    def test_state(self) -> None:
        """So it is with what stacks have: their totals stay, their state goes."""
        for n in (1, 2):
            end = self.metrics.watch(lambda n=n: [("failfast_total", (("target", "a"),), n), ("in_flight", (), 1)])
            end()
            end()
        self.assertEqual([3], self.values("failfast_total", target="a"))
        self.assertEqual([], self.values("in_flight"))
