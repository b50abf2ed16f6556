# -*- test-case-name: tests.protocols.http.test_patience -*-
"""
How long a client is waited for, and how long the application may take where somebody configured that.

What clients are given is looked at about once a second, by one sweep over all sessions: no timer is made for any of
them. The application's clocks are timers, and begin when a request is dispatched: to acquire has a clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from lproxy.errors import ProxyError
from lproxy.protocols.http.account import Account, State
from lproxy.protocols.http.message import Rejected, TooSlow, find

if TYPE_CHECKING:
    from lproxy.protocols.http.factory import HttpFactory

#: seconds that what a client still sends is read and dropped after the last answer, so that no reset overtakes it
LINGER = 2.0
#: the same, where nothing is known to come: a client that would have kept the connection may yet have said more
PARTING = 0.5
#: seconds for a request that is on its way to an idle connection when the proxy begins to drain
GRACE = 1.0


class CallTimedOut(ProxyError):
    """A configured limit on the application's time ran out: C{response_headers} or C{stream}."""

    layer = "call"
    reason = "response_timeout"
    flag = "UT"
    status = 504

    def __init__(self, target: object, setting: str, seconds: float) -> None:
        super().__init__(target)
        self.setting = setting
        self.seconds = seconds

    def what(self) -> str:
        """How long it was given, and where that is set."""
        return f"did not answer within {self.seconds:g} s (timeouts.{self.setting})"


class Patience(Account):
    """
    A session's clocks.

    @ivar _since: since when, in seconds, the client is waited for: the latest change of state, or progress
    @ivar _progress: bytes that had moved then
    @ivar _invited: whether it is the client's turn to send its body, which C{Expect: 100-continue} puts off
    """

    def __init__(self, factory: HttpFactory) -> None:
        super().__init__(factory)
        self._progress = 0
        self._invited = True
        self._linger = LINGER
        self._stream_clock: Any = None
        self._headers_clock: Any = None

    if TYPE_CHECKING:

        def _reject(self, rejected: Rejected) -> None: ...
        def _failed(self, failure: Failure) -> None: ...

    # the client's

    def tick(self, now: float) -> None:
        """Called by the factory's sweep with its C{now}: is it too slow?"""
        state = self._state
        if state is State.ACQUIRING or state is State.TUNNEL:
            return
        timeouts = self._factory.runtime.timeouts
        transport = self.transport
        waited = now - self._since
        if transport.buffered:
            # whatever state it is in: what we have for it stays in memory until it is taken
            self._expect_progress(now, transport.bytes_out, timeouts.write, self._too_slow)
        elif state is State.CALLING:
            if not self._reader.done and self._its_turn():
                self._expect_progress(now, transport.bytes_in, timeouts.body, self._no_body)
            else:
                self._since = now
        elif state is State.IDLE:
            if waited >= (min(GRACE, timeouts.client_idle) if self._factory.draining else timeouts.client_idle):
                self._hang_up()
        elif state is State.HEAD:
            if waited >= timeouts.header_read:
                self._reject(TooSlow(f"the head took longer than {timeouts.header_read:g} s"))
        elif state is State.LINGER and waited >= self._linger:
            # not abruptly: the kernel may still have some of the answer to send
            transport.loseConnection()

    def drain(self) -> None:
        """Answer what is under way, and a request that is on its way, then close."""
        if self._state is State.IDLE:
            self._since = self._factory.seconds()

    def _expect_progress(self, now: float, moved: int, limit: float | None, end: Callable[[float], None]) -> None:
        if moved != self._progress:
            self._progress = moved
            self._since = now
        elif limit is not None and now - self._since >= limit:
            end(limit)

    def _too_slow(self, limit: float) -> None:
        self._flags = "SL"
        self._factory.faults.reject("slow")
        self._warn("http-slow", f"took none of its answer for {limit:g} s: closed (timeouts.write)")
        self.transport.abortConnection()

    def _no_body(self, limit: float) -> None:
        self._reject(TooSlow(f"no byte of the body for {limit:g} s"))

    def _its_turn(self) -> bool:
        """Whether it is the client, and not the upstream, that a body waits for."""
        upstream = self.upstream
        if upstream is None or upstream.transport.buffered:
            return False
        return self._invited or find(self.request.headers, b"expect") is None  # type: ignore[union-attr]

    def _hang_up(self) -> None:
        """Close an idle connection, unless a request is waiting to be read at this very moment."""
        transport = self.transport
        if transport.quiet():
            # its end is sent before anything else can come
            transport.loseWriteConnection()
            transport.loseConnection()

    # the application's, where they are configured

    def _dispatched(self) -> None:
        timeouts = self._factory.runtime.timeouts
        if timeouts.stream is not None and self._stream_clock is None:
            self._stream_clock = self._start_clock("stream", timeouts.stream)

    def _sent(self) -> None:
        """The request is out, with all of its body."""
        timeouts = self._factory.runtime.timeouts
        if timeouts.response_headers is not None and self._response is None and self._headers_clock is None:
            self._headers_clock = self._start_clock("response_headers", timeouts.response_headers)

    def _stop_headers_clock(self) -> None:
        clock, self._headers_clock = self._headers_clock, None
        if clock is not None and clock.active():
            clock.cancel()

    def _stop_clocks(self) -> None:
        self._stop_headers_clock()
        clock, self._stream_clock = self._stream_clock, None
        if clock is not None and clock.active():
            clock.cancel()

    def _start_clock(self, setting: str, seconds: float) -> Any:
        error = CallTimedOut(self._route and self._route.target, setting, seconds)
        return self._factory.runtime.reactor.callLater(seconds, self._failed, Failure(error))
