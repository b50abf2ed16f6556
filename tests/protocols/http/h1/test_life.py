# -*- test-case-name: tests.protocols.http.h1.test_life -*-
"""
L{lproxy.protocols.http.h1.life}: the states of a client's connection; what they do is tested with the connection.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h1 import life


class NameTests(SynchronousTestCase):
    """What C{/connections} calls them."""

    def test_each(self) -> None:
        """Every state has a name, at its place."""
        states = [life.IDLE, life.HEAD, life.BUSY, life.YIELDING, life.FULL, life.TUNNEL, life.LINGERING, life.CLOSED]
        self.assertEqual(list(range(len(life.NAMES))), states)
        self.assertEqual(("idle", "closed"), (life.NAMES[life.IDLE], life.NAMES[life.CLOSED]))
