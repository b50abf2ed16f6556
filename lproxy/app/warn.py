# -*- test-case-name: tests.app.test_warn -*-
"""
A rate limit for log lines that peers can cause.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lproxy.errors import one_line

#: seconds between two lines of a kind
INTERVAL = 10.0
#: kinds remembered; they are made of places in the code and names of plugins, so this is hardly ever reached
KINDS = 1_000


class Warn:
    """A rate-limited log. The first of a kind is written at once, further ones are counted in the next line."""

    def __init__(self, clock: IReactorTime, log: Logger) -> None:
        self._clock = clock
        self._log = log
        self._kinds: dict[str, tuple[float, int]] = {}

    def __call__(self, kind: str, text: str) -> None:
        """Log C{text}, unless one of its C{kind} was written less than L{INTERVAL} ago."""
        more = self.due(kind)
        if more is not None:
            self._log.warn("{text}", text=one_line(text) + more, kind=kind)

    def due(self, kind: str) -> str | None:
        """What to add to a line of C{kind} that is written now; C{None} where none is to be."""
        now = self._clock.seconds()
        held = 0
        if (known := self._kinds.get(kind)) is not None:
            last, held = known
            # after the clock was set back, lines are written at once
            if 0 <= now - last < INTERVAL:
                self._kinds[kind] = (last, held + 1)
                return None
        if len(self._kinds) >= KINDS:
            self._kinds.clear()
        self._kinds[kind] = (now, 0)
        return f" (and {held} more like this)" if held else ""
