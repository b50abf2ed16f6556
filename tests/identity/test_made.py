# -*- test-case-name: tests.identity.test_made -*-
"""
Tests for L{lproxy.identity.made}; with files, see L{tests.identity.test_store}.
"""

from __future__ import annotations

import gc
from weakref import ref

from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity import contexts
from lproxy.identity.contexts import Context
from lproxy.identity.in_use import InUse
from lproxy.identity.made import Made, Pair
from lproxy.identity.pem import MaterialError
from lproxy.identity.rotation import Source
from lproxy.testing.certificates import authority
from tests.identity.handshake import now, trust

SHOP = trust(authority())


class MadeTests(SynchronousTestCase):
    """One source's."""

    def setUp(self) -> None:
        self.built = 0
        self.pair = Pair(None, SHOP)
        self.source: Source[Pair] = Source("x", tuple, lambda _: self.pair, lambda pair: pair.mark)
        self.in_use = InUse()

    def build(self, pair: Pair) -> Context:
        self.built += 1
        return contexts.client(pair.trust)

    def made(self) -> Made[Pair]:
        """Of a source that has been looked at."""
        self.source.look(now(), insist=True)
        return Made(self.source, self.in_use, now, None)

    def test_once(self) -> None:
        """For each key a context is made once; for another that what is the same is made of, too, never again."""
        made = self.made()
        first = made.get("a", self.build)
        self.assertIs(first, made.get("a", self.build))
        self.assertIs(first, self.made().get("a", self.build))
        self.assertIsNot(first, made.get("b", self.build))
        self.assertEqual(2, self.built)

    def test_ended(self) -> None:
        """What was made for others is had when they have ended, though nobody has asked for it yet."""
        first = self.made()
        context = ref(first.get("a", self.build))
        second = self.made()
        second.settled()
        del first
        gc.collect()
        self.assertIs(context(), second.get("a", self.build))
        self.assertEqual(1, self.built)

    def test_another(self) -> None:
        """Of something else, others are made."""
        made = self.made()
        first = made.get("a", self.build)
        self.pair = Pair(None, trust(authority("other")))
        self.source.look(now(), insist=True)
        self.assertIsNot(first, made.get("a", self.build))

    def test_never_good(self) -> None:
        """What was never good is what whoever asks is told."""

        def wrong(_: object) -> Pair:
            raise MaterialError("x", "empty", "is empty")

        source: Source[Pair] = Source("x", tuple, wrong, lambda pair: pair.mark)
        source.look(now(), insist=True)
        self.assertRaises(MaterialError, Made(source, self.in_use, now, None).get, "a", self.build)

    def test_mark(self) -> None:
        """Pairs are told apart by whom they show, whom they believe, and whom the system does."""
        marks = {Pair(None, one, system).mark for one in (None, SHOP) for system in (None, "a")}
        self.assertEqual(4, len(marks))
