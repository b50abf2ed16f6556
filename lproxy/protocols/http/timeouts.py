# -*- test-case-name: tests.protocols.http.test_timeouts -*-
"""
How long the application may take, where somebody configured that.

These clocks are timers, and begin when a request is dispatched: to acquire has a clock of its own. Clients are looked
at about once a second instead, by one sweep over all of them (L{lproxy.protocols.http.h1.server}).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lproxy.api import ProxyError
from lproxy.config import Timeouts
from lproxy.protocols.http.message import Rejected


class CallTimedOut(ProxyError):
    """A configured limit on the application's time ran out: C{response_headers} or C{stream}."""

    layer = "call"
    reason = "response_timeout"
    flag = "UT"
    status = 504
    in_use = True

    def __init__(self, target: object, setting: str, seconds: float) -> None:
        super().__init__(target)
        self.setting = setting
        self.seconds = seconds

    def what(self) -> str:
        """How long it was given, and where that is set."""
        return f"did not answer within {self.seconds:g} s (timeouts.{self.setting})"


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


class CallClocks:
    """
    The clocks of one exchange, however often its request is sent.

    @ivar _expired: told when one of them has run out; C{None} once they are stopped
    """

    __slots__ = ("_clock", "_expired", "_headers", "_stream", "_target", "_timeouts")

    def __init__(
        self, timeouts: Timeouts, clock: IReactorTime, target: object, expired: Callable[[BaseException], None]
    ) -> None:
        self._timeouts = timeouts
        self._clock = clock
        self._target = target
        self._expired: Callable[[BaseException], None] | None = expired
        self._headers: IDelayedCall | None = None
        self._stream: IDelayedCall | None = None

    def dispatched(self, whole: bool) -> None:
        """
        The request is on its way, perhaps not for the first time.

        @param whole: whether that is all of it
        """
        seconds = self._timeouts.stream
        if seconds is not None and self._stream is None:
            self._stream = self._clock.callLater(seconds, self._ran_out, "stream", seconds)
        if whole:
            self.sent()

    def sent(self) -> None:
        """All of the request is on its way."""
        seconds = self._timeouts.response_headers
        if seconds is not None and self._headers is None:
            self._headers = self._clock.callLater(seconds, self._ran_out, "response_headers", seconds)

    def answered(self) -> None:
        """The answer has begun."""
        headers, self._headers = self._headers, None
        if headers is not None and headers.active():
            headers.cancel()

    def stop(self) -> None:
        """The exchange is over, or has become a tunnel."""
        self.answered()
        self._expired = None
        stream, self._stream = self._stream, None
        if stream is not None and stream.active():
            stream.cancel()

    def _ran_out(self, setting: str, seconds: float) -> None:
        if self._expired is not None:
            self._expired(CallTimedOut(self._target, setting, seconds))
