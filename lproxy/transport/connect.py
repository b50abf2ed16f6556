# -*- test-case-name: tests.transport.test_connect -*-
"""
Open TCP connections to endpoints: one attempt, bounded in time.

Who to try, and when again, is the balancer's affair (L{lproxy.stack.balance}).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from lproxy.errors import ProxyError
from lproxy.target import Endpoint
from lproxy.transport.hub import Reactor
from lproxy.transport.socket import Stream, clean_address


class ConnectFailed(ProxyError):
    """The endpoint refused, or the network did."""

    layer = "connect"
    reason = "connect"
    flag = "UF"
    status = 502

    def __init__(self, target: Endpoint, errno: str) -> None:
        super().__init__(target)
        self.errno = errno

    def what(self) -> str:
        """As the kernel names it."""
        return {"ECONNREFUSED": "refused", "ECONNRESET": "reset"}.get(self.errno, self.errno)


class ConnectTimedOut(ProxyError):
    """The endpoint did not answer within C{seconds}."""

    layer = "connect"
    reason = "connect_timeout"
    flag = "UF"
    status = 504

    def __init__(self, target: Endpoint, seconds: float) -> None:
        super().__init__(target)
        self.seconds = seconds

    def what(self) -> str:
        """How long it was given."""
        return f"did not answer within {self.seconds:g} s"


class LoopRefused(ProxyError):
    """The endpoint is a listener of this very proxy."""

    layer = "connect"
    reason = "loop"
    flag = "LP"
    status = 508
    keep = False

    def what(self) -> str:
        """Why that is refused."""
        return "is this proxy itself: refused to loop"


class Connector:
    """
    Opens L{Stream}s.

    @ivar is_own: whether an address is one of our own listeners, which are never connected to; may raise OSError
    """

    def __init__(
        self, reactor: Reactor, timeout: float, is_own: Callable[[str, int], bool] = lambda host, port: False
    ) -> None:
        self._reactor = reactor
        self._timeout = timeout
        self.is_own = is_own

    def connect(self, endpoint: Endpoint) -> Deferred[Stream]:
        """
        A connected Stream that no protocol has yet and that does not read yet.

        Fails with L{ConnectFailed}, L{ConnectTimedOut} or L{LoopRefused}. Cancelling closes the socket.
        """
        try:
            if self.is_own(endpoint.host, endpoint.port):
                return _failed(LoopRefused(endpoint))
            sock, stream = self._begin(endpoint)
        except OSError as e:
            return _failed(_connect_failed(endpoint, e))
        if stream is not None:
            return succeed(stream)
        attempt = _Attempt(self._reactor, sock, endpoint, self._timeout)
        return attempt.result

    def try_connect(self, endpoint: Endpoint) -> Stream | None:
        """
        A connected Stream, if it can be had before this returns. What is only on its way is given up: for endpoints of
        which that is not expected.
        """
        try:
            if self.is_own(endpoint.host, endpoint.port):
                return None
            sock, stream = self._begin(endpoint)
        except OSError:
            return None
        if stream is None:
            sock.close()
        return stream

    def _begin(self, endpoint: Endpoint) -> tuple[socket.socket, Stream | None]:
        """A socket that connects, and the Stream if it does so at once."""
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex((endpoint.host, endpoint.port))
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, os.strerror(code))
            return sock, self._at_once(sock, endpoint)
        except OSError:
            sock.close()
            raise

    def _at_once(self, sock: socket.socket, endpoint: Endpoint) -> Stream | None:
        """
        A peer on this machine, such as the application next door, is connected by the time that C{connect} returns,
        although the kernel says EINPROGRESS: to ask is cheaper than to wait for an event, by a timer and two turns.
        """
        try:
            sock.getpeername()
        except OSError:
            return None
        return _stream(sock, self._reactor, endpoint)


class _Attempt:
    """One connect under way: a write descriptor until the kernel has an answer."""

    __slots__ = ("_clock", "_endpoint", "_reactor", "_seconds", "_sock", "fileno", "result")

    def __init__(self, reactor: Reactor, sock: socket.socket, endpoint: Endpoint, seconds: float) -> None:
        self._reactor = reactor
        self._sock = sock
        self._endpoint = endpoint
        self._seconds = seconds
        self.fileno = sock.fileno
        self.result: Deferred[Stream] = Deferred(self._cancelled)
        self._clock = reactor.callLater(seconds, self._timed_out)
        reactor.addWriter(self)

    def logPrefix(self) -> str:
        """Who is at work, for log lines written meanwhile."""
        return "connect"

    def doWrite(self) -> None:
        """Connected, or failed, or called for whoever had the descriptor's number before."""
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(_connect_failed(self._endpoint, OSError(code, os.strerror(code))))
            return
        try:
            self._sock.getpeername()
        except OSError:
            return
        self._reactor.removeWriter(self)
        try:
            stream = _stream(self._sock, self._reactor, self._endpoint)
        except OSError as e:
            self._fail(_connect_failed(self._endpoint, e))
            return
        self._clock.cancel()
        self.result.callback(stream)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor goes down."""
        self._fail(_connect_failed(self._endpoint, OSError(errno.ECONNABORTED, "shutting down")))

    def _timed_out(self) -> None:
        self._fail(ConnectTimedOut(self._endpoint, self._seconds))

    def _fail(self, error: ProxyError) -> None:
        self._stop()
        if not self.result.called:
            self.result.errback(Failure(error))

    def _cancelled(self, result: Deferred[Any]) -> None:
        self._stop()

    def _stop(self) -> None:
        self._reactor.removeWriter(self)
        if self._clock.active():
            self._clock.cancel()
        self._sock.close()


def _stream(sock: socket.socket, reactor: Reactor, endpoint: Endpoint) -> Stream:
    """
    The connected C{sock} as a Stream.

    @raise OSError: it is connected to itself. Where nobody listens on a port that the kernel gives out to those who
        connect, a connection to it may be given that very port, and meets itself (RFC 9293, 3.5: simultaneous open)
    """
    peer, host = (endpoint.host, endpoint.port), clean_address(sock.getsockname())
    if host == peer:
        raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    return Stream(sock, reactor, peer, host)


def _connect_failed(endpoint: Endpoint, cause: OSError) -> ConnectFailed:
    error = ConnectFailed(endpoint, errno.errorcode.get(cause.errno or 0, "EIO"))
    error.__cause__ = cause
    return error


def _failed(error: ProxyError) -> Deferred[Stream]:
    d: Deferred[Stream] = Deferred()
    d.errback(Failure(error))
    return d
