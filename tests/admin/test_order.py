# -*- test-case-name: tests.admin.test_order -*-
"""
L{lproxy.admin.order}: which rows come first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin.order import NONE, SORTS, Traffic, of_row, of_standing, of_traffic
from lproxy.app.rows import Standing

FAST = Traffic(10.0, 1.0, (1.0, 2.0, 3.0))
SLOW = Traffic(5.0, 0.5, (10.0, 20.0, 30.0))


class OrderTests(SynchronousTestCase):
    """Of those with traffic and those without."""

    def ordered(self, sort: str) -> list[Traffic]:
        return sorted((NONE, FAST, SLOW), key=lambda one: of_traffic(sort, one))

    def test_traffic(self) -> None:
        """The most requests, the worst success and the longest time first; of whom nothing is known, last."""
        self.assertEqual([FAST, SLOW, NONE], self.ordered("requests"))
        for sort in ("success", "p50", "p95", "p99"):
            self.assertEqual([SLOW, FAST, NONE], self.ordered(sort), sort)
        self.assertEqual(1, len({of_traffic("name", one) for one in (FAST, SLOW, NONE)}), "names decide")

    def test_amounts(self) -> None:
        """Those with the most in flight, or waiting."""
        rows: list[dict[str, Any]] = [{"in_flight": 1, "waiters": 9}, {"in_flight": 3}, {"in_flight": 2, "waiters": 1}]
        for sort, first in (("in-flight", 1), ("waiting", 0)):
            self.assertIs(rows[first], min(rows, key=lambda row, by=sort: of_row(by, row, NONE)))  # type: ignore[misc]

    def test_worst(self) -> None:
        """Where nothing is asked for, what somebody should look at, then what is used most."""
        states = [of_row("", {"state": state}, NONE) for state in ("down", "degraded", "ready", "unused")]
        self.assertEqual(sorted(states), states)
        self.assertLess(of_row("", {"state": "ready"}, FAST), of_row("", {"state": "ready"}, SLOW))

    def test_standing(self) -> None:
        """What is known of all services chooses, as far as it goes, what their rows are sorted by."""
        nobody: Callable[[], None] = lambda: None  # noqa: E731
        down, busy, idle = (
            Standing("a", serves, 0, busy, nobody) for serves, busy in ((False, 0), (True, 9), (True, 1))
        )
        for sort in ("in-flight", "waiting"):
            self.assertLess(of_standing(sort, busy, NONE), of_standing(sort, idle, NONE))
        self.assertLess(of_standing("", down, NONE), of_standing("", busy, FAST))
        self.assertEqual(
            {*SORTS} - {"in-flight", "waiting"}, {s for s in SORTS if of_standing(s, idle, SLOW) == of_traffic(s, SLOW)}
        )
