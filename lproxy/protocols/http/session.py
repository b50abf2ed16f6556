# -*- test-case-name: tests.protocols.http.test_session -*-
"""
A client's connection: requests in order, one at a time, each acquired, dispatched and answered.

It is the L{Exchange} of the request that is under way. Pipelined requests wait unread in its reader.

Over 300 lines: an exchange is one run of states, and is read as one. Its clocks (L{patience}), its body (L{upload}) and
what is counted of it (L{account}) stand apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from lproxy.errors import Bug, explain, judge
from lproxy.protocols.http import chunked
from lproxy.protocols.http.account import State
from lproxy.protocols.http.http1 import encode_response
from lproxy.protocols.http.message import (
    CHUNKED,
    ENCODING,
    HOST_FIELD,
    UNTIL_CLOSE,
    Headers,
    Rejected,
    Request,
    Response,
    kinds,
)
from lproxy.protocols.http.patience import LINGER, PARTING
from lproxy.protocols.http.rescue import answer, refusal
from lproxy.protocols.http.upload import Upload
from lproxy.protocols.runtime import Call
from lproxy.transport.relay import Relay, relay

if TYPE_CHECKING:
    from lproxy.protocols.http.factory import HttpFactory

CLOSE = b"Connection: close\r\n"
KEEP_ALIVE = b"Connection: keep-alive\r\n"
TRANSFER_CHUNKED = b"Transfer-Encoding: chunked\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

IDLE, HEAD, ACQUIRING, CALLING = State.IDLE, State.HEAD, State.ACQUIRING, State.CALLING
FULL, TUNNEL, LINGERING, CLOSED = State.FULL, State.TUNNEL, State.LINGER, State.CLOSED


@implementer(IHalfCloseableProtocol, IPushProducer)
class HttpSession(Upload):
    """One accepted connection that speaks HTTP/1."""

    def __init__(self, factory: HttpFactory) -> None:
        super().__init__(factory)
        self._advancing = False
        self._lease: Any = None
        self._pending: Deferred[Any] | None = None
        self._relay: Relay | None = None
        self._chunked_out = False
        self._close_after = False

    # Twisted's side: the client's connection

    def connectionMade(self) -> None:
        """A client."""
        self.transport.bufferSize = self._factory.runtime.limits.buffer
        self._factory.sessions.add(self)
        self._factory.runtime.sessions.add(self)

    def dataReceived(self, data: bytes) -> None:
        """Heads, bodies, or what is to be kept for later."""
        reader = self._reader
        reader.feed(data)
        state = self._state
        if state is IDLE or state is HEAD:
            self._advance()
        elif state is CALLING and not reader.done:
            self._pump()
        elif state is LINGERING or state is CLOSED:
            reader.take_rest()
        else:
            self._keep()

    def readConnectionLost(self) -> None:
        """The client will say no more; what it asked is still answered."""
        self._eof = True
        if self._state in (IDLE, HEAD, LINGERING):
            self.transport.loseConnection()
        elif self._state is CALLING and not self._reader.done and self.upstream is not None:
            self._half_a_request()
        else:
            # not to miss a reset
            self.transport.pauseProducing()

    def writeConnectionLost(self) -> None:
        """The last answer is out."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The client is gone: so is everything that was under way for it."""
        before, self._state = self._state, CLOSED
        self._reader.close()
        self._factory.sessions.discard(self)
        if self._pending is not None:
            self._pending.cancel()
        try:
            if before is ACQUIRING or before is CALLING:
                self._flags = self._flags or "DC"
                self._record(0 if self._response is None else self._response.status)
        finally:
            self._release()
            # last: who waits for us may close what was used here
            self._factory.runtime.sessions.remove(self)

    # and as the producer of an upstream's connection, or of its own while it answers faster than the client reads

    def pauseProducing(self) -> None:
        """Enough for now."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """There is room."""
        self.transport.resumeProducing()
        if self._state is FULL:
            self.transport.unregisterProducer()
            self._state = IDLE
            self._advance()

    def stopProducing(self) -> None:
        """Whoever is written to is gone, and says so by itself in a moment: the client may yet get an answer."""

    # the next request

    def _advance(self) -> None:
        """
        Begin requests as long as there are any and each is done at once.

        A loop, not a recursion: thousands may be pipelined and answered by ourselves.
        """
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._state is IDLE or self._state is HEAD:
                try:
                    request = self._reader.head()
                    if request is not None:
                        self._begin(request)
                        continue
                except Rejected as e:
                    self._reject(e)
                    break
                except Exception:
                    if self._state is not ACQUIRING and self._state is not CALLING:
                        raise
                    self._failed(Failure())
                    continue
                if self._eof:
                    self._state = CLOSED
                    self.transport.loseConnection()
                elif self._reader.buffered and self._state is IDLE:
                    self._state = HEAD
                    self._since = self._factory.seconds()
                break
        finally:
            self._advancing = False

    def _begin(self, request: Request) -> None:
        factory = self._factory
        self.request = request
        self._began = factory.seconds()
        self._requests += 1
        self._response = None
        self._route = None
        self._flags = ""
        self._state = ACQUIRING
        route = self._route = factory.route(request, self.transport)
        route.counter.began()
        if not request.authority:
            # HTTP/1.1, which the upstream is spoken to in, cannot do without (RFC 9112, 3.2)
            request.headers = [field for field in request.headers if kinds[field[0]] != HOST_FIELD]
            request.headers.insert(0, (b"Host", str(route.target).encode("ascii", "replace")))
        if request.method == b"CONNECT" and factory.by_authority:
            self._wait(factory.tunnels.acquire(route.target), self._tunnel_acquired)
            return
        lease = factory.try_acquire(route.target)
        if lease is not None:
            self._dispatch(lease)
        else:
            self._wait(factory.acquire.acquire(route.target), self._dispatch)

    def _wait(self, acquired: Deferred[Any], then: Callable[[Any], None]) -> None:
        def got(lease: Any) -> None:
            self._pending = None
            if self._state is ACQUIRING:
                then(lease)
            else:
                lease.close()

        self._pending = acquired
        acquired.addCallback(got).addErrback(self._not_acquired)

    def _not_acquired(self, failure: Failure) -> None:
        self._pending = None
        error = failure.value
        if isinstance(error, Rejected):
            self._reject(error)
        else:
            self._failed(failure)

    def _dispatch(self, lease: Any) -> None:
        self._lease = lease
        reader = self._reader
        if reader.done:
            self.first = b""
            self.whole = True
        else:
            self.first = self._take_body()
            self.whole = reader.done
            if not self.whole:
                if self._eof:
                    self._half_a_request()
                    return
                self._await_body()
        self._state = CALLING
        lease.call(self)
        factory = self._factory
        if factory.has_clocks and self._state is CALLING:
            self._dispatched()
            if self.whole:
                self._sent()
        self._overhead = factory.seconds() - self._began
        if not self.whole and self.upstream is not None and self._state is CALLING:
            self.again()

    # the answer: Exchange

    def informational(self, response: Response) -> None:
        """1xx goes to whoever understands it."""
        self._invited = True
        if self.request.version == 11:  # type: ignore[union-attr]
            self.transport.write(encode_response(response))

    def respond(self, response: Response, body: bytes, done: bool, trailers: Headers) -> None:
        """The head, and what has come of the body, in one write."""
        request = self.request
        assert request is not None
        factory = self._factory
        began = factory.seconds()
        self._response = response
        extra = b""
        framing = response.framing
        chunking = framing == CHUNKED
        if request.version == 11:
            if framing == UNTIL_CLOSE:
                extra = TRANSFER_CHUNKED
                chunking = True
        else:
            # HTTP/1.0 knows no chunks: the end of the connection is the end of the body
            chunking = False
            self._close_after = self._close_after or framing < 0
            response.headers = [field for field in response.headers if kinds[field[0]] != ENCODING]
        if not request.keep_alive or not self._reader.done or factory.draining or self._close_after:
            self._close_after = True
            extra += CLOSE
        elif request.version == 10:
            extra += KEEP_ALIVE
        self._chunked_out = chunking
        head = encode_response(response, extra)
        if chunking:
            if body:
                body = chunked.encode(body)
            if done:
                body += chunked.encode_end(trailers)
        self.transport.write(head + body if body else head)
        self._overhead += factory.seconds() - began
        if done:
            self._finish(response.status)
            return
        self._stop_headers_clock()
        if self.upstream is not None:
            # from here on a slow client pauses the upstream
            self.transport.registerProducer(self.upstream.transport, True)

    def more(self, body: bytes, done: bool, trailers: Headers) -> None:
        """More of the body."""
        if self._chunked_out:
            if body:
                body = chunked.encode(body)
            if done:
                body += chunked.encode_end(trailers)
        if body:
            self.transport.write(body)
        if done:
            self._finish(self._response.status)  # type: ignore[union-attr]

    def tunnel(self, response: Response, rest: bytes) -> None:
        """Both sides speak something else from now on."""
        assert self.upstream is not None
        upstream = self.upstream.transport
        self._response = response
        self.transport.write(encode_response(response) + rest)
        self._become_tunnel(response.status)
        if kept := self._reader.take_rest():
            upstream.write(kept)
        self._relaying(relay(self.transport, upstream, self._tunnel_ended, self._factory.runtime.limits.buffer))

    def failed(self, failure: Failure) -> None:
        """The upstream will not answer, or not to the end."""
        self._failed(failure)

    # tunnels

    def _tunnel_acquired(self, lease: Any) -> None:
        self._lease = lease
        self.transport.write(ESTABLISHED)
        self._become_tunnel(200)
        joined = lease.call(Call(self.transport, self._reader.take_rest(), self._relaying, self._tunnel_ended))
        self._tunnelled_to = joined.address

    def _become_tunnel(self, status: int) -> None:
        self._state = TUNNEL
        self._stop_clocks()
        self._count(status)

    def _relaying(self, joined: Relay) -> None:
        self._relay = joined

    def _tunnel_ended(self) -> None:
        try:
            self._log(self._response.status if self._response is not None else 200)
        finally:
            self.connectionLost()

    # the end of an exchange

    def _finish(self, status: int) -> None:
        """The upstream's answer is complete."""
        self._record(status)
        transport = self.transport
        if transport.producer is not None:
            transport.unregisterProducer()
            if self.upstream is not None:
                # it may have been paused, and is not done with: it goes back to where it came from
                self.upstream.transport.resumeProducing()
        self._next()

    def _next(self) -> None:
        """This one is answered and counted: is there another?"""
        reader = self._reader
        self._release()
        if self._close_after or not reader.done:
            self._last()
            return
        self._state = IDLE
        transport = self.transport
        if self.request.framing:  # type: ignore[union-attr]
            # done with it; and the last of it may have left the client paused
            self.first = b""
            transport.resumeProducing()
        if transport.buffered > transport.bufferSize:
            self._state = FULL
            transport.registerProducer(self, True)
        elif reader.buffered or self._eof:
            transport.resumeProducing()
            self._advance()

    def _failed(self, failure: Failure) -> None:
        """Turn C{failure} into an answer, or an abrupt end where the answer has begun."""
        if self._state is not ACQUIRING and self._state is not CALLING:
            return
        runtime = self._factory.runtime
        error = failure.value
        assert error is not None
        verdict = judge(error)
        self._flags = verdict.flag
        self._factory.faults.error(verdict.reason)
        if isinstance(verdict, Bug):
            runtime.crashed(self._factory.name, failure)
        else:
            self._warn(f"http-{verdict.reason}", explain(error))
        if self._response is not None:
            self._cut_off()
            return
        request = self.request
        assert request is not None
        if not verdict.keep or not self._reader.done or not request.keep_alive or self._factory.draining:
            self._close_after = True
        waited = self._factory.seconds() - self._began
        self.transport.write(answer(verdict, error, waited, request, self._may_tell(), self._close_after))
        self._record(verdict.status)
        self._next()

    def _reject(self, rejected: Rejected) -> None:
        """Bad input: say so, and be done with the client. The upstream sees none of it, or an abort."""
        self._factory.faults.reject(rejected.reason)
        self._warn(f"http-rejected-{rejected.reason}", str(rejected.what()))
        self._flags = rejected.flag
        if self._state is not ACQUIRING and self._state is not CALLING:
            self.request = None  # no request came of it
        elif self._response is not None:
            self._cut_off()
            return
        self.transport.write(refusal(rejected))
        if self.request is None:
            self._log(rejected.status)
        else:
            self._record(rejected.status)
        self._release()
        self._last()

    def _cut_off(self) -> None:
        """Never a clean end for half an answer."""
        self._state = CLOSED
        self.transport.abortConnection()
        try:
            self._record(self._response.status if self._response is not None else 0)
        finally:
            self._release()

    def _last(self) -> None:
        """End the connection, once the client has the answer."""
        self._since = self._factory.seconds()
        request, reader, transport = self.request, self._reader, self.transport
        expected = request is None or not reader.done or reader.buffered
        if self._eof or not (expected or request.keep_alive):  # type: ignore[union-attr]
            self._state = CLOSED
            transport.loseConnection()
        else:
            # there is more to come, or may be, and closing with bytes unread sends a reset: it may overtake the answer
            self._state = LINGERING
            self._linger = LINGER if expected else PARTING
            reader.take_rest()
            transport.loseWriteConnection()
            transport.resumeProducing()

    def _release(self) -> None:
        """Give back everything that the exchange held."""
        lease, self._lease = self._lease, None
        upstream, self.upstream = self.upstream, None
        if self._stream_clock is not None or self._headers_clock is not None:
            self._stop_clocks()
        if upstream is not None and not self.whole and upstream.transport.producer is not None:
            upstream.transport.unregisterProducer()
        if lease is not None:
            lease.close()

    # Session

    def abort(self) -> None:
        """End now."""
        self._flags = "SD"
        if self._relay is not None:
            self._relay.abort()
        else:
            self.transport.abortConnection()
