# -*- test-case-name: tests.app.test_crashes -*-
"""
Tests for L{lproxy.app.crashes}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.crashes import Crashes
from lproxy.app.log import log
from lproxy.app.recent import Recent
from lproxy.app.warn import INTERVAL, Warn


class CrashesTests(SynchronousTestCase):
    """What a plugin gets wrong has its name."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.counted: list[str] = []
        warn = Warn(self.clock, log)
        self.recent = Recent(warn, self.clock.seconds)
        self.crashes = Crashes(warn, self.recent, self.counted.append)

    def divide(self, plugin: str = "note", by: int = 0, *where: str) -> None:
        """A mistake in one place."""
        try:
            1 / by  # noqa: B018 - for what it raises
        except ZeroDivisionError:
            self.crashes.crashed(plugin, Failure(), *where)

    def test_crashed(self) -> None:
        """It is counted, remembered in words, and in the log with its traceback and the plugin's name."""
        with capturedLogs() as lines:
            self.divide()
        self.assertEqual((["note"], {"note": "division by zero"}), (self.counted, self.crashes.last))
        (line,) = lines
        self.assertIs(LogLevel.critical, line["log_level"])
        self.assertEqual("unexpected error in protocol note", formatEvent(line))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        (row,) = self.recent.describe()
        self.assertEqual(("plugin", "note", "division by zero"), (row["layer"], row["target"], row["cause"]))

    def test_where(self) -> None:
        """The listener and the client that it cost are named, where that is known; /plugins has how often it was."""
        self.assertEqual({}, self.crashes.describe("note"))
        with capturedLogs() as lines:
            self.divide("note", 0, "listener web, client 10.0.0.1:40000")
        self.assertEqual(
            "unexpected error in protocol note (listener web, client 10.0.0.1:40000)", formatEvent(lines[0])
        )
        self.crashes.not_shown("note", Failure(ValueError("no such label")))
        self.assertEqual({"errors": 2, "last_error": "no such label"}, self.crashes.describe("note"))
        self.flushLoggedErrors(ZeroDivisionError)

    def test_limited(self) -> None:
        """The same again is counted each time, and in the log now and then, with how often it was."""
        with capturedLogs() as lines:
            for _ in range(3):
                self.divide()
            self.clock.advance(INTERVAL)
            self.divide()
        self.assertEqual(4, len(self.counted))
        said = [formatEvent(line) for line in lines]
        self.assertEqual(
            ["unexpected error in protocol note", "unexpected error in protocol note (and 2 more like this)"], said
        )
        self.flushLoggedErrors(ZeroDivisionError)

    def test_apart(self) -> None:
        """Another plugin's, another class of error or another place is not the same."""
        self.divide()
        self.divide("memo")
        for error in (KeyError("a"), SystemExit(1)):
            self.crashes.crashed("note", Failure(error))
        try:
            int("x")
        except ValueError:
            self.crashes.crashed("note", Failure())
        logged = self.flushLoggedErrors(ZeroDivisionError, KeyError, SystemExit, ValueError)
        self.assertEqual(5, len(logged))
        self.assertEqual("invalid literal for int() with base 10: 'x'", self.crashes.last["note"])

    def test_not_shown(self) -> None:
        """Metrics that cannot be read are a line, now and then, and were counted by who tried to read them."""
        with capturedLogs() as lines:
            for _ in range(2):
                self.crashes.not_shown("note", Failure(ValueError("no such label")))
        self.assertEqual(
            ["plugin note: some of its metrics are not shown: no such label"], [formatEvent(line) for line in lines]
        )
        self.assertEqual(([], {"note": "no such label"}), (self.counted, self.crashes.last))
