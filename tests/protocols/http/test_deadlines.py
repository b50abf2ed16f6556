# -*- test-case-name: tests.protocols.http.test_deadlines -*-
"""
L{lproxy.protocols.http.deadlines}: many deadlines, one timer.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.deadlines import Deadlines


class Waiting:
    """Notes that its time has come, and does what a test wants."""

    def __init__(self, expired: list[str], name: str, then: Callable[[], None] = lambda: None) -> None:
        self._expired = expired
        self._name = name
        self._then = then

    def expired(self) -> None:
        """Note it."""
        self._expired.append(self._name)
        self._then()


class DeadlinesTests(SynchronousTestCase):
    """Who is told, and when."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.expired: list[str] = []

    def waiting(self, name: str, at: float, then: Callable[[], None] = lambda: None) -> Waiting:
        """Somebody whose time comes at C{at}."""
        one = Waiting(self.expired, name, then)
        self.deadlines.add(one, at)
        return one

    def until(self, at: float) -> list[str]:
        """Who was told by then."""
        self.clock.pump([0.001] * round((at - self.clock.seconds()) / 0.001))
        return self.expired

    def test_in_time(self) -> None:
        """Each is told when its time has come, at most a grain later and never before."""
        self.waiting("b", 0.2)
        self.waiting("a", 0.1)
        self.waiting("c", 0.202)
        self.assertEqual([], self.until(0.098))
        self.assertEqual(["a"], self.until(0.102))
        self.assertEqual(["a"], self.until(0.198))
        self.assertEqual(["a", "b", "c"], self.until(0.208))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_dropped(self) -> None:
        """What is over is not told, and a thousand that came and went have had one timer."""
        for n in range(1000):
            self.deadlines.drop(self.waiting(str(n), 1.0 + n / 1000))
            self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.assertEqual([], self.until(3.0))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_past(self) -> None:
        """A deadline that has passed already is told in the next turn."""
        self.clock.advance(5.0)
        self.waiting("late", 3.0)
        self.assertEqual([], self.expired)
        self.clock.advance(0)
        self.assertEqual(["late"], self.expired)

    def test_by_each_other(self) -> None:
        """One that ends another, or adds one, as its own time comes."""
        other: list[Waiting] = []

        def then() -> None:
            self.deadlines.drop(other[0])
            self.waiting("new", 0.15)

        self.waiting("first", 0.1, then)
        other.append(self.waiting("second", 0.1))
        self.assertEqual(["first"], self.until(0.12))
        self.assertEqual(["first", "new"], self.until(0.16))

    def test_stop(self) -> None:
        """No timer is left, and what comes after that has one again."""
        self.waiting("never", 0.1)
        self.deadlines.stop()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.deadlines.stop()
        self.waiting("again", 0.2)
        self.assertEqual(["never", "again"], sorted(self.until(0.3), reverse=True))
