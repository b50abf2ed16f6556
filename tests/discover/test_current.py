# -*- test-case-name: tests.discover.test_current -*-
"""
Tests for L{lproxy.discover.current}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.current import Current
from lproxy.discover.memory import Memory
from lproxy.target import Authority, Endpoint, Target

WEB, APP = Authority("web.local", 80), Authority("app.local", 80)
ONE, TWO = Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)


class Watching:
    """Somebody who is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.then: Any = None

    def endpoints(self, endpoints: Any, about: Any = None) -> None:
        self.told.append(tuple(endpoints))
        if self.then is not None:
            self.then()

    def unresolved(self, error: Exception) -> None:
        self.told.append(error)


class CurrentTests(SynchronousTestCase):
    """A discovery that is exchanged under its watchers."""

    def setUp(self) -> None:
        self.first, self.second = Memory(), Memory()
        for discover in (self.first, self.second):
            discover.set(WEB, [ONE])
        self.current = Current(self.first)
        self.watching = Watching()
        self.watch = self.current.watch(WEB, self.watching)

    def exchange(self, *others: Target) -> int:
        """Another takes its place, by which C{others} are found otherwise. How many steps that took."""
        return len(list(self.current.exchange(self.second, lambda target: target not in others)))

    def test_same(self) -> None:
        """A watch of what is found as before is not touched: it is told what the first one learns, by that one."""
        self.assertEqual(0, self.exchange(APP))
        self.second.set(WEB, [TWO])
        self.assertEqual([(ONE,)], self.watching.told)
        self.first.set(WEB, [ONE, TWO])
        self.assertEqual([(ONE,), (ONE, TWO)], self.watching.told)

    def test_another(self) -> None:
        """One of what is found otherwise is told the new answer, and nothing more of the old one's."""
        self.second.set(WEB, [TWO])
        self.assertEqual(1, self.exchange(WEB))
        self.first.set(WEB, [])
        self.assertEqual([(ONE,), (TWO,)], self.watching.told)

    def test_no_answer_yet(self) -> None:
        """Until there is a new answer, it goes by what it knows."""
        self.second = Memory()
        self.exchange(WEB)
        self.assertEqual([(ONE,)], self.watching.told)
        self.second.set(WEB, [TWO])
        self.assertEqual((TWO,), self.watching.told[-1])

    def test_no_answer(self) -> None:
        """Where the new answer is that there is none, what the old one had found is nobody's any more."""
        self.second = Memory()
        self.exchange(WEB)
        error = ValueError("no such name")
        self.second.fail(WEB, error)
        self.assertEqual([(ONE,), (), error], self.watching.told)
        self.second.fail(WEB, error)
        self.assertEqual([(ONE,), (), error, error], self.watching.told)

    def test_closed_meanwhile(self) -> None:
        """One that is closed before its turn, or by what it is told in it, is told nothing after that."""
        self.second.set(WEB, [TWO])
        other = Watching()
        watch = self.current.watch(WEB, other)
        self.watching.then = watch.close
        self.assertEqual(1, self.exchange(WEB))
        other.then = None
        third = Watching()
        last = self.current.watch(WEB, third)
        third.then = last.close
        self.first.set(WEB, [TWO, ONE])
        for _ in self.current.exchange(self.first, lambda target: False):
            pass
        self.second.set(WEB, [])
        self.first.set(WEB, [ONE])
        self.assertEqual(([(ONE,)], [(TWO,), (TWO, ONE)]), (other.told, third.told))

    def test_new(self) -> None:
        """Whoever watches from then on goes by the new one at once."""
        steps = self.current.exchange(self.second, lambda target: False)
        self.second.set(APP, [TWO])
        next(steps)
        late = Watching()
        self.current.watch(APP, late)
        self.assertEqual([(TWO,)], late.told)

    def test_closed(self) -> None:
        """A watch that is closed is forgotten."""
        self.watch.close()
        self.assertEqual(0, self.exchange(WEB))
        self.assertIn("0 watches", repr(self.current))
