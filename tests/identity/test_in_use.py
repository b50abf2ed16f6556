# -*- test-case-name: tests.identity.test_in_use -*-
"""
Tests for L{lproxy.identity.in_use}.
"""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta

from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity import contexts
from lproxy.identity.contexts import Context
from lproxy.identity.in_use import TICKET_KEYS, InUse
from lproxy.testing.certificates import authority
from tests.identity.handshake import trust

SHOP = authority()
NOW = datetime.now(UTC)


class InUseTests(SynchronousTestCase):
    """Contexts by what they are made of."""

    def setUp(self) -> None:
        self.in_use = InUse()

    def get(self, made_of: str, now: datetime = NOW) -> Context:
        """One that is made of that."""
        return self.in_use.get(made_of, "for all", lambda: contexts.client(trust(SHOP)), now)

    def test_same(self) -> None:
        """Of the same there is one; of something else, another."""
        first = self.get("a")
        self.assertIs(first, self.get("a"))
        self.assertIsNot(first, self.get("b"))
        self.assertEqual(NOW, first.since)

    def test_old(self) -> None:
        """One whose keys of tickets are old is not had any more; whoever has it goes on with it."""
        first = self.get("a")
        self.assertIs(first, self.get("a", NOW + TICKET_KEYS))
        later = NOW + TICKET_KEYS + timedelta(seconds=1)
        second = self.get("a", later)
        self.assertIsNot(first, second)
        self.assertIs(second, self.get("a", later))

    def test_all_of(self) -> None:
        """All that is made of the same, by what it is for."""
        first, _ = self.get("a"), self.get("b")
        other = self.in_use.get("a", "for some", lambda: contexts.client(trust(SHOP)), NOW)
        self.assertEqual({"for all": first, "for some": other}, self.in_use.all_of("a"))

    def test_nobody(self) -> None:
        """What nobody has is not kept for anybody."""
        self.get("a")
        gc.collect()
        self.assertEqual("<InUse 0 contexts>", repr(self.in_use))
