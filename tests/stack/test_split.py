# -*- test-case-name: tests.stack.test_split -*-
"""
Tests for L{lproxy.stack.split}.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import ProxyError
from lproxy.stack import split
from lproxy.stack.failfast import FailedFast
from lproxy.stack.interfaces import Hint
from lproxy.stack.split import pick
from lproxy.target import Authority, Endpoint, Split
from lproxy.testing import ScriptedAcquire

WEB, OLD, NEW, SPARE = (Authority(name, 80) for name in ("web", "old", "new", "spare"))
SPLIT = Split(WEB, ((OLD, 90), (NEW, 10), (SPARE, 0)))


class PickTests(SynchronousTestCase):
    """A pure function, for whoever wants to know."""

    def test_weights(self) -> None:
        """Each has as much of the range as its weight says, and who has none is never chosen."""
        found = Counter(pick(SPLIT.backends, i / 1000) for i in range(1000))
        self.assertEqual({OLD: 900, NEW: 100}, found)

    def test_key(self) -> None:
        """A key's backend is the same whatever the chance; of all keys, each has as many as its weight says."""
        random = Random(1)
        chosen = [pick(SPLIT.backends, random.random(), b"%d" % i) for i in range(5000)]
        self.assertEqual(chosen, [pick(SPLIT.backends, random.random(), b"%d" % i) for i in range(5000)])
        self.assertTrue(400 < Counter(chosen)[NEW] < 600)
        self.assertEqual({OLD, NEW}, set(chosen))

    def test_more(self) -> None:
        """With more weight, a backend gets further keys, and keeps those that it had."""
        more = ((OLD, 50), (NEW, 50))
        for i in range(1000):
            if pick(SPLIT.backends, 0.0, b"%d" % i) == NEW:
                self.assertEqual(NEW, pick(more, 0.0, b"%d" % i))

    def test_none(self) -> None:
        """Where nobody has a weight there is nobody to choose."""
        for key in (b"", b"key"):
            self.assertRaises(ValueError, pick, ((OLD, 0),), 0.5, key)
            self.assertRaises(ValueError, pick, (), 0.5, key)


class SplitTests(SynchronousTestCase):
    """Nine of ten to the old, one to the new."""

    def setUp(self) -> None:
        self.inner = ScriptedAcquire()
        self.stack = split.layer(Random(1))(self.inner)

    def test_others(self) -> None:
        """What is no split passes, with its hint."""
        hint = Hint(b"key")
        self.stack.try_acquire(WEB, hint)
        self.stack.acquire(WEB, hint)
        self.assertEqual(([WEB], [WEB], [hint, hint]), (self.inner.tried, self.inner.calls, self.inner.hints))

    def test_parts(self) -> None:
        """Of many requests each backend gets its part, warm ones and such as wait together."""
        for i in range(2000):
            if i % 3:
                self.inner.warm.append(self.inner.lease())
            if self.stack.try_acquire(SPLIT) is None:
                self.stack.acquire(SPLIT)
        found = Counter(self.inner.tried)
        self.assertTrue(150 < found[NEW] < 250, found)
        self.assertEqual(0, found[SPARE])

    def test_same(self) -> None:
        """Who is not ready is the one that is waited for: else the cold one would get less than its part."""
        for _ in range(100):
            self.assertIsNone(self.stack.try_acquire(SPLIT))
            self.stack.acquire(SPLIT)
        self.assertEqual(self.inner.tried, self.inner.calls)
        self.assertEqual({OLD, NEW}, set(self.inner.calls))

    def test_elsewhere(self) -> None:
        """A further try goes to who has somebody left for it, by the weights of those; and else to anybody."""
        here, there, third = (Endpoint("10.0.0.1", n) for n in (1, 2, 3))
        self.inner.endpoints = {OLD: {here}, NEW: {there, third}}
        for avoid, wanted in (
            ((here,), {NEW}),
            ((there,), {OLD, NEW}),
            ((there, third), {OLD}),
            ((here, there, third), {OLD, NEW}),
        ):
            self.inner.tried.clear()
            for n in range(100):
                self.stack.try_acquire(SPLIT, Hint(b"", avoid))
                self.stack.try_acquire(SPLIT, Hint(b"key%d" % n, avoid))
            self.assertEqual(wanted, set(self.inner.tried), avoid)

    def test_key(self) -> None:
        """Requests of one key go to one backend."""
        for key in (b"a", b"b", b"c", b"d"):
            self.inner.tried.clear()
            for _ in range(20):
                self.stack.try_acquire(SPLIT, Hint(key))
            self.assertEqual(1, len(set(self.inner.tried)))

    def test_keep(self) -> None:
        """Of a split, those are kept that get anything; anybody else as it is."""
        self.stack.keep(SPLIT)
        self.stack.keep(WEB)
        self.assertEqual([OLD, NEW, WEB], self.inner.kept)

    def test_left_out(self) -> None:
        """One that does not serve is left out while another does; where none does, it is tried all the same."""
        self.inner.down = [OLD]
        for _ in range(50):
            self.stack.try_acquire(SPLIT)
        self.assertEqual({NEW}, set(self.inner.tried))
        self.inner.down = [OLD, NEW]
        for _ in range(50):
            self.stack.try_acquire(SPLIT)
        self.assertEqual({OLD, NEW}, set(self.inner.tried))

    def test_goes_on(self) -> None:
        """One that fails to be acquired is followed by another that serves, ready or not; nothing was sent yet."""
        alone = Split(WEB, ((OLD, 1), (NEW, 1)))
        for warm in (False, True):
            self.inner.calls.clear()
            d = self.stack.acquire(alone)
            lease = self.inner.lease()
            if warm:
                self.inner.warm.append(lease)
            self.inner.fail(FailedFast(OLD, 1.0))
            if not warm:
                self.assertEqual({OLD, NEW}, set(self.inner.calls))
                lease = self.inner.answer()
            self.assertIs(lease, self.successResultOf(d))

    def test_none_left(self) -> None:
        """The last one's error is told. Who has no weight, or does not serve, is not asked instead."""
        self.inner.down = [NEW]
        d = self.stack.acquire(SPLIT)
        self.inner.fail(error := FailedFast(OLD, 1.0))
        self.assertIs(error, self.failureResultOf(d, ProxyError).value)
        self.assertEqual([OLD], self.inner.calls)

    def test_bug(self) -> None:
        """What nobody foresaw is not tried on the next one."""
        d = self.stack.acquire(SPLIT)
        self.inner.fail(ZeroDivisionError())
        self.failureResultOf(d, ZeroDivisionError)
        self.assertEqual(1, len(self.inner.calls))

    def test_cancel(self) -> None:
        """Cancelled is what is waited for."""
        d = self.stack.acquire(SPLIT)
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual(self.inner.calls, self.inner.cancelled)
