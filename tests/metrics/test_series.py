# -*- test-case-name: tests.metrics.test_series -*-
"""
L{lproxy.metrics.series}: a series disappears only when nothing live holds it and it has been idle for 10 minutes.
"""

from __future__ import annotations

import gc

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.caps import OTHER, Cap
from lproxy.metrics.family import Labels
from lproxy.metrics.series import Kept, Series
from tests.metrics.case import Number


def at(value: str) -> Labels:
    """One label."""
    return (("host", value),)


class SeriesTests(SynchronousTestCase):
    """Counters by label set."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.series = Series(Number, self.clock.seconds, 600.0, {"host": Cap(2)})

    def shown(self) -> dict[str, int]:
        """What a scrape sees."""
        self.series.sweep()
        return {labels[0][1]: counter.value for labels, counter in self.series.items()}

    def test_same(self) -> None:
        """One label set has one counter."""
        counter = self.series.get(at("a"))
        self.assertIs(counter, self.series.get(at("a")))
        self.assertIsNot(counter, self.series.get(at("b")))
        self.assertEqual((2, True, False), (len(self.series), at("a") in self.series, at("c") in self.series))

    def test_capped(self) -> None:
        """Beyond a label's cap all share a counter, and labels without a cap are left as they are."""
        for host in "abcd":
            self.series.get((*at(host), ("tls", "false"))).value += 1
        self.assertEqual({"a": 1, "b": 1, OTHER: 2}, self.shown())
        self.assertEqual((("tls", "x"), ("host", OTHER)), self.series.capped((("tls", "x"), ("host", "e"))))

    def test_removal(self) -> None:
        """It goes 10 minutes after a scrape saw that it had moved."""
        self.series.get(at("a")).value += 1
        self.clock.advance(599)
        self.assertEqual({"a": 1}, self.shown())
        self.series.get(at("a")).value += 1
        self.clock.advance(599)
        self.assertEqual({"a": 2}, self.shown())
        self.clock.advance(599)
        self.assertEqual({"a": 2}, self.shown())
        self.clock.advance(1)
        self.assertEqual({}, self.shown())

    def test_never_moved(self) -> None:
        """One that was made and never counted anything goes as well, 10 minutes after that."""
        self.clock.advance(1_000)
        self.series.get(at("a"))
        self.clock.advance(599)
        self.assertEqual({"a": 0}, self.shown())
        self.clock.advance(1)
        self.assertEqual({}, self.shown())

    def test_moved_unseen(self) -> None:
        """What moved since the last scrape is shown, however long ago that was."""
        counter = self.series.get(at("a"))
        self.assertEqual({"a": 0}, self.shown())
        counter.value = 1
        self.clock.advance(10_000)
        self.assertEqual({"a": 1}, self.shown())
        self.clock.advance(600)
        self.assertEqual({}, self.shown())

    def test_held(self) -> None:
        """While something live holds it, it stays however long it was idle, and goes on from where it was."""
        counter = self.series.get(at("a"))
        counter.holders, counter.value = 1, 5
        for _ in range(5):
            self.clock.advance(600)
            self.assertEqual({"a": 5}, self.shown())
        counter.value += 1
        self.assertEqual({"a": 6}, self.shown())
        self.assertIs(counter, self.series.get(at("a")))

    def test_count_then_drop(self) -> None:
        """What a holder counted last, after it was idle for long and just before it let go, is not lost."""
        counter = self.series.get(at("a"))
        counter.holders = 1
        for _ in range(3):
            self.clock.advance(600)
            self.shown()
        counter.holders, counter.value = 0, 1
        self.assertEqual({"a": 1}, self.shown())
        self.clock.advance(599)
        self.assertEqual({"a": 1}, self.shown())
        self.clock.advance(1)
        self.assertEqual({}, self.shown())

    def test_dropped(self) -> None:
        """When the last holder lets go of an idle series, the next scrape is without it."""
        counter = self.series.get(at("a"))
        counter.holders = 1
        self.clock.advance(10_000)
        self.assertEqual({"a": 0}, self.shown())
        counter.holders = 0
        self.assertEqual({}, self.shown())

    def test_comes_back_anew(self) -> None:
        """A series that was gone begins again at nothing: a restart, as Prometheus sees it."""
        self.series.get(at("a")).value = 7
        self.shown()
        self.clock.advance(600)
        self.assertEqual({}, self.shown())
        self.series.get(at("a")).value += 1
        self.assertEqual({"a": 1}, self.shown())

    def test_places_are_freed(self) -> None:
        """Once a value's last series is gone, it makes room for others."""
        for host in "abc":
            self.series.get(at(host)).value += 1
        self.shown()
        self.clock.advance(600)
        self.series.get(at("a")).value += 1
        self.assertEqual({"a": 2}, self.shown())
        for host in "dea":
            self.series.get(at(host)).value += 1
        self.assertEqual({"a": 3, "d": 1, OTHER: 1}, self.shown())

    def test_sweep_says(self) -> None:
        """Whoever remembers counters learns that some are gone."""
        self.series.get(at("a"))
        self.assertFalse(self.series.sweep())
        self.clock.advance(600)
        self.assertTrue(self.series.sweep())

    def test_memory(self) -> None:
        """What came and went leaves nothing."""
        series = Series(Number, self.clock.seconds, 600.0)
        for n in range(1_000):
            series.get(at(f"gone{n}")).value += 1
        series.sweep()
        self.clock.advance(600)
        gc.collect()
        before = sum(type(o) is Kept for o in gc.get_objects())
        series.sweep()
        gc.collect()
        self.assertEqual(1_000, before - sum(type(o) is Kept for o in gc.get_objects()))
