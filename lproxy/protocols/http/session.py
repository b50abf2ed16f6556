# -*- test-case-name: tests.protocols.http.test_session -*-
"""
A client's connection: requests in order, one at a time, each acquired, dispatched and answered.

It is the L{Exchange} of the request that is under way. Pipelined requests wait unread in its reader.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.internet import protocol
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from lproxy.errors import explain
from lproxy.protocols.http import chunked
from lproxy.protocols.http.client import HttpConnection
from lproxy.protocols.http.http1 import RequestReader, encode_response
from lproxy.protocols.http.message import CHUNKED, ENCODING, UNTIL_CLOSE, Headers, Rejected, Request, Response, kinds
from lproxy.protocols.http.rescue import BUG, CallTimedOut, Verdict, answer, judge, refusal
from lproxy.protocols.runtime import Call
from lproxy.stack.interfaces import Lease
from lproxy.target import join_host_port
from lproxy.transport.relay import Relay, relay
from lproxy.transport.socket import Stream

if TYPE_CHECKING:
    from lproxy.protocols.http.factory import HttpFactory, Route

#: seconds that what a client still sends is read and dropped after the last answer, so that no reset overtakes it
LINGER = 2.0
#: seconds for a request that is on its way to an idle connection when the proxy begins to drain
GRACE = 1.0

CLOSE = b"Connection: close\r\n"
KEEP_ALIVE = b"Connection: keep-alive\r\n"
TRANSFER_CHUNKED = b"Transfer-Encoding: chunked\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class State(Enum):
    """Where a connection is in its life."""

    IDLE = "idle"  # between requests
    HEAD = "head"  # part of a head was read
    ACQUIRING = "acquiring"
    CALLING = "calling"  # dispatched, until the answer's end
    TUNNEL = "tunnel"  # another protocol's bytes
    LINGER = "linger"  # answered for the last time
    CLOSED = "closed"


IDLE, HEAD, ACQUIRING, CALLING = State.IDLE, State.HEAD, State.ACQUIRING, State.CALLING
TUNNEL, LINGERING, CLOSED = State.TUNNEL, State.LINGER, State.CLOSED


@implementer(IHalfCloseableProtocol)
class HttpSession(protocol.Protocol):
    """
    One accepted connection that speaks HTTP/1.

    @ivar request: the request under way, or the latest
    @ivar first: the beginning of its body as it was dispatched, and L{whole}: whether that was all of it
    """

    transport: Stream  # type: ignore[assignment]

    def __init__(self, factory: HttpFactory) -> None:
        self._factory = factory
        self._reader = RequestReader(factory.runtime.limits)
        self._state = IDLE
        self._since = factory.now
        self._advancing = False
        self._eof = False
        self._progress = 0
        self._requests = 0
        self._lease: Lease | None = None
        self._pending: Deferred[Any] | None = None
        self._clocks: list[Any] = []
        self._relay: Relay | None = None
        self._route: Route | None = None
        self._response: Response | None = None
        self._chunked_out = False
        self._close_after = False
        self._began = 0.0
        self._overhead = 0.0
        self._flags = ""
        self.request: Request | None = None
        self.upstream: HttpConnection | None = None
        self.first = b""
        self.whole = True

    def __repr__(self) -> str:
        return f"<HttpSession {self._state.value} {self.request!r}>"

    # Twisted's side

    def connectionMade(self) -> None:
        """A client."""
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
        elif state is LINGERING:
            reader.take_rest()
        elif reader.buffered > self._factory.runtime.limits.buffer:
            self.transport.pauseProducing()

    def readConnectionLost(self) -> None:
        """The client will say no more; what it asked is still answered."""
        self._eof = True
        if self._state in (IDLE, HEAD, LINGERING):
            self.transport.loseConnection()
        elif self._state is CALLING and not self._reader.done:
            # half a request: whatever the upstream makes of it, nobody waits for that
            self._flags = "DC"
            self.transport.abortConnection()

    def writeConnectionLost(self) -> None:
        """The last answer is out."""

    def connectionLost(self, reason: Failure | None = None) -> None:  # type: ignore[override]
        """The client is gone: so is everything that was under way for it."""
        before, self._state = self._state, CLOSED
        self._factory.sessions.discard(self)
        self._factory.runtime.sessions.remove(self)
        if self._pending is not None:
            self._pending.cancel()
        if before is ACQUIRING or before is CALLING:
            self._flags = self._flags or "DC"
            self._record(0 if self._response is None else self._response.status)
        self._release()

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
                except Rejected as e:
                    self._reject(e)
                    break
                if request is None:
                    if self._reader.buffered and self._state is IDLE:
                        self._state = HEAD
                        self._since = self._factory.now
                    elif self._eof:
                        self.transport.loseConnection()
                    break
                self._begin(request)
        finally:
            self._advancing = False

    def _begin(self, request: Request) -> None:
        factory = self._factory
        self.request = request
        self._began = factory.seconds()
        self._requests += 1
        self._response = None
        self._flags = ""
        self._state = ACQUIRING
        try:
            route = self._route = factory.route(request, self.transport)
        except Exception:
            self._failed(Failure())
            return
        route.counter.requests += 1
        if factory.has_clocks:
            self._start_clock("stream", factory.runtime.timeouts.stream)
        if request.method == b"CONNECT" and factory.by_authority:
            self._wait(factory.tunnels.acquire(route.target), self._tunnel_acquired)
            return
        lease = factory.try_acquire(route.target)
        if lease is not None:
            self._dispatch(lease)
        else:
            self._wait(factory.acquire.acquire(route.target), self._dispatch)

    def _wait(self, acquired: Deferred[Any], then: Any) -> None:
        def got(lease: Lease) -> None:
            self._pending = None
            if self._state is ACQUIRING:
                then(lease)
            else:
                lease.close()

        self._pending = acquired
        acquired.addCallback(got).addErrback(self._not_acquired)

    def _not_acquired(self, failure: Failure) -> None:
        self._pending = None
        if not failure.check(CancelledError):
            self._failed(failure)

    def _dispatch(self, lease: Lease) -> None:
        self._lease = lease
        reader = self._reader
        if reader.done:
            self.first = b""
            self.whole = True
        else:
            try:
                self.first = self._take_body()
            except Rejected as e:
                self._reject(e)
                return
            self.whole = reader.done
            self._progress = self.transport.bytes_in
        self._state = CALLING
        lease.call(self)
        if self._factory.has_clocks and self.whole and self._state is CALLING and self._response is None:
            self._start_clock("response_headers", self._factory.runtime.timeouts.response_headers)
        self._overhead = self._factory.seconds() - self._began
        if not self.whole and self.upstream is not None and self._state is CALLING:
            # from here on a slow upstream pauses the client
            self.upstream.transport.registerProducer(self.transport, True)
            if reader.buffered:
                self._pump()

    def _take_body(self) -> bytes:
        """What has come of the body, encoded for the upstream."""
        reader = self._reader
        data = reader.body()
        if self.request.framing != CHUNKED:  # type: ignore[union-attr]
            return data
        out = chunked.encode(data) if data else b""
        return out + chunked.encode_end(reader.trailers) if reader.done else out

    def _pump(self) -> None:
        """Pass on what has come of the body."""
        try:
            data = self._take_body()
        except Rejected as e:
            self._reject(e)
            return
        upstream = self.upstream
        if upstream is None:
            return
        if data:
            upstream.send(data)
        if self._reader.done:
            self.whole = True
            upstream.transport.unregisterProducer()
            if self._factory.has_clocks and self._response is None:
                self._start_clock("response_headers", self._factory.runtime.timeouts.response_headers)

    # the answer: Exchange

    def informational(self, response: Response) -> None:
        """1xx goes to whoever understands it."""
        if self.request.version == 11:  # type: ignore[union-attr]
            self.transport.write(encode_response(response))

    def respond(self, response: Response, body: bytes, done: bool, trailers: Headers) -> None:
        """The head, and what has come of the body, in one write."""
        request = self.request
        assert request is not None
        began = self._factory.seconds()
        self._response = response
        extra = b""
        framing = response.framing
        chunking = framing == CHUNKED
        if request.version == 11:
            if framing == UNTIL_CLOSE:
                extra = TRANSFER_CHUNKED
                chunking = True
        elif framing < 0:
            # HTTP/1.0 knows no chunks: the end of the connection is the end of the body
            self._close_after = True
            chunking = False
            response.headers = [field for field in response.headers if kinds[field[0]] != ENCODING]
        if not request.keep_alive or not self._reader.done or self._factory.draining or self._close_after:
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
        self._overhead += self._factory.seconds() - began
        if done:
            self._finish(response.status)
            return
        for clock in self._clocks[1:]:
            clock.active() and clock.cancel()
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
        self._response = response
        self.transport.write(encode_response(response) + rest)
        self._join(self.upstream.transport, response.status)

    def failed(self, failure: Failure) -> None:
        """The upstream will not answer, or not to the end."""
        self._failed(failure)

    # tunnels

    def _tunnel_acquired(self, lease: Lease) -> None:
        self._lease = lease
        self.transport.write(ESTABLISHED)
        self._become_tunnel(200)
        lease.call(Call(self.transport, self._reader.take_rest(), self._relaying, self._tunnel_ended))

    def _join(self, upstream: Stream, status: int) -> None:
        self._become_tunnel(status)
        rest = self._reader.take_rest()
        if rest:
            upstream.write(rest)
        self._relaying(relay(self.transport, upstream, self._tunnel_ended))

    def _become_tunnel(self, status: int) -> None:
        self._state = TUNNEL
        self._stop_clocks()
        self._count(status)

    def _relaying(self, joined: Relay) -> None:
        self._relay = joined

    def _tunnel_ended(self) -> None:
        self.connectionLost()
        self._log(self._response.status if self._response is not None else 200)

    # the end of an exchange

    def _finish(self, status: int) -> None:
        """The answer is complete."""
        self._record(status)
        transport = self.transport
        if transport.producer is not None:
            transport.unregisterProducer()
        complete = self._reader.done
        self._release()
        if self._close_after or not complete:
            self._last(not complete)
            return
        self._state = IDLE
        self._since = self._factory.now
        if self._reader.buffered or self._eof:
            transport.resumeProducing()
            self._advance()

    def _failed(self, failure: Failure) -> None:
        """Turn C{failure} into an answer, or an abrupt end where the answer has begun."""
        if self._state is not ACQUIRING and self._state is not CALLING:
            return
        runtime = self._factory.runtime
        verdict = judge(failure)
        self._flags = verdict.flags
        self._factory.faults.error(verdict.reason)
        if verdict is BUG:
            runtime.crashed(self._factory.name, failure)
        else:
            self._warn(f"http-{verdict.reason}", explain(failure.value))
        if self._response is not None:
            # never a clean end for half an answer
            self._record(self._response.status)
            self._state = CLOSED
            self.transport.abortConnection()
            self._release()
            return
        self._answer(verdict, failure.value)

    def _answer(self, verdict: Verdict, error: BaseException) -> None:
        request = self.request
        assert request is not None
        complete = self._reader.done
        close = not verdict.keep or not complete or not request.keep_alive or self._factory.draining
        waited = self._factory.seconds() - self._began
        self.transport.write(answer(verdict, error, waited, request, self._may_tell(), close))
        self._record(verdict.status)
        self._release()
        if close:
            self._last(not complete)
            return
        self._state = IDLE
        self._since = self._factory.now
        if self._reader.buffered:
            self.transport.resumeProducing()
            self._advance()

    def _reject(self, rejected: Rejected) -> None:
        """Bad input: say so, and be done with the client. The upstream sees none of it, or an abort."""
        factory = self._factory
        factory.faults.reject(rejected.reason)
        self._warn(f"http-rejected-{rejected.reason}", str(rejected.what()))
        self._flags = "IH"
        busy = self._state is CALLING or self._state is ACQUIRING
        if self._response is not None and busy:
            self._record(self._response.status)
            self._state = CLOSED
            self.transport.abortConnection()
            self._release()
            return
        self.transport.write(refusal(rejected))
        if busy:
            self._record(rejected.status)
        else:
            self.request = None
            self._log(rejected.status)
        self._release()
        self._last(True)

    def _last(self, more_may_come: bool) -> None:
        """End the connection, once the client has the answer."""
        if more_may_come and not self._eof and not self.transport.disconnected:
            # closing with bytes unread sends a reset, which may overtake the answer
            self._state = LINGERING
            self._since = self._factory.now
            self._reader.take_rest()
            self.transport.loseWriteConnection()
            self.transport.resumeProducing()
        else:
            self._state = CLOSED
            self.transport.loseConnection()

    def _release(self) -> None:
        """Give back everything that the exchange held."""
        lease, self._lease = self._lease, None
        upstream, self.upstream = self.upstream, None
        if self._clocks:
            self._stop_clocks()
        if upstream is not None and not self.whole and upstream.transport.producer is not None:
            upstream.transport.unregisterProducer()
        if lease is not None:
            lease.close()

    # clocks

    def _start_clock(self, setting: str, seconds: float | None) -> None:
        if seconds is not None:
            error = CallTimedOut(self._route and self._route.target, setting, seconds)
            self._clocks.append(self._factory.runtime.reactor.callLater(seconds, self._failed, Failure(error)))

    def _stop_clocks(self) -> None:
        clocks, self._clocks = self._clocks, []
        for clock in clocks:
            if clock.active():
                clock.cancel()

    def tick(self, now: float) -> None:
        """Called by the factory's sweep, about once a second, with its C{now} in seconds: is anybody too slow?"""
        state = self._state
        timeouts = self._factory.runtime.timeouts
        waited = now - self._since
        if state is IDLE:
            if waited >= (min(GRACE, timeouts.client_idle) if self._factory.draining else timeouts.client_idle):
                self.transport.loseConnection()
        elif state is HEAD:
            if waited >= timeouts.header_read:
                self._reject(Rejected("", 408, "slow", f"the head took longer than {timeouts.header_read:g} s"))
        elif state is LINGERING:
            if waited >= LINGER:
                self.transport.abortConnection()
        elif state is CALLING:
            self._check_progress(now, waited)

    def _check_progress(self, now: float, waited: float) -> None:
        timeouts = self._factory.runtime.timeouts
        transport = self.transport
        # what the client is waited for: to take what we have for it, or to send what it announced
        if transport.buffered:
            moved, limit = transport.bytes_out, timeouts.write
        elif not self._reader.done and not self._upstream_full():
            moved, limit = transport.bytes_in, timeouts.body
        else:
            self._since = now
            return
        if moved != self._progress:
            self._progress = moved
            self._since = now
        elif limit is not None and waited >= limit:
            self._flags = "SL"
            if transport.buffered or self._response is not None:
                self._factory.faults.reject("slow")
                self.transport.abortConnection()
            else:
                self._reject(Rejected("", 408, "slow", f"no byte of the body for {limit:g} s"))

    def _upstream_full(self) -> bool:
        return self.upstream is not None and self.upstream.transport.buffered > 0

    # what is said about it

    def _may_tell(self) -> bool:
        """Whether the client is the application next door, or as good as that."""
        return self._factory.runtime.direction == "outbound" or self.transport.peer_address[0] in ("127.0.0.1", "::1")

    def _warn(self, kind: str, text: str) -> None:
        runtime = self._factory.runtime
        runtime.warn(kind, f"listener {runtime.listen.name}: client {self.transport.peer_address[0]}: {text}")

    def _record(self, status: int) -> None:
        """Count the exchange and log it."""
        self._count(status)
        self._log(status)

    def _count(self, status: int) -> None:
        route = self._route
        if route is None or not status:
            return
        counter = route.counter
        counter.responses[status] = counter.responses.get(status, 0) + 1
        counter.latency.observe((self._factory.seconds() - self._began) * 1000.0)
        counter.overhead.observe(self._overhead)

    def _log(self, status: int) -> None:
        access = self._factory.runtime.access
        if access is None:
            return
        request = self.request
        row: dict[str, Any] = {
            "kind": "request",
            "listener": self._factory.runtime.listen.name,
            "client": join_host_port(*self.transport.peer_address),
            "method": _text(request.method) if request is not None else None,
            "authority": _text(request.authority) if request is not None else None,
            "path": _text(request.target) if request is not None else None,
            "status": status,
            "upstream": self.upstream.address if self.upstream is not None else None,
            "seconds": round(self._factory.seconds() - self._began, 6) if request is not None else None,
            "flags": self._flags,
        }
        access(row)

    # Session

    def drain(self) -> None:
        """Answer what is under way, and a request that is on its way, then close."""
        if self._state is IDLE:
            self._since = self._factory.now

    def abort(self) -> None:
        """End now."""
        self._flags = "SD"
        if self._relay is not None:
            self._relay.abort()
        else:
            self.transport.abortConnection()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        stream = self.transport
        busy = self._state in (ACQUIRING, CALLING, TUNNEL)
        return {
            "listener": self._factory.runtime.listen.name,
            "protocol": self._factory.name,
            "client": join_host_port(*stream.peer_address),
            "state": self._state.value,
            "target": str(self._route.target) if busy and self._route is not None else None,
            "request": f"{_text(self.request.method)} {_text(self.request.target)}" if busy and self.request else None,
            "upstream": self.upstream.address if self.upstream is not None else None,
            "requests": self._requests,
            "bytes_in": stream.bytes_in,
            "bytes_out": stream.bytes_out,
        }


def _text(raw: bytes) -> str:
    """Bytes of a peer, as text that is one line wherever it is shown."""
    return raw.decode("ascii", "backslashreplace")
