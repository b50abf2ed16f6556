# -*- test-case-name: tests.transport.test_listen -*-
"""
Accept connections, in batches, up to a limit, and whatever the kernel says.

At the limit, and when the process runs out of descriptors, a new connection is accepted and closed: it must not
wait in the kernel's queue for a time that nobody bounds, nor spin the reactor.

Any endpoint whose bytes are what the socket carries will do: C{tcp:}, C{tcp6:}, C{systemd:} and C{unix:}, whose
connections have no IP addresses to be shown or counted by. C{ssl:}, C{haproxy:} and the like are refused.

Over 300 lines: a socket is bound, accepts, runs out of descriptors and stops in one place.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from twisted.internet import endpoints, tcp
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from lproxy.target import join_host_port
from lproxy.transport.address import clean_address
from lproxy.transport.connect import EXHAUSTED
from lproxy.transport.hub import READ, Descriptor, Events, Hub
from lproxy.transport.keepalive import Keepalive
from lproxy.transport.original_dst import original_dst
from lproxy.transport.socket import SocketStream
from lproxy.transport.stream import UNSECURED, Address, Conn, Plain

#: connections accepted per wake-up, so that established ones are served in between
BATCH: Final = 32
BACKLOG: Final = 4096
#: seconds without accepting when even the reserve did not help
PAUSE: Final = 0.2

_log = Logger(__name__)


class ConnectionLimit:
    """How many accepted connections the whole proxy has, and may have."""

    __slots__ = ("limit", "open")

    def __init__(self, limit: int) -> None:
        self.limit: int = limit
        self.open: int = 0

    def released(self) -> None:
        """One of them is closed."""
        self.open -= 1


class Bound(NamedTuple):
    """A listening socket, and how to let go of it."""

    sock: socket.socket
    release: Callable[[], Any]


class Listener(Events):
    """
    One listening socket.

    @ivar accepted: called with each new stream, which nobody reads yet
    @ivar refused: called with a reason, C{limit} or an errno symbol, for each connection closed at accept
    @ivar address: where it listens
    """

    def __init__(
        self,
        bound: Bound,
        hub: Hub,
        limit: ConnectionLimit,
        accepted: Callable[[SocketStream], None],
        refused: Callable[[str], None],
        redirected: bool = False,
        keepalive: Keepalive | None = None,
        plain: Plain = UNSECURED,
    ) -> None:
        """
        @param keepalive: how a client that is gone without a word is noticed
        @param plain: why its connections have no TLS, as long as nobody knows more
        @param redirected: whether to ask the kernel where connections were going before they were redirected here
        """
        sock = bound.sock
        self._bound: Bound = bound
        self._sock: socket.socket = sock
        # not C{accept}, which finds out anew, and as enums, what kind of socket each is: a dozen of Python's calls
        self._accept_one: Callable[[], tuple[Any, Any]] = sock._accept  # type: ignore[attr-defined]
        self._kind: tuple[int, int, int] = (int(sock.family), int(sock.type), sock.proto)
        self._hub: Hub = hub
        self._limit: ConnectionLimit = limit
        self.redirected: bool = redirected
        self.plain: Plain = plain
        self._descriptor: Descriptor = Descriptor(sock.fileno(), self)
        self._resume: Any = None
        self._reserve: int = -1
        self._listening: bool = False
        self._released: bool = False
        self.accepted: Callable[[SocketStream], None] = accepted
        self.refused: Callable[[str], None] = refused
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            # accepted sockets inherit it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.keep_alive(keepalive)
        self.address: Address = clean_address(sock.getsockname())
        # what accepted sockets have as their own address: asked of each where it may be any
        self._fixed: bool = not _unspecified(self.address[0])

    def __repr__(self) -> str:
        return f"<Listener {join_host_port(*self.address)}>"

    def keep_alive(self, keepalive: Keepalive | None) -> None:
        """Notice clients that are gone without a word: those that connect from now on, as their sockets inherit it."""
        if self._sock.family != socket.AF_UNIX:
            if keepalive is not None:
                keepalive.set(self._sock)
            else:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)

    def start(self) -> None:
        """Accept from now on; one of several that share an address does not listen before."""
        if not self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            self._sock.listen(BACKLOG)
        self._listening = True
        self._take_reserve()
        self._hub.want(self._descriptor, READ)

    def trouble(self) -> str:
        """Why nobody can connect although this was started and not stopped; empty where that is not so."""
        try:
            listening = self._listening and self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        except OSError:
            listening = False
        if not listening:
            return "its socket is closed"
        # one that pauses goes on by itself
        return "" if self._resume is not None or self._hub.served(self._descriptor) else "it is not served any more"

    def stop(self) -> None:
        """
        Accept no more; connections that were accepted live on.

        Those that wait in the kernel's queue are accepted before: they have been told that they are connected.
        """
        if self._listening:
            for _ in range(0, BACKLOG, BATCH):
                if not self._accept():
                    break
        self._stop()

    def give(self) -> None:
        """Accept no more: another process has the socket, and those that wait. Nothing but our copy of it is closed."""
        self._released = True
        self._stop()
        self._sock.close()

    def _stop(self) -> None:
        self._listening = False
        self._hub.want(self._descriptor, 0)
        self._hub.forget(self._descriptor)
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        self._drop_reserve()
        if not self._released:
            self._released = True
            self._bound.release()

    # Events

    def readable(self) -> None:
        """Somebody connects."""
        self._accept()

    def writable(self) -> None:
        """Never asked for."""

    def hung_up(self) -> None:
        """Never asked for."""

    def crashed(self, failure: Failure) -> None:
        """What is called with connections does not raise: this is a mistake in here."""
        _log.failure("Unexpected error in {listener!r}", failure, listener=self)

    def shut_down(self) -> None:
        """The reactor goes down, and with it go all connections: those that still wait would not be served."""
        self._stop()

    def _accept(self) -> bool:
        """Accept a batch. Whether there may be more."""
        limit = self._limit
        for _ in range(BATCH):
            try:
                fd, peer = self._accept_one()
            except BlockingIOError:
                return False
            except OSError as e:
                if e.errno in EXHAUSTED:
                    return self._shed(errno.errorcode[e.errno])
                # the client gave up while it waited, or the network did: nothing of ours
                continue
            if limit.open >= limit.limit:
                os.close(fd)
                self.refused("limit")
                continue
            sock = socket.SocketType(*self._kind, fd)
            try:
                stream = self._stream(sock, peer)
            except OSError:
                sock.close()
                continue
            limit.open += 1
            try:
                self.accepted(stream)
            except BaseException:
                # one connection's trouble; the listener goes on
                stream.crashed(Failure())
        return True

    def _stream(self, sock: socket.SocketType, peer: Any) -> SocketStream:
        # Python makes accepted sockets blocking where there is no default timeout
        sock.setblocking(False)
        local = self.address if self._fixed else clean_address(sock.getsockname())
        client = clean_address(peer)
        original = original_dst(sock) if self.redirected else None
        conn = Conn(client, local, original, None, self.plain.reason(client[0]))
        return SocketStream(sock, self._hub, conn, self._limit.released)

    # out of descriptors: a reserve is given up for a moment, to accept with and close

    def _take_reserve(self) -> None:
        try:
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._reserve = -1

    def _drop_reserve(self) -> None:
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1

    def _shed(self, reason: str) -> bool:
        for _ in range(BATCH):
            self._drop_reserve()
            try:
                fd, _peer = self._accept_one()
            except BlockingIOError:
                self._take_reserve()
                return False
            except OSError:
                # not even that: look again in a moment instead of spinning
                self._take_reserve()
                self._pause()
                return False
            os.close(fd)
            self._take_reserve()
            self.refused(reason)
        return True

    def _pause(self) -> None:
        if self._resume is None:
            self._hub.want(self._descriptor, 0)
            self._resume = self._hub.call_later(PAUSE, self._again)

    def _again(self) -> None:
        self._resume = None
        if self._reserve < 0:
            self._take_reserve()
        self._hub.want(self._descriptor, READ)


def _unspecified(host: str) -> bool:
    """Whether C{host} is a wildcard, or nothing (a UNIX socket's)."""
    return not host or ipaddress.ip_address(host.partition("%")[0]).is_unspecified


def bind(address: str, reactor: Any) -> Deferred[Bound]:
    """
    A listening socket for C{address}: C{IP:port}, or a Twisted server endpoint string.

    Fails with OSError or L{twisted.internet.error.CannotListenError}, or ValueError for an endpoint that is no plain
    stream socket.
    """
    return Deferred.fromCoroutine(_bind(address, reactor))


def inherited(fd: int) -> Bound:
    """A socket that listens already, which another process has bound."""
    sock = socket.socket(fileno=fd)
    return Bound(sock, sock.close)


async def _bind(address: str, reactor: Any) -> Bound:
    host, _, port = address.rpartition(":")
    try:
        ip = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return await _bind_endpoint(address, reactor)
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((str(ip), int(port)))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return Bound(sock, sock.close)


async def _bind_endpoint(description: str, reactor: Any) -> Bound:
    """The endpoint opens the socket, or adopts systemd's; accepting is ours."""
    factory = Factory()
    factory.noisy = False
    try:
        endpoint = endpoints.serverFromString(reactor, description)
    except LookupError:
        raise ValueError(f"{description!r} names no socket that this process was given (LISTEN_FDS)") from None
    except ImportError as e:
        # ssl: without pyOpenSSL
        raise ValueError(f"{description!r} is not an endpoint of a plain stream socket: {e}") from None
    listening: Any = await endpoint.listen(factory)
    # an endpoint that wraps the factory (ssl:) would have bytes mean something else than we think
    if not isinstance(listening, tcp.Port) or listening.factory is not factory:
        # who has no patience cancels us, and is not to cancel that as well
        closed: Deferred[object] = Deferred()
        maybeDeferred(listening.stopListening).addBoth(closed.callback)
        await closed
        raise ValueError(f"{description!r} is not an endpoint of a plain stream socket")
    listening.stopReading()
    return Bound(listening.socket, listening.stopListening)
