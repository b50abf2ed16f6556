# -*- test-case-name: tests.protocols.http.test_timeouts -*-
"""
How long the application may take, where somebody configured that.

These clocks begin when a request is dispatched: to acquire has a clock of its own. Clients are looked at about once a
second instead, by one sweep over all of them (L{lproxy.protocols.http.h1.server}).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lproxy.api import ProxyError
from lproxy.config import Timeouts
from lproxy.profile import RouteTimeouts
from lproxy.protocols.http.deadlines import NEVER, Deadlines, Expiring
from lproxy.protocols.http.message import Rejected

#: of a route that has none of its own
NO_TIMEOUTS: Final = RouteTimeouts()


class CallTimedOut(ProxyError):
    """
    A configured limit on the application's time ran out.

    @ivar setting: which, as its users know it
    @ivar of_one_try: whether that is over, and nothing else
    """

    layer = "call"
    reason = "response_timeout"
    flag = "UT"
    status = 504
    in_use = True

    def __init__(self, target: object, setting: str, seconds: float, of_one_try: bool = False) -> None:
        super().__init__(target)
        self.setting = setting
        self.seconds = seconds
        self.of_one_try = of_one_try

    def what(self) -> str:
        """How long it was given, and where that is set."""
        return f"did not answer within {self.seconds:g} s ({self.setting})"


class TooSlow(Rejected):
    """A client that takes too long over its message."""

    reason = "slow"
    flag = "SL"
    status = 408

    def __init__(self, detail: str) -> None:
        super().__init__("", 408, "slow", detail)


class BodyNotTaken(ProxyError):
    """An upstream that does not read the body which it was promised."""

    layer = "call"
    reason = "body_timeout"
    flag = "UT"
    status = 504
    keep = False

    def __init__(self, target: object, seconds: float) -> None:
        super().__init__(target)
        self.seconds = seconds

    def what(self) -> str:
        """How long it was given, and where that is set."""
        return f"took nothing of the request's body for {self.seconds:g} s (timeouts.body)"


class Times:
    """
    How long the application may take, each with the name of the setting that says so; C{NEVER}: however long.

    @ivar headers: seconds from a request's end to its answer's head, of one try
    @ivar stream: seconds of the whole exchange, all tries included, since it was first sent
    @ivar per_try: seconds of one try, to its answer's head
    """

    __slots__ = ("headers", "per_try", "stream")

    def __init__(self, headers: tuple[float, str], stream: tuple[float, str], per_try: tuple[float, str]) -> None:
        self.headers = headers
        self.stream = stream
        self.per_try = per_try


def times(timeouts: Timeouts, route: RouteTimeouts = NO_TIMEOUTS, name: str = "") -> Times | None:
    """
    What the configuration says of all requests, and in its place a C{route} of that C{name} of its own; C{None}: there
    is no limit.
    """
    found = Times(
        _limit("response_headers", timeouts.response_headers, route.response_headers, name),
        _limit("stream", timeouts.stream, route.stream, name),
        _limit("per_try", None, route.per_try, name),
    )
    return found if min(found.headers[0], found.stream[0], found.per_try[0]) < NEVER else None


def _limit(setting: str, general: float | None, own: float | None, name: str) -> tuple[float, str]:
    if own is not None:
        return own, f"timeouts.{setting} of route {name!r}"
    return NEVER if general is None else general, f"timeouts.{setting}"


class CallClocks(Expiring):
    """
    The clocks of one exchange, however often its request is sent. They cost no timer each (L{Deadlines}).

    @ivar _expired: told when one of them has run out; C{None} once they are stopped
    @ivar _waits: whether an answer's head is waited for
    @ivar _headers: when that runs out, in seconds; and C{_stream}, C{_try}
    """

    __slots__ = ("_deadlines", "_expired", "_headers", "_stream", "_target", "_times", "_try", "_waits")

    def __init__(
        self, times: Times, deadlines: Deadlines, target: object, expired: Callable[[BaseException], None]
    ) -> None:
        self._times = times
        self._deadlines = deadlines
        self._target = target
        self._expired: Callable[[BaseException], None] | None = expired
        self._waits = False
        self._headers = NEVER
        self._stream = NEVER
        self._try = NEVER

    def dispatched(self, now: float, whole: bool) -> None:
        """
        The request is on its way, perhaps not for the first time.

        @param whole: whether that is all of it
        """
        times = self._times
        if self._stream == NEVER:
            self._stream = now + times.stream[0]
        self._try = now + times.per_try[0]
        self._headers = now + times.headers[0] if whole else NEVER
        self._waits = True
        self._set()

    def sent(self, now: float) -> None:
        """All of the request is on its way."""
        if self._waits:
            self._headers = now + self._times.headers[0]
            self._set()

    def answered(self) -> None:
        """The answer has begun, or there will be none of this try."""
        if self._waits:
            self._waits = False
            if self._headers < NEVER or self._try < NEVER:
                self._headers = self._try = NEVER
                self._set()

    def stop(self) -> None:
        """The exchange is over, or has become a tunnel."""
        self._expired = None
        self._deadlines.drop(self)

    def expired(self) -> None:
        """The first of them has run out."""
        times, at = self._times, min(self._headers, self._stream, self._try)
        seconds, setting = times.stream if at == self._stream else times.per_try if at == self._try else times.headers
        of_one_try = at != self._stream and at == self._try
        self.answered()
        if self._expired is not None:
            self._expired(CallTimedOut(self._target, setting, seconds, of_one_try))

    def _set(self) -> None:
        at = min(self._headers, self._stream, self._try)
        if at < NEVER:
            self._deadlines.add(self, at)
        else:
            self._deadlines.drop(self)
