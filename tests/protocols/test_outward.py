# -*- test-case-name: tests.protocols.test_outward -*-
"""
Tests for L{lproxy.protocols.outward}.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Limits
from lproxy.protocols.outward import Outward
from lproxy.testing import ScriptedProxy
from tests.note import Note


class OutwardTests(SynchronousTestCase):
    """The way out of a scripted proxy. What L{Outward.opened} counts is in L{tests.protocols.test_runtime}."""

    def test_once(self) -> None:
        """What is made once is the same for all, also where the bounds are others by now."""
        made: list[Outward] = []

        def make(outward: Outward) -> list[str]:
            made.append(outward)
            return []

        outward: Outward = ScriptedProxy(Note()).runtime.outward
        first = outward.once(make)
        self.assertIs(first, outward.once(make))
        self.assertIs(first, replace(outward, limits=Limits(pool=1)).once(make))
        self.assertEqual([outward], made)
