# -*- test-case-name: tests.discover.test_union -*-
"""
Tests for L{lproxy.discover.union}: several names serve together.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.memory import Memory
from lproxy.discover.union import Union
from lproxy.target import UNKNOWN, Authority, Endpoint, Metadata
from tests.discover.doubles import Told

ONE, TWO = Authority("b-1", 1), Authority("b-2", 1)
FIXED = Endpoint("10.0.0.9", 1)
A, B, C = (Endpoint(f"10.0.0.{n}", 1) for n in (1, 2, 3))


class UnionTests(SynchronousTestCase):
    """Addresses and names."""

    def setUp(self) -> None:
        self.memory, self.told = Memory(), Told()

    def watch(self, fixed: Sequence[Endpoint] = ()) -> Union:
        return Union(self.told, dict.fromkeys(fixed, UNKNOWN), {ONE: UNKNOWN, TWO: UNKNOWN}, self.memory)

    def test_together(self) -> None:
        """Whoever is known serves, each endpoint once; a name that is not known yet keeps nobody waiting."""
        self.watch()
        self.assertEqual([], self.told.take())
        self.memory.set(TWO, [B, C])
        self.memory.set(ONE, [A, B])
        self.memory.set(TWO, [])
        self.assertEqual(
            [[str(B), str(C)], [str(A), str(B), str(C)], [str(A), str(B)]],
            self.told.take(),
        )

    def test_about(self) -> None:
        """What is known of a name is told with each of its endpoints; of one that two have, what the first has."""
        fixed, one, two = (Metadata(protocol=word) for word in ("", "http1", "http2"))
        Union(self.told, {FIXED: fixed}, {ONE: one, TWO: two}, self.memory)
        self.memory.set(TWO, [B, C])
        self.memory.set(ONE, [A, B])
        self.assertEqual({FIXED: fixed, A: one, B: one, C: two}, self.told.about)

    def test_at_once(self) -> None:
        """What is known from the beginning is told once, within the call."""
        self.memory.set(ONE, [A])
        self.memory.set(TWO, [B])
        self.watch([FIXED])
        self.assertEqual([[str(A), str(B), str(FIXED)]], self.told.take())

    def test_unresolved(self) -> None:
        """A name without an answer costs its own endpoints; only where none has one, that is told."""
        errors = [ValueError("one"), ValueError("two")]
        watch = self.watch()
        self.memory.fail(TWO, errors[1])
        self.assertEqual([], self.told.take())
        self.memory.fail(ONE, errors[0])
        self.assertEqual([errors[0]], self.told.take())
        watch.refresh()
        self.assertEqual([errors[0]] * 2, self.told.take())
        self.memory.set(ONE, [A])
        self.assertEqual([[str(A)]], self.told.take())
        self.watch([FIXED])
        self.memory.fail(TWO, errors[1])
        self.assertEqual([[str(A), str(FIXED)]] * 1, self.told.take()[:1])

    def test_gone(self) -> None:
        """A name that loses its answer loses its endpoints."""
        watch = self.watch()
        self.memory.set(ONE, [A])
        self.memory.set(TWO, [B])
        self.told.take()
        (_, part) = watch._parts
        part.unresolved(ValueError("gone"))
        self.assertEqual([[str(A)]], self.told.take())

    def test_closed(self) -> None:
        """Closed, it tells nothing more, and watches nobody."""
        watch = self.watch()
        watch.close()
        self.memory.set(ONE, [A])
        self.memory.forget(ONE)
        self.assertEqual(([], "<Memory 0 targets>"), (self.told.take(), repr(self.memory)))
