# -*- test-case-name: tests.discover.test_current -*-
"""
Tests for L{lproxy.discover.current}.
"""

from __future__ import annotations

import gc
from typing import Any
from weakref import ref

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Service
from lproxy.discover.current import Current
from lproxy.discover.memory import Memory
from lproxy.discover.static import Static
from lproxy.target import Authority, Endpoint

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
    """Services that are exchanged under their watchers; what is none of them is found elsewhere."""

    def setUp(self) -> None:
        self.elsewhere = Memory()
        self.current = Current(self.services(ONE))
        self.watching = Watching()
        self.watch = self.current.watch(WEB, self.watching)

    def services(self, *endpoints: Endpoint, otherwise: Memory | None = None, **more: Any) -> Static:
        """The only one; none without endpoints."""
        web = Service("web.local:80", tuple(map(str, endpoints)), **more)
        return Static({web.name: web} if endpoints else {}, otherwise or self.elsewhere)

    def exchange(self, static: Static) -> int:
        """It takes their place. How many steps that took."""
        return len(list(self.current.exchange(static)))

    def test_same(self) -> None:
        """A watch of what is found as before is told nothing."""
        self.assertEqual(1, self.exchange(self.services(ONE)))
        self.assertEqual([(ONE,)], self.watching.told)

    def test_elsewhere(self) -> None:
        """So is one of what is found elsewhere, as long as that is who finds it, and what he learns it is told."""
        watching = Watching()
        self.current.watch(APP, watching)
        self.elsewhere.set(APP, [ONE])
        self.exchange(self.services(TWO))
        self.elsewhere.set(APP, [TWO])
        self.assertEqual([(ONE,), (TWO,)], watching.told)
        other = Memory()
        other.set(APP, [ONE])
        self.exchange(self.services(TWO, otherwise=other))
        self.elsewhere.set(APP, [ONE, TWO])
        self.assertEqual([(ONE,), (TWO,), (ONE,)], watching.told)

    def test_another(self) -> None:
        """One of what is found otherwise is told the new answer."""
        self.exchange(self.services(TWO))
        self.assertEqual([(ONE,), (TWO,)], self.watching.told)

    def test_no_answer_yet(self) -> None:
        """Until there is a new answer, it goes by what it knows."""
        self.exchange(self.services())
        self.assertEqual([(ONE,)], self.watching.told)
        self.elsewhere.set(WEB, [TWO])
        self.assertEqual((TWO,), self.watching.told[-1])

    def test_no_answer(self) -> None:
        """Where the new answer is that there is none, what the old one had found is nobody's any more."""
        self.exchange(self.services())
        error = ValueError("no such name")
        for _ in range(2):
            self.elsewhere.fail(WEB, error)
        self.assertEqual([(ONE,), (), error, error], self.watching.told)

    def test_closed_meanwhile(self) -> None:
        """One that is closed before its turn, or by what it is told in it, is told nothing after that."""
        other, third = Watching(), Watching()
        watch, last = self.current.watch(WEB, other), self.current.watch(WEB, third)
        self.watching.then, third.then = watch.close, last.close
        self.exchange(self.services(TWO))
        self.exchange(self.services(ONE))
        self.assertEqual(([(ONE,)], [(ONE,), (TWO,)]), (other.told, third.told))

    def test_new(self) -> None:
        """Whoever watches from then on goes by the new one at once."""
        self.current.exchange(self.services(TWO))
        late = Watching()
        self.current.watch(WEB, late)
        self.assertEqual([(TWO,)], late.told)

    def test_left_off(self) -> None:
        """One exchange may be left off for another: what was not gone through is compared with what it goes by."""
        self.current.exchange(self.services(TWO))
        self.exchange(self.services(TWO))
        self.assertEqual([(ONE,), (TWO,)], self.watching.told)

    def test_nothing_kept(self) -> None:
        """Services that were exchanged are nobody's, though what they say of a target is what the others do."""
        gone = ref(self.watch.by)
        self.exchange(self.services(ONE))
        gc.collect()
        self.assertIsNone(gone())

    def test_closed(self) -> None:
        """A watch that is closed is forgotten."""
        self.watch.close()
        self.assertEqual(0, self.exchange(self.services(TWO)))
        self.assertIn("0 watches", repr(self.current))
