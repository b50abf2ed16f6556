# -*- test-case-name: tests.protocols.http.test_patience -*-
"""
How long a client is waited for, in whatever it does.

Clients are looked at about once a second, by one sweep over all of them, so that none of them needs a timer; but those
that have closed their side while they are answered, which are few.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

#: requests that are answered by ourselves in one turn of the reactor
TURN: Final = 8
#: seconds that what a client still sends is read and dropped after the last answer, so that no reset overtakes it
LINGERING_TIME: Final = 30.0
#: seconds of silence that end this sooner
LINGER: Final = 5.0
#: the same, where nothing is known to come: a client that would have kept the connection may yet have said more
PARTING: Final = 0.5
#: seconds for a request that is on its way to an idle connection when the proxy begins to drain
GRACE: Final = 1.0


class Patience:
    """
    With one client.

    @ivar since: since when, in seconds, it is waited for: the latest change of state, or progress
    @ivar _moved: the figure of what had moved then
    @ivar _silence: seconds of silence that end lingering, and C{_until}: when it ends in any case
    @ivar _leaving: the timer of one that has closed its side
    """

    __slots__ = ("_leaving", "_moved", "_silence", "_until", "since")

    def __init__(self) -> None:
        self.since = 0.0
        self._moved = 0
        self._silence = LINGER
        self._until = 0.0
        self._leaving: Any = None

    def __repr__(self) -> str:
        return f"<Patience since {self.since:g}{' leaving' if self._leaving is not None else ''}>"

    def wait(self, now: float, moved: int) -> None:
        """From now on, for more to move."""
        self.since = now
        self._moved = moved

    def stalled(self, now: float, moved: int, limit: float | None) -> bool:
        """Whether nothing has moved for C{limit} seconds."""
        if moved != self._moved:
            self.wait(now, moved)
            return False
        return limit is not None and now - self.since >= limit

    def linger(self, now: float, moved: int, expected: bool) -> None:
        """
        Wait for what is still on its way after the last answer.

        @param expected: whether there is something on its way, as far as is known
        """
        self.wait(now, moved)
        self._silence = LINGER if expected else PARTING
        self._until = now + LINGERING_TIME

    def lingered(self, now: float, moved: int) -> bool:
        """Whether that has been long enough."""
        return now >= self._until or self.stalled(now, moved, self._silence)

    def leave(self, clock: IReactorTime, seconds: float | None, left: Callable[[], None]) -> None:
        """It has closed its side, and may be gone: call C{left} in C{seconds}, unless there is no such limit."""
        if seconds is not None:
            self._leaving = clock.callLater(seconds, self._left, left)

    def stay(self) -> None:
        """Whatever it waited for is on its way."""
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            leaving.cancel()

    def _left(self, left: Callable[[], None]) -> None:
        self._leaving = None
        left()
