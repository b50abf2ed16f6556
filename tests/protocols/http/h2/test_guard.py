# -*- test-case-name: tests.protocols.http.h2.test_guard -*-
"""
Tests for L{lproxy.protocols.http.h2.guard}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.faults import ENHANCE_YOUR_CALM
from lproxy.protocols.http.h2.guard import Guard, flood
from lproxy.protocols.http.h2.limits import Limits


class GuardTests(SynchronousTestCase):
    """How much is too much."""

    def setUp(self) -> None:
        self.now = 0.0
        self.guard = self.fresh()

    def fresh(self) -> Guard:
        """One that has counted nothing."""
        return Guard(Limits(), lambda: self.now)

    def allowed(self, most: int = 100_000) -> int:
        """How many resets are, now."""
        for number in range(most):
            self.guard.reset()
            if self.guard.exceeded:
                self.guard.exceeded = ""
                return number
        return most

    def test_resets(self) -> None:
        """A thousand at once, then 33 a second, and never more than a thousand saved up."""
        self.assertEqual(1000, self.allowed())
        self.now += 1
        self.assertEqual(32, self.allowed())  # one is owed for the refused one
        self.now += 3600
        self.assertEqual(1000, self.allowed())

    def test_steady(self) -> None:
        """Who stays below the rate may go on for ever."""
        for _ in range(5000):
            self.now += 0.04
            self.guard.reset()
        self.assertEqual("", self.guard.exceeded)

    def test_empty(self) -> None:
        """One empty frame is nothing, two in a row are."""
        for _ in range(3):
            self.guard.empty()
            self.assertEqual("", self.guard.exceeded)
            self.guard.empties = 0
        self.guard.empty()
        self.guard.empty()
        self.assertIn("empty", self.guard.exceeded)

    def test_priorities(self) -> None:
        """A hundred for each stream, and a hundred."""
        self.guard.opened = 2
        for _ in range(300):
            self.guard.priority()
        self.assertEqual("", self.guard.exceeded)
        self.guard.priority()
        self.assertIn("PRIORITY", self.guard.exceeded)

    def test_window_updates(self) -> None:
        """Five, two for each stream and twenty for each DATA sent."""
        self.guard.opened, self.guard.data_sent = 3, 2
        for _ in range(5 + 6 + 40):
            self.guard.window_update()
        self.assertEqual("", self.guard.exceeded)
        self.guard.window_update()
        self.assertIn("WINDOW_UPDATE", self.guard.exceeded)

    def test_queued(self) -> None:
        """A thousand frames to acknowledge, ten thousand of all kinds."""
        for control, frames, fine in ((1000, 10_000, True), (1001, 1001, False), (0, 10_001, False)):
            guard = self.fresh()
            guard.queued(control, frames)
            self.assertEqual(fine, not guard.exceeded)

    def test_fault(self) -> None:
        """It is told as a flood."""
        self.assertEqual((ENHANCE_YOUR_CALM, True), (flood("x").code, flood("x").flood))
