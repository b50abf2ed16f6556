# -*- test-case-name: tests.transport.test_connect -*-
"""
Open connections to endpoints: one attempt, bounded in time, and secured where that is asked for.

Who to try, and when again, is the balancer's affair (L{lproxy.stack.balance}).

Over 300 lines: what may go wrong with a connect is read beside it.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from lproxy.errors import ProxyError
from lproxy.identity.refusal import Refusal
from lproxy.target import Endpoint, Metadata
from lproxy.transport.address import clean_address
from lproxy.transport.hub import WRITE, Descriptor, Events, Hub
from lproxy.transport.keepalive import Keepalive, Settling
from lproxy.transport.socket import SocketStream
from lproxy.transport.stream import UNSECURED, Conn, Plain, Stream
from lproxy.transport.tls.client import Upstreams
from lproxy.transport.tls.failure import HandshakeFailed

#: of a connector that secures nothing
NOBODY: Final = Refusal("not_configured", "nobody here secures connections")
#: out of descriptors or memory, this process or the machine
EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


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
    lasting = True

    def what(self) -> str:
        """Why that is refused."""
        return "is this proxy itself: refused to loop"


class OutOfDescriptors(ProxyError):
    """This process has no descriptor for a connection, or the machine no memory: nothing that the endpoint can help."""

    layer = "connect"
    reason = "descriptors"
    flag = "UO"
    status = 503
    blames = False

    def __init__(self, target: Endpoint, errno: str) -> None:
        super().__init__(target)
        self.errno = errno

    def what(self) -> str:
        """What there is none of."""
        return f"not tried: this proxy is out of descriptors or memory ({self.errno})"


class Connector(Protocol):
    """Opens streams, never to the proxy itself."""

    __slots__ = ()

    def connect(self, endpoint: Endpoint, metadata: Metadata) -> Deferred[Stream]:
        """
        A connected stream, which nobody reads yet, secured as C{metadata} says.

        Fails with L{ConnectFailed}, L{ConnectTimedOut}, L{LoopRefused} or
        L{HandshakeFailed<lproxy.transport.tls.failure.HandshakeFailed>}. Cancelling closes the socket.
        """

    def try_connect(self, endpoint: Endpoint, metadata: Metadata) -> Stream | None:
        """
        A connected stream, if it can be had before this returns. What is only on its way is given up: for endpoints of
        which that is not expected.
        """

    def close(self) -> None:
        """Keep no timer. Connections that are open go on."""


class SocketConnector(Connector):
    """
    The L{Connector} of sockets.

    @ivar is_own: whether an address is one of our own listeners, which are never connected to; may raise OSError
    """

    def __init__(
        self,
        hub: Hub,
        timeout: float,
        is_own: Callable[[str, int], bool] = lambda host, port: False,
        keepalive: Keepalive | None = None,
        plain: Plain = UNSECURED,
        tls: Upstreams | None = None,
    ) -> None:
        """
        @param timeout: seconds for one attempt
        @param keepalive: how an upstream that is gone without a word is noticed
        @param plain: why connections that are not to be secured have no TLS
        @param tls: who secures connections; C{None}: nobody, those that are to be secured fail
        """
        self._hub: Hub = hub
        self._tls: Upstreams | None = tls
        self._timeout: float = timeout
        self._plain: Plain = plain
        self._settling: Settling | None = Settling(keepalive, hub) if keepalive is not None else None
        self.is_own: Callable[[str, int], bool] = is_own

    def connect(self, endpoint: Endpoint, metadata: Metadata) -> Deferred[Stream]:
        """Within C{timeout}; a handshake has its own."""
        secure = metadata.secure
        if secure is None:
            return self._open(endpoint)
        if self._tls is None:
            return fail(HandshakeFailed(endpoint, NOBODY))
        return self._open(endpoint, partial(self._tls.secure, endpoint, secure))

    def _open(self, endpoint: Endpoint, then: Callable[[SocketStream], Deferred[Any]] | None = None) -> Deferred[Any]:
        """Connect, and go on with C{then}."""
        try:
            if self.is_own(endpoint.host, endpoint.port):
                return fail(LoopRefused(endpoint))
            sock = self._begin(endpoint)
            stream = self._at_once(sock, endpoint)
        except OSError as e:
            return fail(_connect_failed(endpoint, e))
        if stream is not None:
            return succeed(stream) if then is None else then(stream)
        result: Deferred[Any] = _Attempt(self._hub, sock, endpoint, self._timeout, self._plain).result
        return result if then is None else result.addCallback(then)

    def try_connect(self, endpoint: Endpoint, metadata: Metadata) -> Stream | None:
        """What is connected by the time that the kernel's C{connect} returns. A handshake is never done by then."""
        if metadata.secure is not None:
            return None
        try:
            if self.is_own(endpoint.host, endpoint.port):
                return None
            sock = self._begin(endpoint)
            stream = self._at_once(sock, endpoint)
        except OSError:
            return None
        if stream is None:
            sock.close()
        return stream

    def close(self) -> None:
        """Forget those that are to settle."""
        if self._settling is not None:
            self._settling.close()

    def _begin(self, endpoint: Endpoint) -> socket.SocketType:
        """A socket that connects."""
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        # C's own class: closing one of its subclass takes three calls
        sock = socket.SocketType(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex((endpoint.host, endpoint.port))
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, os.strerror(code))
        except OSError:
            sock.close()
            raise
        if self._settling is not None:
            self._settling.add(sock)
        return sock

    def _at_once(self, sock: socket.SocketType, endpoint: Endpoint) -> SocketStream | None:
        """
        A peer on this machine, such as the application next door, is connected by the time that C{connect} returns,
        although the kernel says EINPROGRESS: to ask is cheaper than to wait for an event, by a timer and two turns.
        """
        try:
            sock.getpeername()
        except OSError:
            return None
        return _stream(sock, self._hub, endpoint, self._plain)


class _Attempt(Events):
    """One connect under way: waits to write until the kernel has an answer."""

    def __init__(self, hub: Hub, sock: socket.SocketType, endpoint: Endpoint, seconds: float, plain: Plain) -> None:
        self._hub: Hub = hub
        self._plain: Plain = plain
        self._sock: socket.SocketType = sock
        self._endpoint: Endpoint = endpoint
        self._seconds: float = seconds
        self._descriptor: Descriptor = Descriptor(sock.fileno(), self)
        self.result: Deferred[SocketStream] = Deferred(self._cancelled)
        self._clock: Any = hub.call_later(seconds, self._timed_out)
        hub.want(self._descriptor, WRITE)

    def readable(self) -> None:
        """Never asked for."""

    def hung_up(self) -> None:
        """Failed, or nothing: a reactor that goes down is told of by L{shut_down}."""
        self._failed()

    def writable(self) -> None:
        """Connected, or failed, or called for whoever had the descriptor's number before."""
        if self._failed():
            return
        try:
            self._sock.getpeername()
        except OSError:
            return
        self._hub.want(self._descriptor, 0)
        self._hub.forget(self._descriptor)
        clock, self._clock = self._clock, None
        clock.cancel()
        try:
            stream = _stream(self._sock, self._hub, self._endpoint, self._plain)
        except OSError as e:
            self._fail(_connect_failed(self._endpoint, e))
            return
        self.result.callback(stream)

    def _failed(self) -> bool:
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(_connect_failed(self._endpoint, OSError(code, os.strerror(code))))
        return code != 0

    def crashed(self, failure: Failure) -> None:
        """One of these raised."""
        self._stop()
        if not self.result.called:
            self.result.errback(failure)

    def shut_down(self) -> None:
        """The reactor goes down."""
        self._fail(_connect_failed(self._endpoint, OSError(errno.ECONNABORTED, "shutting down")))

    def _timed_out(self) -> None:
        self._clock = None  # it holds us: no cycle for the collector
        self._fail(ConnectTimedOut(self._endpoint, self._seconds))

    def _fail(self, error: ProxyError) -> None:
        self._stop()
        if not self.result.called:
            self.result.errback(Failure(error))

    def _cancelled(self, result: Deferred[Any]) -> None:
        self._stop()

    def _stop(self) -> None:
        self._hub.forget(self._descriptor)
        clock, self._clock = self._clock, None
        if clock is not None:
            clock.cancel()
        self._sock.close()


def _stream(sock: socket.SocketType, hub: Hub, endpoint: Endpoint, plain: Plain) -> SocketStream:
    """
    A stream on the connected C{sock}, which is closed where that fails.

    @raise OSError: it is connected to itself. Where nobody listens on a port that the kernel gives out to those who
        connect, a connection to it may be given that very port, and meets itself (RFC 9293, 3.5: simultaneous open)
    """
    try:
        peer, local = (endpoint.host, endpoint.port), clean_address(sock.getsockname())
        if local == peer:
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    except OSError:
        sock.close()
        raise
    return SocketStream(sock, hub, Conn(peer, local, None, None, plain.reason(endpoint.host)))


def _connect_failed(endpoint: Endpoint, cause: OSError) -> ProxyError:
    kind = OutOfDescriptors if cause.errno in EXHAUSTED else ConnectFailed
    error = kind(endpoint, errno.errorcode.get(cause.errno or 0, "EIO"))
    error.__cause__ = cause
    return error
