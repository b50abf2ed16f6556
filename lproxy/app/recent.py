# -*- test-case-name: tests.app.test_recent -*-
"""
What went wrong lately, for people: each failure in the words of its log line, also where the log was spared it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lproxy.errors import Failed, one_line

#: failures that are told apart and remembered; further ones push out those that are longest ago
MOST = 100
#: characters of each
LENGTH = 500


class Seen(NamedTuple):
    """
    @ivar at: seconds of the epoch, the last time
    @ivar times: how often
    @ivar layer: that gave up, the last time; this and what follows: where it is known
    @ivar target: whom it was meant for
    @ivar cause: why
    @ivar waited_seconds: that whoever it was for had waited
    """

    at: float
    kind: str
    text: str
    times: int
    layer: str | None = None
    target: str | None = None
    cause: str | None = None
    waited_seconds: float | None = None

    @property
    def key(self) -> str:
        """The same for what is the same: words of a line differ with who asked, how long that took, and request ids."""
        return " ".join((self.kind, self.target or "", self.cause or self.text))


class Recent:
    """
    Stands before a rate-limited log, and remembers.

    @param warn: the log, by kind and text
    @param now: seconds of the epoch
    """

    def __init__(self, warn: Callable[[str, str], None], now: Callable[[], float]) -> None:
        self._warn = warn
        self._now = now
        # that which was seen last at the end
        self._seen: dict[str, Seen] = {}

    def __repr__(self) -> str:
        return f"<Recent {len(self._seen)}>"

    def warn(self, kind: str, text: str, parts: Failed | None = None, /) -> None:
        """Remember it, and tell the log, which needs no C{parts}: its line has them in words."""
        self.remember(kind, text, parts)
        self._warn(kind, text)

    def remember(self, kind: str, text: str, parts: Failed | None) -> None:
        """It is in the log already, with more than a line."""
        seen = Seen(self._now(), kind, one_line(text, LENGTH), 1)
        if parts is not None:
            layer, target, cause, waited = parts
            known = None if waited is None else round(waited, 3)
            seen = Seen(*seen[:4], layer, one_line(target, LENGTH) or None, one_line(cause, LENGTH), known)
        before = self._seen.pop(seen.key, None)
        if before is not None:
            seen = seen._replace(times=before.times + 1)
        self._seen[seen.key] = seen
        if len(self._seen) > MOST:
            del self._seen[next(iter(self._seen))]

    def describe(self) -> list[dict[str, Any]]:
        """The latest first."""
        return [{**seen._asdict(), "key": seen.key} for seen in reversed(self._seen.values())]
