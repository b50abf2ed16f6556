# -*- test-case-name: tests.app.test_log -*-
"""
Tests for L{lproxy.app.log}.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

from twisted.logger import Logger, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.log import JsonLines, LeveledLogger, json_lines, log, set_level


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

    def test_text(self) -> None:
        """Each record has its readable text beside its values, unless it has one of its own."""
        events: list[dict[str, Any]] = []
        self.patch(log, "observer", events.append)
        log.info("{n} of {all}", n=1, all=2)
        log.info("{text}", text="as it is {n}")
        self.assertEqual(["1 of 2", "as it is {n}"], [event["text"] for event in events])


class JsonTests(SynchronousTestCase):
    """The log as lines of JSON."""

    def setUp(self) -> None:
        self.out = io.StringIO()
        self.log = Logger("some.where", observer=JsonLines(self.out))

    def lines(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def test_lines(self) -> None:
        """One object on each line, with time, level, logger and a readable message, whatever is in it."""
        self.log.emit(LogLevel.warn, "{who} said {what!r}", who="a\nb", what="\x1e\u2028")
        (line,) = self.lines()
        self.assertEqual(1, self.out.getvalue().count("\n"))
        self.assertEqual(("warn", "some.where"), (line["level"], line["logger"]))
        self.assertEqual("a\nb said '\\x1e\\u2028'", line["message"])
        self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$")

    def test_failure(self) -> None:
        """A traceback is a value of its own."""
        try:
            raise ZeroDivisionError("never")
        except ZeroDivisionError:
            self.log.failure("a bug in {what}", what="it")
            self.log.failure("")
        first, second = self.lines()
        self.assertEqual(("critical", "a bug in it"), (first["level"], first["message"]))
        self.assertIn("ZeroDivisionError: never", first["traceback"])
        self.assertEqual("never", second["message"])

    def test_others(self) -> None:
        """Twisted's older events, and what is printed, have their messages too."""
        observer = JsonLines(self.out)
        old = {"log_format": "{log_text}", "log_text": "Site starting on 80", "log_time": 0.0}
        observer({**old, "log_level": LogLevel.info})
        observer({"log_format": "{log_io}", "log_io": "printed", "log_time": 0.0})
        self.assertEqual(["Site starting on 80", "printed"], [line["message"] for line in self.lines()])
        self.assertEqual(["info"] * 2, [line["level"] for line in self.lines()])

    def test_standard_output(self) -> None:
        """For twistd it is the standard output of the process, which twistd puts its log in the place of."""
        self.patch(sys, "__stdout__", self.out)
        json_lines()({"log_format": "here", "log_time": 0.0})
        self.assertEqual("here", self.lines()[0]["message"])
