# -*- test-case-name: tests.metrics.test_plugin -*-
"""
L{lproxy.metrics.plugin}: what a protocol's plugin counts into.
"""

from __future__ import annotations

from lproxy.metrics.caps import OTHER
from lproxy.metrics.family import Family
from tests.metrics.case import MetricsCase, Number


class PluginCountersTests(MetricsCase):
    """One plugin's."""

    def setUp(self) -> None:
        super().setUp()
        self.memo = self.metrics.plugin("memo")

    def test_transport(self) -> None:
        """Connections are counted together, whosoever they are."""
        where = ("inbound", "src", "10.0.0.1", "10.0.0.2:80", "memo")
        self.assertIs(self.metrics.transport(*where), self.memo.transport(*where))

    def test_cap(self) -> None:
        """As wide as the configuration says, and each label has its own."""
        memo = self.make(target_cap=1).plugin("memo")
        cap = memo.cap()
        self.assertEqual(["a", OTHER], [cap("a"), cap("b")])
        self.assertEqual("b", memo.cap()("b"))

    def test_series(self) -> None:
        """Series of its own, capped where it says so, which go when they are idle."""
        metrics = self.metrics = self.make(target_cap=1, idle=5.0)
        memo = metrics.plugin("memo")
        series = memo.series(Number, "board")
        memo.families(lambda: [Family("memo_total", "counter", "Memos.", [(s, c.value) for s, c in series.items()])])
        for board in ("kitchen", "office", "garden"):
            series.get((("board", board), ("size", board))).value += 1
        self.assertEqual([1], self.values("memo_total", board="kitchen"))
        self.assertEqual([1, 1], self.values("memo_total", board=OTHER))
        self.clock.advance(5)
        self.assertEqual([], self.values("memo_total"))
        series.get((("board", "office"), ("size", "1"))).value += 1
        self.assertEqual([1], self.values("memo_total", board="office"))

    def test_remove(self) -> None:
        """Once removed, it is asked for nothing any more: what it has counted stays, as a counter must not fall."""
        counted = [1]
        self.memo.families(lambda: [Family("memo_total", "counter", "Memos.", [((), counted[0])])])
        self.memo.families(lambda: [Family("memo_open", "gauge", "Open.", [((), 1)])])
        self.metrics.remove(self.memo)
        counted[0] = 2
        self.assertEqual(([1], []), (self.values("memo_total"), self.values("memo_open")))
