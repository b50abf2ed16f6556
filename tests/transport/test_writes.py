# -*- test-case-name: tests.transport.test_writes -*-
"""
L{lproxy.transport.writes}: one write for each connection that a batch concerns.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.writes import WRITES, Writes


class Scripted:
    """Remembers that it was flushed, and does what a test wants in that."""

    def __init__(self, flushed: list[str], name: str, then: Callable[[], None] = lambda: None) -> None:
        self.entered = False
        self._flushed = flushed
        self._name = name
        self._then = then

    def flush(self) -> None:
        """Note it."""
        self._flushed.append(self._name)
        self._then()


class WritesTests(SynchronousTestCase):
    """Batches."""

    def setUp(self) -> None:
        self.flushed: list[str] = []
        self.writes = Writes()
        self.a, self.b = Scripted(self.flushed, "a"), Scripted(self.flushed, "b")

    def test_outside(self) -> None:
        """Where nobody reads, it is written at once."""
        self.writes.enter(self.a)
        self.writes.enter(self.a)
        self.assertEqual(["a", "a"], self.flushed)

    def test_once(self) -> None:
        """However often somebody enters during a read, it is flushed once, at the end, in order."""
        self.writes.begin()
        for writer in (self.a, self.b, self.a):
            self.writes.enter(writer)
        self.assertEqual([], self.flushed)
        self.writes.end()
        self.assertEqual(["a", "b"], self.flushed)
        self.writes.begin()
        self.writes.enter(self.a)
        self.writes.end()
        self.assertEqual(["a", "b", "a"], self.flushed)

    def test_nested(self) -> None:
        """A read within another ends nothing."""
        self.writes.begin()
        self.writes.begin()
        self.writes.enter(self.a)
        self.writes.end()
        self.assertEqual([], self.flushed)
        self.writes.end()
        self.assertEqual(["a"], self.flushed)

    def test_caused_by_a_flush(self) -> None:
        """What a flush causes is flushed as well, also on who was flushed before."""
        self.writes.begin()
        self.writes.enter(self.b)
        self.writes.enter(Scripted(self.flushed, "c", lambda: self.writes.enter(self.b)))
        self.writes.end()
        self.assertEqual(["b", "c", "b"], self.flushed)

    def test_after_a_mistake(self) -> None:
        """One that raises all the same does not have the others wait for ever."""

        def raises() -> None:
            raise RuntimeError("a mistake")

        self.writes.begin()
        self.writes.enter(Scripted(self.flushed, "c", raises))
        self.writes.enter(self.b)
        self.assertRaises(RuntimeError, self.writes.end)
        self.assertEqual(["c", "b"], self.flushed)
        self.writes.enter(self.a)
        self.writes.begin()
        self.writes.enter(self.b)
        self.writes.end()
        self.assertEqual(["c", "b", "a", "b"], self.flushed)

    def test_at_rest(self) -> None:
        """The process's own has nobody waiting between reads."""
        self.assertEqual("<Writes depth=0 entered=0>", repr(WRITES))
