# -*- test-case-name: tests.protocols.tcp.test_client -*-
"""
The bottom of the TCP stack: each lease is a connection to the endpoint, opened for one caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from lproxy.protocols.runtime import Runtime
from lproxy.stack.interfaces import Lease
from lproxy.target import Endpoint
from lproxy.transport.relay import Relay, relay
from lproxy.transport.socket import Stream


@dataclass(frozen=True, slots=True)
class Call:
    """A connection to be joined with the upstream."""

    stream: Stream
    #: what the client has said already, which goes first
    prefix: bytes
    #: called with the relay, to be shown or ended
    began: Callable[[Relay], None]
    #: called once both connections are closed
    ended: Callable[[], None]


class TcpClient:
    """The service of one endpoint."""

    def __init__(self, runtime: Runtime, endpoint: Endpoint, name: str) -> None:
        self._runtime = runtime
        self._endpoint = endpoint
        self._name = name
        self.load = 0

    def try_acquire(self) -> Lease | None:
        """Never: a connection has to be opened for each."""
        return None

    def acquire(self) -> Deferred[Lease]:
        """Open a connection."""
        self.load += 1
        return self._runtime.connector.connect(self._endpoint).addCallbacks(self._connected, self._failed)

    def busy(self) -> bool:
        """Whether there are connections."""
        return self.load > 0

    def close(self) -> None:
        """Nothing is kept."""

    def describe(self) -> dict[str, Any]:
        """Connections that are open."""
        return {"in_flight": self.load}

    def _connected(self, stream: Stream) -> Lease:
        self._runtime.opened(stream, self._endpoint, self._name)
        return TcpLease(self, stream)

    def _failed(self, failure: Failure) -> Failure:
        self.load -= 1
        return failure


class TcpLease:
    """
    An open connection to the upstream, not used yet.

    @ivar stream: it, for those who join it with something by themselves
    @ivar greeting: what it said before anybody spoke to it
    """

    __slots__ = ("_client", "_listener", "greeting", "stream")

    def __init__(self, client: TcpClient, stream: Stream) -> None:
        self._client = client
        self.stream = stream
        self._listener: _Greeted | None = None
        self.greeting = b""

    @property
    def address(self) -> str:
        """Whom it is connected to."""
        return str(self._client._endpoint)

    def listen(self, spoke: Callable[[TcpLease], None]) -> None:
        """Tell C{spoke} when the upstream speaks although nobody spoke to it."""
        self._listener = _Greeted(self, spoke)
        self.stream.attach(self._listener)
        self.stream.startReading()

    def call(self, request: Call) -> None:
        """Join the two connections until both directions have ended."""
        if self._listener is not None:
            self._listener.over = True
        if self.greeting:
            request.stream.write(self.greeting)
        if request.prefix:
            self.stream.write(request.prefix)
        request.began(relay(request.stream, self.stream, request.ended))

    def close(self) -> None:
        """Give up the connection, where it was not called; count it as ended in any case."""
        self._client.load -= 1
        if not self.stream.disconnected:
            self.stream.abortConnection()


@implementer(IHalfCloseableProtocol)
class _Greeted(protocol.Protocol):
    """Waits for the upstream's first words."""

    def __init__(self, lease: TcpLease, spoke: Callable[[TcpLease], None]) -> None:
        self._lease = lease
        self._spoke = spoke
        self.over = False

    def dataReceived(self, data: bytes) -> None:
        """It spoke. What follows is the relay's."""
        self._lease.greeting += data
        self.transport.pauseProducing()  # type: ignore[union-attr]
        if not self.over:
            self.over = True
            self._spoke(self._lease)

    def readConnectionLost(self) -> None:
        """It hung up without a word: an answer too, and the relay's to pass on."""
        if not self.over:
            self.over = True
            self._spoke(self._lease)

    def writeConnectionLost(self) -> None:
        """Nothing was written."""
