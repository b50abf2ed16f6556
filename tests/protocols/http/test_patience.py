# -*- test-case-name: tests.protocols.http.test_patience -*-
"""
L{lproxy.protocols.http.patience}: how long a client is waited for. With the connection: test_server.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.patience import LINGER, LINGERING_TIME, PARTING, Patience


class PatienceTests(SynchronousTestCase):
    """At any time."""

    def setUp(self) -> None:
        self.patience = Patience()

    def test_stalled(self) -> None:
        """Whatever moves begins it anew; without a limit it never ends."""
        self.patience.wait(100.0, 7)
        self.assertFalse(self.patience.stalled(159.0, 7, 60.0))
        self.assertTrue(self.patience.stalled(160.0, 7, 60.0))
        self.assertFalse(self.patience.stalled(160.0, 7, None))
        self.assertFalse(self.patience.stalled(160.0, 8, 60.0))
        self.assertFalse(self.patience.stalled(219.0, 8, 60.0))
        self.assertTrue(self.patience.stalled(220.0, 8, 60.0))

    def test_linger(self) -> None:
        """What is on its way is waited for as long as it comes, and not for ever; what may be is, for a moment."""
        self.patience.linger(100.0, 7, True)
        self.assertFalse(self.patience.lingered(100.0 + LINGER - 0.1, 7))
        self.assertTrue(self.patience.lingered(100.0 + LINGER, 7))
        for second in range(int(LINGERING_TIME)):
            self.assertFalse(self.patience.lingered(100.0 + second, second))
        self.assertTrue(self.patience.lingered(100.0 + LINGERING_TIME, 999))
        self.patience.linger(100.0, 7, False)
        self.assertFalse(self.patience.lingered(100.0, 7))
        self.assertTrue(self.patience.lingered(100.0 + PARTING, 7))

    def test_leave(self) -> None:
        """Who has closed its side is left after a while, unless it is served, or there is no limit."""
        clock, left = Clock(), []
        self.patience.leave(clock, 1.0, lambda: left.append(1))
        self.assertIn("leaving", repr(self.patience))
        clock.advance(1.0)
        self.assertEqual([1], left)
        self.patience.stay()
        self.patience.leave(clock, 1.0, lambda: left.append(2))
        self.patience.stay()
        self.patience.leave(clock, None, lambda: left.append(3))
        self.assertEqual([], clock.getDelayedCalls())
        self.assertEqual([1], left)
