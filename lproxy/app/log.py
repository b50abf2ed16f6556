# -*- test-case-name: tests.app.test_log -*-
"""
The proxy's log, with a level that can be changed while it runs, and as lines of JSON for programs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any

from twisted.logger import ILogObserver, InvalidLogLevelError, Logger, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer


class LeveledLogger(Logger):
    """A Logger that drops what is below C{threshold}."""

    threshold = LogLevel.info

    def emit(self, level: Any, format: str | None = None, **kwargs: Any) -> None:
        """As Logger's, with the readable C{text} beside the values: a log in JSON has only those."""
        if level >= self.threshold:
            kwargs.setdefault("text", formatEvent({"log_format": format, **kwargs}))
            super().emit(level, format, **kwargs)

    def debugging(self) -> bool:
        """Whether anybody sees what is only for debugging: to be asked before that is put together."""
        return self.threshold is LogLevel.debug


log = LeveledLogger("lproxy")


def set_level(name: str) -> None:
    """
    Log C{name} (debug, info, warn, error, critical) and above from now on.

    @raise ValueError: there is no such level
    """
    try:
        log.threshold = LogLevel.levelWithName(name.lower())
    except InvalidLogLevelError as e:
        names = ", ".join(level.name for level in LogLevel.iterconstants())
        raise ValueError(f"{name!r} is no log level; there are {names}") from e


@implementer(ILogObserver)
class JsonLines:
    """Writes each event, lproxy's or Twisted's, as a line of JSON: time, level, logger, message; any traceback."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Write one line."""
        level = event.get("log_level") or LogLevel.info
        line = {
            "time": datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds"),
            "level": level.name,
            "logger": event.get("log_namespace", "-"),
            "message": formatEvent(dict(event)) or str(event.get("log_io", "")),
        }
        failure = event.get("log_failure")
        if isinstance(failure, Failure):
            line["message"] = line["message"] or failure.getErrorMessage()
            line["traceback"] = failure.getTraceback()
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()


def json_lines() -> JsonLines:
    """For C{twistd --logger=lproxy.app.log.json_lines}: to standard output."""
    # twistd puts the log in the place of sys.stdout
    return JsonLines(sys.__stdout__ or sys.stdout)
