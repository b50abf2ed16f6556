"""
Both ends of TLS on real sockets: ours under a hub that the test polls, and OpenSSL's own, which does as it is told.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lproxy.identity import contexts
from lproxy.identity.contexts import Context
from lproxy.testing.certificates import authority
from lproxy.transport.socket import SocketStream
from lproxy.transport.tls import linger
from lproxy.transport.tls.handshake import Handshakes, Shaking
from lproxy.transport.tls.hello import Hello
from lproxy.transport.tls.stream import TlsStream
from tests.identity.handshake import material, trust
from tests.transport.sockets import FOR_EVER, Recorder, SocketCase

SHOP = authority()
NAME = "web.shop.test"
SECONDS = 10.0


@cache
def frontend() -> Context:
    """A server for ordinary clients."""
    return contexts.frontend(material(SHOP.issue(NAME)), ("h2", "http/1.1"))


@cache
def ordinary() -> Context:
    """A client that trusts it."""
    return contexts.client(trust(SHOP), alpn=("http/1.1",))


class Far:
    """
    The other end: a TLS connection on a socket of its own, which goes on when the test says so.

    @ivar heard: all that it has read
    @ivar error: what ended it
    """

    def __init__(self, sock: socket.socket, context: SSL.Context, server: bool = False, sni: str = NAME) -> None:
        self.sock = sock
        self.connection = SSL.Connection(context, sock)
        self.connection.set_app_data(contexts.Peer("" if server else sni))
        if server:
            self.connection.set_accept_state()
        else:
            self.connection.set_connect_state()
            if sni:
                self.connection.set_tlsext_host_name(sni.encode())
        self.done = False
        self.ended = False
        self.heard = b""
        self.error: SSL.Error | None = None

    def step(self) -> None:
        """Shake hands, or read what is there."""
        if self.error is not None or self.ended:
            return
        try:
            if not self.done:
                self.connection.do_handshake()
                self.done = True
            while True:
                self.heard += self.connection.recv(65536)
        except (SSL.WantReadError, SSL.WantWriteError):
            pass
        except SSL.ZeroReturnError:
            self.ended = True
        except SSL.Error as error:
            self.error = error

    def say(self, data: bytes) -> int:
        """Write C{data} as far as it goes."""
        sent = 0
        try:
            while sent < len(data):
                sent += self.connection.send(memoryview(data)[sent:])
        except (SSL.WantReadError, SSL.WantWriteError):
            pass
        return sent


class TlsCase(SocketCase):
    """Handshakes and streams on pairs of sockets."""

    def setUp(self) -> None:
        super().setUp()
        self.handshakes = Handshakes(self.hub, SECONDS, 100)
        self.secured: list[TlsStream] = []

    def _clean_up(self) -> None:
        for stream in self.secured:
            stream.abort()
        # those whose peers were to read an alert
        self.reactor.advance(linger.SECONDS)
        super()._clean_up()

    def both(self, *far: Far, until: Callable[[], object] | None = None) -> None:
        """Let both sides go on until neither has anything to do, or until C{until}."""
        for _ in range(FOR_EVER):
            for one in far:
                one.step()
            # the kernel's loopback is at once
            if self.ready():
                self.hub.serve()
            elif until is None:
                sockets = [one.sock for one in far if one.error is None and not one.ended and one.sock.fileno() >= 0]
                if not select.select(sockets, [], [], 0)[0]:
                    return
            if until is not None and until():
                return
        self.fail("never comes to rest")

    def accept(
        self,
        stream: SocketStream,
        peer: socket.socket,
        context: Context | None = None,
        client: Context | None = None,
        sni: str = NAME,
    ) -> tuple[Shaking, Far]:
        """Begin a handshake as a server on C{stream}: the client has said hello."""
        far = Far(peer, (client or ordinary()).ssl, sni=sni)
        far.step()
        shaking = self.handshakes.accept(stream, context or frontend(), Hello(sni))
        return shaking, far

    def pair(
        self, context: Context | None = None, client: Context | None = None, sni: str = NAME, little: bool = False
    ) -> tuple[TlsStream, Far]:
        """A stream that is secured, and its client."""
        shaking, far = self.accept(*(self.unix(little=True) if little else self.tcp()), context, client, sni)
        self.both(far, until=partial(called, shaking))
        far.step()
        stream: TlsStream = self.successResultOf(shaking)
        self.secured.append(stream)
        return stream, far


def called(result: Deferred[Any]) -> bool:
    """Whether it has its result, which is no other Deferred."""
    return bool(result.called) and not result.paused


class StreamCase(TlsCase):
    """
    One secured stream, with a reader that reads, and its client.

    @ivar crashes: what C{on_crash} was told
    """

    def setUp(self) -> None:
        super().setUp()
        self.crashes: list[Failure] = []
        self.start()

    def start(self, context: Context | None = None, client: Context | None = None, little: bool = False) -> None:
        """Use this one."""
        self.stream, self.far = self.pair(context, client, little=little)
        self.stream.on_crash = self.crashes.append
        self.reader = Recorder()
        self.stream.attach(self.reader)
        self.stream.resume()

    @property
    def interest(self) -> int:
        """What the hub waits for."""
        return self.stream._descriptor.interest
