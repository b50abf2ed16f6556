# -*- test-case-name: tests.app.test_warn -*-
"""
Tests for L{lproxy.app.warn}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import Logger as TwistedLogger
from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import warn as module
from lproxy.app.warn import INTERVAL, Warn


class WarnTests(SynchronousTestCase):
    """Peers can provoke a line now and then, never a flood."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self.warn = Warn(self.clock, TwistedLogger("lproxy", observer=self.observe))

    def observe(self, event: dict[str, object]) -> None:
        self.assertIs(LogLevel.warn, event["log_level"])
        self.lines.append(formatEvent(event))

    def take(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines

    def test_limited(self) -> None:
        """The first is written at once, further ones are counted in the next."""
        for n in range(5):
            self.warn("refused", f"refused {n}")
        self.assertEqual(["refused 0"], self.take())
        self.clock.advance(INTERVAL - 0.01)
        self.warn("refused", "refused 5")
        self.clock.advance(0.01)
        self.warn("refused", "refused 6")
        self.warn("refused", "refused 7")
        self.assertEqual(["refused 6 (and 5 more like this)"], self.take())
        self.clock.advance(INTERVAL)
        self.warn("refused", "refused 8")
        self.clock.advance(INTERVAL)
        self.warn("refused", "refused 9")
        self.assertEqual(["refused 8 (and 1 more like this)", "refused 9"], self.take())

    def test_kinds(self) -> None:
        """One kind does not silence another."""
        self.warn("a", "one")
        self.warn("b", "two")
        self.assertEqual(["one", "two"], self.take())

    def test_first_always(self) -> None:
        """The first is written whatever the time is."""
        for now in (0.1, 0.3, 7.7, 1764000000.123):
            self.setUp()
            self.clock.rightNow = now
            self.warn("a", "one")
            self.assertEqual(["one"], self.take())

    def test_clock_set_back(self) -> None:
        """A clock that was set back does not silence it for as long."""
        self.clock.rightNow = 5000.0
        self.warn("a", "one")
        self.clock.rightNow = 100.0
        self.warn("a", "two")
        self.assertEqual(["one", "two"], self.take())

    def test_one_line(self) -> None:
        """Whatever a peer has put into it, it is one line, and its braces mean nothing."""
        self.warn("a", "host {text} evil\r\nERROR forged \x1b[2J")
        self.assertEqual(["host {text} evil??ERROR forged ?[2J"], self.take())

    def test_bounded(self) -> None:
        """Kinds are few, and if they are not, they are forgotten."""
        self.patch(module, "KINDS", 3)
        for n in range(10):
            self.warn(f"kind {n}", "x")
        self.assertLessEqual(len(self.warn._kinds), 3)

    def test_due(self) -> None:
        """Whoever writes lines of another sort asks whether one is due, and gets what to add to it."""
        self.assertEqual("", self.warn.due("crash"))
        self.assertEqual([None, None], [self.warn.due("crash") for _ in range(2)])
        self.clock.advance(INTERVAL)
        self.assertEqual(" (and 2 more like this)", self.warn.due("crash"))
        self.assertEqual([], self.take())
