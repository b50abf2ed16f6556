# -*- test-case-name: tests.transport.test_listen -*-
"""
Accept connections, in batches, up to a limit, and whatever the kernel says.

At the limit, and when the process runs out of descriptors, a new connection is accepted and closed: it must not
wait in the kernel's queue for a time that nobody bounds, nor spin the reactor.

Any endpoint whose bytes are what the socket carries will do: C{tcp:}, C{tcp6:}, C{systemd:} and C{unix:}, whose
connections have no IP addresses to be shown or counted by. C{ssl:}, C{haproxy:} and the like are refused.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet import endpoints, tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lproxy.target import join_host_port
from lproxy.transport.hub import Reactor
from lproxy.transport.socket import SocketAddress, Stream, clean_address

#: connections accepted per wake-up, so that established ones are served in between
BATCH = 32
BACKLOG = 4096
#: seconds without accepting when even the reserve did not help
PAUSE = 0.2

#: out of descriptors or memory, this process or the machine
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log = Logger()


class ConnectionLimit:
    """How many accepted connections the whole proxy has, and may have."""

    __slots__ = ("limit", "open")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0


@dataclass(frozen=True, slots=True)
class Bound:
    """A listening socket, and how to let go of it."""

    sock: socket.socket
    release: Callable[[], Any]


@implementer(IListeningPort)
class Listener:
    """
    One listening socket.

    @ivar accepted: called with each new Stream, which reads as soon as a protocol is attached and it is resumed
    @ivar refused: called with a reason, C{limit} or an errno symbol, for each connection closed at accept
    """

    def __init__(
        self,
        bound: Bound,
        reactor: Reactor,
        limit: ConnectionLimit,
        accepted: Callable[[Stream], None],
        refused: Callable[[str], None],
    ) -> None:
        self._bound = bound
        self._sock = sock = bound.sock
        self._reactor = reactor
        self._limit = limit
        self._accepted = accepted
        self._refused = refused
        self._resume: Any = None
        self._reserve = -1
        self._listening = False
        self._released = False
        self.fileno = sock.fileno
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            # accepted sockets inherit it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.address: SocketAddress = clean_address(sock.getsockname())

    def __repr__(self) -> str:
        return f"<Listener {join_host_port(*self.address)}>"

    def startListening(self) -> None:
        """Accept from now on."""
        self._listening = True
        self._take_reserve()
        self._reactor.addReader(self)

    def stopListening(self) -> None:
        """
        Accept no more; connections that were accepted live on.

        Those that wait in the kernel's queue are accepted before: they have been told that they are connected.
        """
        if self._listening:
            for _ in range(0, BACKLOG, BATCH):
                if not self._accept():
                    break
        self._stop()

    def _stop(self) -> None:
        self._listening = False
        self._reactor.removeReader(self)
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        self._drop_reserve()
        if not self._released:
            self._released = True
            self._bound.release()

    def getHost(self) -> Any:
        """Where it listens."""
        return (IPv6Address if ":" in self.address[0] else IPv4Address)("TCP", *self.address)

    def logPrefix(self) -> str:
        """Who is at work, for log lines written meanwhile."""
        return "listen"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor goes down, and with it go all connections: those that still wait would not be served."""
        self._stop()

    def doRead(self) -> None:
        """Called by the reactor: somebody connects."""
        self._accept()

    def _accept(self) -> bool:
        """Accept a batch. Whether there may be more."""
        limit = self._limit
        for _ in range(BATCH):
            try:
                sock, peer = self._sock.accept()
            except BlockingIOError:
                return False
            except OSError as e:
                if e.errno in EXHAUSTED:
                    return self._shed(errno.errorcode[e.errno])
                # the client gave up while it waited, or the network did: nothing of ours
                continue
            if limit.open >= limit.limit:
                sock.close()
                self._refused("limit")
                continue
            try:
                host = clean_address(sock.getsockname())
                stream = Stream(sock, self._reactor, clean_address(peer), host)
            except OSError:
                sock.close()
                continue
            limit.open += 1
            stream.on_close = self._closed
            try:
                self._accepted(stream)
            except Exception:
                # one connection's trouble; the listener goes on
                _log.failure("Unexpected error while {listener!r} accepted {stream!r}", listener=self, stream=stream)
                stream.abortConnection()
        return True

    def _closed(self, stream: Stream) -> None:
        self._limit.open -= 1

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
                sock, _peer = self._sock.accept()
            except BlockingIOError:
                self._take_reserve()
                return False
            except OSError:
                # not even that: look again in a moment instead of spinning
                self._take_reserve()
                self._pause()
                return False
            sock.close()
            self._take_reserve()
            self._refused(reason)
        return True

    def _pause(self) -> None:
        if self._resume is None:
            self._reactor.removeReader(self)
            self._resume = self._reactor.callLater(PAUSE, self._again)

    def _again(self) -> None:
        self._resume = None
        if self._reserve < 0:
            self._take_reserve()
        self._reactor.addReader(self)


def bind(address: str, reactor: Any) -> Deferred[Bound]:
    """
    A listening socket for C{address}: C{IP:port}, or a Twisted server endpoint string.

    Fails with OSError or L{twisted.internet.error.CannotListenError}, or ValueError for an endpoint that is no plain
    stream socket.
    """
    return Deferred.fromCoroutine(_bind(address, reactor))


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
    except (OSError, ValueError):
        sock.close()
        raise
    return Bound(sock, sock.close)


async def _bind_endpoint(description: str, reactor: Any) -> Bound:
    """The endpoint opens the socket, or adopts systemd's; accepting is ours."""
    factory = Factory()
    factory.noisy = False
    try:
        endpoint = endpoints.serverFromString(reactor, description)
    except LookupError as e:
        raise ValueError(f"{description!r} names no socket that this process was given (LISTEN_FDS)") from e
    except ImportError as e:
        # ssl: without pyOpenSSL
        raise ValueError(f"{description!r} is not an endpoint of a plain stream socket: {e}") from e
    listening: Any = await endpoint.listen(factory)
    # an endpoint that wraps the factory (ssl:) would have bytes mean something else than we think
    if not isinstance(listening, tcp.Port) or listening.factory is not factory:
        await maybeDeferred(listening.stopListening)
        raise ValueError(f"{description!r} is not an endpoint of a plain stream socket")
    listening.stopReading()
    return Bound(listening.socket, listening.stopListening)
