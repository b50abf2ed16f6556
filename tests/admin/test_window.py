# -*- test-case-name: tests.admin.test_window -*-
"""
L{lproxy.admin.window}: what has happened lately.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin.window import KEPT, Counts, Window, added, quantile
from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import Family

A, B = (("service", "a"),), (("service", "b"),)


class WindowTests(SynchronousTestCase):
    """Looks at one counter and one histogram."""

    def setUp(self) -> None:
        self.window = Window({"n", "ms"})
        self.n = {A: 0, B: 7}
        self.ms = Histogram((1.0, 2.0, 5.0))
        self.now = 100.0

    def look(self, seconds: float = 2.0) -> None:
        self.now += seconds
        families = [
            Family("n", "counter", "Help.", list(self.n.items())),
            Family("other", "counter", "Help.", [((), 1)]),
            Family("ms", "histogram", "Help.", [(A, self.ms)]),
        ]
        self.window.look(families, self.now)

    def test_nothing(self) -> None:
        """Before the first look there is nothing."""
        window = self.window
        self.assertEqual(
            (0.0, [], 0.0, None), (window.seconds, window.series("n"), window.grown("n", A), window.counts("ms", A))
        )

    def test_one(self) -> None:
        """One look shows all there ever was, and that it has no length."""
        self.n[A] = 5
        self.ms.observe(1.5)
        self.look()
        self.assertEqual((0.0, 5.0, 7.0), (self.window.seconds, self.window.grown("n", A), self.window.grown("n", B)))
        self.assertEqual(Counts((1.0, 2.0, 5.0), (0, 1, 0, 0)), self.window.counts("ms", A))
        self.assertEqual([A, B], self.window.series("n"))
        self.assertEqual([], self.window.series("other"))

    def test_grown(self) -> None:
        """Between the first and the last; what is new has grown from nothing, what was counted anew has not shrunk."""
        self.look()
        self.n[A] = 10
        self.ms.observe(0.5)
        self.look(3.0)
        self.assertEqual((3.0, 10.0), (self.window.seconds, self.window.grown("n", A)))
        self.assertEqual((1, 0, 0, 0), self.window.counts("ms", A).counts)  # type: ignore[union-attr]
        self.n[A] = 4
        self.n[(("service", "c"),)] = 2
        self.look()
        self.assertEqual((4.0, 2.0), (self.window.grown("n", A), self.window.grown("n", (("service", "c"),))))
        self.n[A] = -1
        self.look()
        self.assertEqual(0.0, self.window.grown("n", A))

    def test_bounded(self) -> None:
        """It moves on: the oldest look goes."""
        for n in range(100):
            self.n[A] = n
            self.look()
        self.assertEqual((2.0 * (KEPT - 1), KEPT - 1.0), (self.window.seconds, self.window.grown("n", A)))
        self.window.forget()
        self.assertEqual([], self.window.series("n"))


class QuantileTests(SynchronousTestCase):
    """Where in a histogram."""

    def test_within(self) -> None:
        """It is taken to be even within a bucket."""
        counts = Counts((10.0, 20.0), (10, 10, 0))
        self.assertEqual([5.0, 10.0, 15.0, 20.0], [quantile(counts, q) for q in (0.25, 0.5, 0.75, 1.0)])

    def test_beyond(self) -> None:
        """Beyond the last bound nothing is known but that."""
        self.assertEqual(20.0, quantile(Counts((10.0, 20.0), (0, 0, 3)), 0.5))

    def test_none(self) -> None:
        """Of nothing there is none."""
        self.assertEqual((None, None), (quantile(None, 0.5), quantile(Counts((1.0,), (0, 0)), 0.5)))

    def test_added(self) -> None:
        """Several as one."""
        self.assertIsNone(added([]))
        self.assertEqual(Counts((1.0,), (4, 6)), added([Counts((1.0,), (1, 2)), Counts((1.0,), (3, 4))]))
