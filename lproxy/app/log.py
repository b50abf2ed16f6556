# -*- test-case-name: tests.app.test_log -*-
"""
The proxy's log, with a level that can be changed while it runs.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import InvalidLogLevelError, Logger, LogLevel


class LeveledLogger(Logger):
    """A Logger that drops what is below C{threshold}."""

    threshold = LogLevel.info

    def emit(self, level: Any, format: str | None = None, **kwargs: Any) -> None:
        """As Logger's."""
        if level >= self.threshold:
            super().emit(level, format, **kwargs)


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
