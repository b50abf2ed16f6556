# -*- test-case-name: tests.app.test_log -*-
"""
Tests for L{lproxy.app.log}.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.log import LeveledLogger, log, set_level


class LogTests(SynchronousTestCase):
    """What is below the level is not written; the level changes while the proxy runs."""

    def setUp(self) -> None:
        self.lines: list[str] = []
        self.patch(log, "threshold", log.threshold)
        self.patch(log, "observer", self.observe)

    def observe(self, event: Any) -> None:
        self.lines.append(formatEvent(event))

    def say(self) -> list[str]:
        """One line of each level: those that are written."""
        self.lines = []
        for level in LogLevel.iterconstants():
            log.emit(level, "{name}", name=level.name)
        return self.lines

    def test_default(self) -> None:
        """All but debug."""
        self.assertIs(LogLevel.info, LeveledLogger.threshold)
        self.assertEqual(["info", "warn", "error", "critical"], self.say())

    def test_levels(self) -> None:
        """Each level and what is above it, however it is spelt."""
        names = ["debug", "info", "warn", "error", "critical"]
        for n, name in enumerate(names):
            set_level(name.upper())
            self.assertEqual(names[n:], self.say())

    def test_methods(self) -> None:
        """Twisted's own methods know the level, tracebacks are the last to go."""
        set_level("error")
        log.debug("a")
        log.info("b")
        log.warn("c")
        log.error("d")
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            log.failure("e")
        self.assertEqual(["d", "e"], [line.splitlines()[0] for line in self.lines])

    def test_unknown(self) -> None:
        """What is no level is refused with those that are, and changes nothing."""
        error = self.assertRaises(ValueError, set_level, "loud")
        self.assertEqual("'loud' is no log level; there are debug, info, warn, error, critical", str(error))
        self.assertIs(LogLevel.info, log.threshold)
