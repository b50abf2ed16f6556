# -*- test-case-name: tests.protocols.tcp.test_client -*-
"""
The bottom of the TCP stack: each lease is a connection to the endpoint, opened for one caller.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import protocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from lproxy.protocols.connection import ConnectionClient
from lproxy.protocols.runtime import Call
from lproxy.stack.lease import FREE, Hold, ended
from lproxy.transport.relay import relay
from lproxy.transport.socket import Stream


class TcpClient(ConnectionClient["TcpLease"]):
    """The service of one endpoint."""

    def lease(self, stream: Stream) -> TcpLease:
        """To be joined with a client's connection."""
        return TcpLease(self, stream)


class TcpLease:
    """An open connection to the upstream, for one call."""

    __slots__ = ("_client", "_stream", "hold")

    def __init__(self, client: TcpClient, stream: Stream) -> None:
        self.hold: Hold = FREE
        self._client = client
        self._stream = stream

    def call(self, request: Call | None) -> Upstream:
        """
        Join C{request} with the connection until both directions have ended; for C{None}, only listen to it first.

        @return: the connection
        """
        upstream = Upstream(str(self._client.endpoint), self._stream)
        if request is not None:
            upstream.join(request)
        return upstream

    def close(self) -> None:
        """The connection is not needed any more. One whose relay has ended is closed already."""
        if ended(self):
            self._client.released(self._stream)


class Upstream:
    """
    A connection that was opened for a client.

    @ivar address: whom it is connected to
    @ivar greeting: what it said before anybody spoke to it
    """

    __slots__ = ("_listener", "_stream", "address", "greeting")

    def __init__(self, address: str, stream: Stream) -> None:
        self._stream = stream
        self._listener: _Greeted | None = None
        self.address = address
        self.greeting = b""

    def listen(self, spoke: Callable[[], None]) -> None:
        """Call C{spoke} once it speaks, or ends, although nobody spoke to it."""
        self._listener = _Greeted(self, spoke)
        self._stream.attach(self._listener)
        self._stream.startReading()

    def join(self, call: Call) -> None:
        """Relay between it and the client."""
        if self._listener is not None:
            self._listener.over = True
        if self.greeting:
            call.stream.write(self.greeting)
            self.greeting = b""
        if call.prefix:
            self._stream.write(call.prefix)
        call.began(relay(call.stream, self._stream, call.ended))


@implementer(IHalfCloseableProtocol)
class _Greeted(protocol.Protocol):
    """Waits for the upstream's first words."""

    def __init__(self, upstream: Upstream, spoke: Callable[[], None]) -> None:
        self._upstream = upstream
        self._spoke = spoke
        self.over = False

    def dataReceived(self, data: bytes) -> None:
        """It spoke. What follows is the relay's."""
        self._upstream.greeting += data
        self.transport.pauseProducing()  # type: ignore[union-attr]
        if not self.over:
            self.over = True
            self._spoke()

    def readConnectionLost(self) -> None:
        """It hung up without a word: an answer too, and the relay's to pass on."""
        if not self.over:
            self.over = True
            self._spoke()

    def writeConnectionLost(self) -> None:
        """Nothing was written."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """It was reset: as L{readConnectionLost}. Or given up, by somebody who does not listen any more."""
        self.readConnectionLost()
