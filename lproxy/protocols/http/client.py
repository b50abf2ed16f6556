# -*- test-case-name: tests.protocols.http.test_client -*-
"""
The bottom of the HTTP stack: connections to one endpoint, each a lease for one exchange at a time.

A connection that an exchange left clean is kept for a while and given out again, the latest first, so that
those not needed grow old and go. A kept one may die the moment it is used, through nobody's fault: the exchange
is then tried once more, on a fresh connection, if nothing can have come of the first try.

Over 300 lines: the connection and the pool that gives it out know each other's state.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet import protocol
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from lproxy.errors import ProxyError
from lproxy.protocols.http.http1 import ResponseReader, encode_request
from lproxy.protocols.http.message import ENCODING, IDEMPOTENT, LENGTH, Headers, Rejected, Request, Response, kinds
from lproxy.protocols.runtime import Runtime
from lproxy.stack.interfaces import Health
from lproxy.stack.lease import FREE, Hold, ended
from lproxy.stack.report import Report
from lproxy.target import Endpoint
from lproxy.transport.socket import Stream

#: 1xx answers to one request, each of which is relayed; an upstream that never comes to the real one is stopped
INFORMATIONAL = 100


class UpstreamLost(ProxyError):
    """
    The upstream's connection ended before its answer did.

    @ivar when: what had come of the answer
    """

    layer = "upstream"
    reason = "upstream_lost"
    flag = "UC"
    status = 502

    def __init__(self, target: Endpoint, errno: str, when: str) -> None:
        super().__init__(target)
        self.errno = errno
        self.when = when

    def what(self) -> str:
        """How, and when."""
        how = {"": "closed the connection", "ECONNRESET": "reset the connection"}.get(self.errno, self.errno)
        return f"{how} {self.when}"


class BadResponse(ProxyError):
    """The upstream's answer is not HTTP, or breaks a limit."""

    layer = "upstream"
    reason = "bad_response"
    flag = "UP"
    status = 502

    def what(self) -> str:
        """What the cause explains."""
        return "sent a malformed answer"


class Exchange(Protocol):
    """
    A request, and whoever is to be told its answer.

    C{respond} comes once, then C{more} until one of them says C{done}; or C{tunnel}; or C{failed}, at any time.
    """

    request: Request
    #: the beginning of the body, encoded, to be sent with the head
    first: bytes
    #: whether C{first} is the whole body
    whole: bool
    #: the connection it was dispatched on; C{None} while there is none, when nothing more can be sent
    upstream: HttpConnection | None

    def again(self) -> None:
        """It was dispatched once more, on a connection that is now C{upstream}."""

    def informational(self, response: Response) -> None:
        """A 1xx answer, before the real one."""

    def respond(self, response: Response, body: bytes, done: bool, trailers: Headers) -> None:
        """The answer's head and the beginning of its body."""

    def more(self, body: bytes, done: bool, trailers: Headers) -> None:
        """More of its body."""

    def tunnel(self, response: Response, rest: bytes) -> None:
        """The upstream speaks another protocol from now on: C{rest} and whatever follows."""

    def failed(self, failure: Failure) -> None:
        """There is no more."""


class HttpClient:
    """The service of one endpoint: its idle connections, and the way to new ones."""

    def __init__(self, runtime: Runtime, endpoint: Endpoint, name: str, health: Health) -> None:
        self._runtime = runtime
        self._name = name
        self._health = health
        self.endpoint = endpoint
        self.load = 0
        self.idle: dict[HttpConnection, None] = {}
        self.closed = False
        self._sweeper: Any = None

    def try_acquire(self) -> HttpConnection | None:
        """The connection that was used last, if one is idle."""
        if not self.idle:
            return None
        self.load += 1
        connection, _ = self.idle.popitem()
        connection.hold = FREE
        return connection

    def acquire(self) -> Deferred[HttpConnection]:
        """An idle connection or a new one."""
        lease = self.try_acquire()
        if lease is not None:
            return succeed(lease)
        self.load += 1
        return self.connect().addErrback(self._failed)

    def connect(self) -> Deferred[Any]:
        """A new connection, whoever it is for."""
        return self._runtime.connector.connect(self.endpoint).addCallback(self._connected)

    def close(self) -> None:
        """Close what is idle now, and the others as they come back."""
        self.closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self.idle:
            self.idle.popitem()[0].transport.loseConnection()

    def report(self, report: Report) -> None:
        """Connections, by what they do."""
        report.show(in_flight=self.load, idle=len(self.idle))

    def lost(self, errno: str, when: str) -> Failure:
        """A connection that was in use is gone, and nobody wanted that."""
        error = UpstreamLost(self.endpoint, errno, when)
        self._health.failed(error)
        return Failure(error)

    def released(self, connection: HttpConnection, clean: bool) -> None:
        """A lease has ended. C{clean}: its connection can be used again; otherwise it is closed already."""
        self.load -= 1
        if not clean:
            return
        if self.closed or len(self.idle) >= self._runtime.limits.pool:
            connection.transport.loseConnection()
        else:
            connection.rested = False
            self.idle[connection] = None
            if self._sweeper is None:
                self._schedule()

    def _connected(self, stream: Stream) -> HttpConnection:
        self._runtime.opened(stream, self.endpoint, self._name)
        connection = HttpConnection(self, ResponseReader(self._runtime.limits))
        stream.bufferSize = self._runtime.limits.buffer
        stream.attach(connection)
        stream.startReading()
        return connection

    def _failed(self, failure: Failure) -> Failure:
        self.load -= 1
        return failure

    def _schedule(self) -> None:
        # one timer for all, none while there is nothing idle: connections go between one and two periods of it
        self._sweeper = self._runtime.reactor.callLater(self._runtime.timeouts.upstream_idle, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        for connection in list(self.idle):
            if connection.rested:
                del self.idle[connection]
                connection.transport.loseConnection()
            else:
                connection.rested = True
        if self.idle:
            self._schedule()


class HttpConnection(protocol.Protocol):
    """
    One connection, and the L{Lease} on it.

    @ivar rested: whether it has been idle since before the latest sweep
    """

    transport: Stream

    def __init__(self, client: HttpClient, reader: ResponseReader) -> None:
        self._client = client
        self._reader = reader
        self._exchange: Exchange | None = None
        self._response: Response | None = None
        self._informed = 0
        self._used = False
        self._sent_before = 0
        self._sent_more = False
        self._successor: HttpConnection | None = None
        self._retrying: Deferred[Any] | None = None
        self.rested = False
        self.hold: Hold = FREE

    def __repr__(self) -> str:
        return f"<HttpConnection to {self._client.endpoint} {self._exchange and self._exchange.request!r}>"

    @property
    def address(self) -> str:
        """Whom it is connected to."""
        return str(self._client.endpoint)

    # the lease

    def call(self, exchange: Exchange) -> None:
        """Send the request; its answer is told to C{exchange}."""
        request = exchange.request
        transport = self.transport
        self._exchange = exchange
        self._response = None
        self._informed = 0
        self._sent_more = False
        self._sent_before = transport.bytes_out
        exchange.upstream = self
        if self._used and (request.method not in IDEMPOTENT or not exchange.whole) and not transport.quiet():
            # it ended while it was idle, and this request cannot be sent twice: noticed before it is sent once
            self._retry(exchange)
            return
        transport.write(encode_request(request) + exchange.first)

    def send(self, body: bytes) -> None:
        """Send more of the request's body, encoded."""
        self._sent_more = True
        self.transport.write(body)

    def close(self) -> None:
        """The exchange is over, or never was."""
        if not ended(self):
            return
        if self._successor is not None:
            self._successor.close()
            return
        if self._retrying is not None:
            self._retrying.cancel()
        exchange, self._exchange = self._exchange, None
        self._used = True
        response, reader, transport = self._response, self._reader, self.transport
        clean = False
        if exchange is None:
            clean = True
        elif (
            response is None
            or not (exchange.whole and reader.done)
            or reader.buffered
            # answered before it was sent
            or (exchange.request.framing and transport.buffered)
        ):
            transport.abortConnection()
        elif response.keep_alive:
            clean = True
        else:
            transport.loseConnection()
        if transport.errno or transport.disconnected:
            clean = False
            transport.abortConnection()
        self._client.released(self, clean)

    # Twisted's side

    def dataReceived(self, data: bytes) -> None:
        """The answer, or a piece of it."""
        exchange = self._exchange
        if exchange is None:
            # nobody asked: whatever it is, it must not become the answer to the next request
            self._client.idle.pop(self, None)
            self.transport.abortConnection()
            return
        reader = self._reader
        reader.feed(data)
        try:
            if self._response is None:
                self._head(exchange)
            else:
                body = reader.body()
                done = reader.done
                if body or done:
                    exchange.more(body, done, reader.trailers)
        except Rejected as e:
            error = BadResponse(self._client.endpoint)
            error.__cause__ = e
            exchange.failed(Failure(error))
        except Exception:
            # a mistake of ours, told to the client as such
            if self._exchange is not exchange:
                raise
            exchange.failed(Failure())

    def connectionLost(self, reason: Failure | None = None) -> None:
        """It ended, in whatever state."""
        self._reader.close()
        self._client.idle.pop(self, None)
        exchange = self._exchange
        if exchange is None:
            return
        try:
            self._lost(exchange)
        except Exception:
            if self._exchange is not exchange:
                raise
            exchange.failed(Failure())

    def _lost(self, exchange: Exchange) -> None:
        errno = self.transport.errno
        if self._response is not None:
            if not errno and self._reader.eof():
                exchange.more(b"", True, [])
            else:
                exchange.failed(self._client.lost(errno, "in the middle of its answer"))
        elif self._reader.buffered or self._informed:
            exchange.failed(self._client.lost(errno, "in the middle of its answer's head"))
        elif self._used and self._may_retry(exchange):
            self._retry(exchange)
        else:
            exchange.failed(self._client.lost(errno, "without an answer"))

    def _head(self, exchange: Exchange) -> None:
        reader = self._reader
        request = exchange.request
        while True:
            response = reader.head(request.method, request.upgrade)
            if response is None:
                return
            status = response.status
            if status >= 200:
                break
            if status == 101:
                if not exchange.whole:
                    raise Rejected("", 502, "upgrade", "101 before the request was sent")
                exchange.tunnel(response, reader.take_rest())
                return
            self._informed += 1
            if self._informed > INFORMATIONAL:
                raise Rejected("", 502, "too_large", f"more than {INFORMATIONAL} informational answers")
            exchange.informational(response)
            if self._exchange is not exchange:
                return
        if status < 300 and request.method == b"CONNECT":
            # what follows has no framing (RFC 9110, 9.3.6)
            response.headers = [field for field in response.headers if kinds[field[0]] not in (LENGTH, ENCODING)]
            exchange.tunnel(response, reader.take_rest())
            return
        self._response = response
        body = reader.body()
        exchange.respond(response, body, reader.done, reader.trailers)

    # once more

    def _may_retry(self, exchange: Exchange) -> bool:
        """Whether a second try cannot do what the first has done already."""
        if not exchange.whole or self._sent_more:
            return False  # part of the body is gone
        nothing_sent = self.transport.bytes_out == self._sent_before
        return nothing_sent or (exchange.request.method in IDEMPOTENT and not exchange.request.upgrade)

    def _retry(self, exchange: Exchange) -> None:
        self._exchange = None
        exchange.upstream = None
        self.transport.abortConnection()
        self._retrying = self._client.connect()
        self._retrying.addCallbacks(self._again, self._not_again, callbackArgs=(exchange,), errbackArgs=(exchange,))

    def _again(self, connection: HttpConnection, exchange: Exchange) -> None:
        self._retrying = None
        self._successor = connection
        connection.call(exchange)
        exchange.again()

    def _not_again(self, failure: Failure, exchange: Exchange) -> None:
        self._retrying = None
        if not failure.check(CancelledError):
            exchange.failed(failure)
