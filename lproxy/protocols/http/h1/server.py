# -*- test-case-name: tests.protocols.http.h1.test_server -*-
"""
HTTP/1 towards a client: its requests in order, one exchange at a time, and its connection's life between them.

Pipelined requests wait unread in the reader, which is given no more than C{limits.buffer} ahead. Those that we answer
ourselves give way to other connections after a few.

Over 300 lines: a connection is one run of states, and is read as one.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall

from lproxy.api import Accepted, Conn, Reader, Relay, Stream
from lproxy.protocols.http.client import Client
from lproxy.protocols.http.exchange import Exchange
from lproxy.protocols.http.h1.chunked import encode_piece
from lproxy.protocols.http.h1.encode import encode_interim, encode_response
from lproxy.protocols.http.h1.life import (
    BUSY,
    CLOSED,
    FULL,
    HEAD,
    IDLE,
    LINGERING,
    NAMES,
    TUNNEL,
    YIELDING,
)
from lproxy.protocols.http.h1.read import RequestReader
from lproxy.protocols.http.listener import Listener
from lproxy.protocols.http.message import (
    NO_TRAILERS,
    Headers,
    Rejected,
    Response,
    find,
)
from lproxy.protocols.http.own import Own
from lproxy.protocols.http.patience import TURN, Patience
from lproxy.protocols.http.phase import ACQUIRING
from lproxy.protocols.http.record import shown
from lproxy.protocols.http.rescue import refusal
from lproxy.protocols.http.timeouts import BodyNotTaken, TooSlow


class Http1Server(Client, Reader):
    """
    One accepted connection: the L{Session<lproxy.api.Session>}, the stream's
    L{Reader<lproxy.transport.stream.Reader>}, and the L{Client<lproxy.protocols.http.client.Client>} of its
    exchanges.

    @ivar own: upstream connections that nobody else gets
    @ivar _credit: how much of the request's body is welcome
    @ivar _begun: whether the client's body may be waited for: C{Expect: 100-continue} puts that off
    @ivar _blocked: whether the client does not take what was sent
    @ivar _reading: whether it is read
    @ivar _eof: whether the client has said all it will
    @ivar _last: whether the connection ends with the answer under way
    @ivar _tunnel_in: bytes that were read before it became a tunnel, and C{_tunnel_out}: that were written
    """

    __slots__ = (
        "_accepted",
        "_advancing",
        "_begun",
        "_blocked",
        "_chunking",
        "_credit",
        "_eof",
        "_exchange",
        "_last",
        "_listener",
        "_patience",
        "_reader",
        "_reading",
        "_relay",
        "_requests",
        "_state",
        "_stream",
        "_tunnel_in",
        "_tunnel_out",
        "_turn",
        "conn",
    )

    def __init__(self, listener: Listener, accepted: Accepted) -> None:
        stream: Stream = accepted.stream
        self._listener = listener
        self._accepted: Accepted | None = accepted
        self._stream = stream
        self.conn: Conn = stream.conn
        self._reader = RequestReader(listener.runtime.limits)
        self._exchange: Exchange | None = None
        self._relay: Relay | None = None
        self.own: Own | None = None
        self._patience = Patience()
        self._turn: IDelayedCall | None = None
        self._state = IDLE
        self._requests = 0
        self._tunnel_in = 0
        self._tunnel_out = 0
        self._credit = 0
        self._begun = True
        self._blocked = False
        self._reading = True
        self._eof = False
        self._last = False
        self._chunking = False
        self._advancing = False

    def __repr__(self) -> str:
        return f"<Http1Server {self._name()} {self._exchange!r}>"

    # Session

    def start(self) -> None:
        """Read it."""
        listener, stream, accepted = self._listener, self._stream, self._accepted
        assert accepted is not None
        self._accepted = None
        self._patience.since = listener.seconds()
        listener.clients[self] = None
        stream.high_water = listener.runtime.limits.buffer
        stream.attach(self, accepted.prefix, accepted.eof)
        if self._state == HEAD and accepted.since:
            # what was heard in detection counts
            self._patience.since = accepted.since
        if self._reading:
            stream.resume()

    def drain(self) -> None:
        """Answer what is under way, and a request that is on its way, then close."""
        if self._state == IDLE:
            self._patience.since = self._listener.seconds()

    def abort(self) -> None:
        """End now."""
        if self._exchange is not None:
            self._exchange.flags = "SD"
        if self._relay is not None:
            self._relay.abort()
        else:
            self._stream.abort()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        exchange, stream = self._exchange, self._stream
        row = self._listener.record.row(self.conn, self._name())
        row |= shown(exchange, self._listener.seconds())
        row["requests"] = self._requests
        row["bytes_in"] = stream.bytes_in
        row["bytes_out"] = stream.bytes_out
        return row

    def _name(self) -> str:
        exchange = self._exchange
        if self._state == BUSY and exchange is not None and exchange.state == ACQUIRING:
            return "acquiring"
        return NAMES[self._state]

    # Reader: what the client says

    def data_received(self, data: bytes) -> None:
        """Heads, bodies, or what is to be kept for later."""
        state = self._state
        if state >= LINGERING:
            return
        reader = self._reader
        reader.feed(data)
        if state <= HEAD:
            self._advance()
        elif self._credit > 0 and not reader.done:
            self._pump()
        elif reader.buffered > self._stream.high_water:
            self._pause()

    def eof_received(self) -> None:
        """The client will say no more, or is gone: what it asked is still answered, for a while."""
        self._eof = True
        state = self._state
        if state <= HEAD or state == LINGERING:
            self._close()
        elif self._credit > 0 and not self._reader.done:
            # half a request
            self._stream.abort()
        else:
            # not to miss a reset
            self._pause()
            runtime = self._listener.runtime
            self._patience.leave(runtime.clock, runtime.timeouts.half_closed, self._left)

    def _left(self) -> None:
        """It has had its time, and nobody may be there to be answered."""
        if self._exchange is not None:
            self._exchange.flags = "DC"
        self._stream.abort()

    def connection_lost(self) -> None:
        """The client is gone: so is everything that was under way for it."""
        self._state = CLOSED
        listener = self._listener
        listener.clients.pop(self, None)
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.cancel()
        exchange, self._exchange = self._exchange, None
        try:
            self._reader.close()
            self._patience.stay()
            if exchange is not None:
                exchange.cancel()
        finally:
            if self.own is not None:
                self.own.close()
            # last: who waits for us may close what was used here
            listener.runtime.sessions.remove(self)

    def pause_writing(self) -> None:
        """The client does not take what was sent."""
        self._blocked = True

    def resume_writing(self) -> None:
        """It has."""
        self._blocked = False
        if self._state == FULL:
            self._state = IDLE
            self._go_on()
        elif self._exchange is not None:
            self._exchange.taken(self._stream.high_water)

    # the next request

    def _advance(self) -> None:
        """
        Begin requests as long as there are any and each is done at once.

        A loop, not a recursion: thousands may be pipelined and answered by ourselves.
        """
        if self._advancing:
            return
        self._advancing = True
        begun = 0
        try:
            while self._state <= HEAD:
                if begun == TURN:
                    self._state = YIELDING
                    self._turn = self._listener.runtime.clock.callLater(0, self._take_turn)
                    break
                try:
                    request = self._reader.head()
                except Rejected as e:
                    self._refuse(e)
                    break
                if request is None:
                    if self._eof:
                        self._close()
                    elif self._reader.buffered and self._state == IDLE:
                        self._state = HEAD
                        self._patience.since = self._listener.seconds()
                    break
                begun += 1
                self._requests += 1
                self._state = BUSY
                self._credit = 0
                whole = self._begun = self._reader.done
                exchange = self._exchange = Exchange(self._listener, self, request, whole)
                exchange.start()
        finally:
            self._advancing = False

    def _go_on(self) -> None:
        """The last request is behind us: the next may have been read already, or the reading paused meanwhile."""
        try:
            if self._reader.buffered <= self._stream.high_water:
                self._resume()
            self._advance()
        except BaseException as e:
            # called for whoever brought the answer, whose connection this is not
            self._listener.record.crashed(e)
            self._stream.abort()

    def _take_turn(self) -> None:
        self._turn = None
        self._state = IDLE
        self._go_on()

    def _refuse(self, rejected: Rejected) -> None:
        """No request came of what was read: say so, and be done with the client."""
        record = self._listener.record
        record.rejected(rejected, self.conn)
        head, body = refusal(rejected)
        self._stream.write(encode_response(head, 11, True) + body)
        record.log_refused(self.conn, head.status, rejected.flag, len(body))
        self._end(True)

    # the request's body

    def credit(self, n: int) -> None:
        """The body may go on."""
        self._credit = n
        reader = self._reader
        if reader.done or self._state != BUSY:
            return
        # from now on the client is waited for
        self._patience.wait(self._listener.seconds(), self._stream.bytes_in)
        self._resume()
        if reader.buffered:
            self._pump()
        if self._eof and not reader.done:
            # half a request: whatever the upstream makes of it, nobody waits for that
            self._stream.abort()

    def _pump(self) -> None:
        """Pass on what has come of the body."""
        reader, exchange = self._reader, self._exchange
        assert exchange is not None
        try:
            data = reader.body()
        except Rejected as e:
            exchange.reset(e)
            return
        done = reader.done
        if data or done:
            self._begun = True
            self._credit = exchange.upload(data, done, reader.trailers if done else NO_TRAILERS)
        if self._credit <= 0 and not done:
            self._pause()

    # the answer: Client

    def informational(self, head: Response) -> None:
        """1xx goes to whoever understands it."""
        self._begun = True
        if self._reader.version == 11:
            self._stream.write(encode_interim(head))

    def respond(self, head: Response, body: bytes, end: bool, trailers: Headers) -> int:
        """The head, and what has come of the body, in one write."""
        reader = self._reader
        version, unknown = reader.version, head.framing < 0
        last = self._last = (
            not reader.keep_alive
            or not reader.done
            or self._last
            or head.last
            or self._listener.draining
            or (unknown and version == 10)
        )
        data = encode_response(head, version, last)
        if unknown and version == 11:
            self._chunking = True
            data += encode_piece(body, end, trailers)
        else:
            self._chunking = False
            if body:
                data += body
        self._stream.write(data)
        return 0 if end else self._room()

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """More of the body."""
        if self._chunking:
            raw = encode_piece(raw, end, trailers)
        if raw:
            self._stream.write(raw)
        return 0 if end else self._room()

    def tunnel(self, head: Response, stream: Stream, rest: bytes) -> None:
        """Both sides speak something else from now on."""
        self._state = TUNNEL
        self._patience.stay()
        self._stream.write(encode_interim(head) + rest)
        relay = self._relay = Relay(self._stream, self._tunnel_ended, self._listener.runtime.limits.buffer)
        said = self._reader.take_rest()
        # what was read and written before is none of the tunnel's
        self._tunnel_in = self._stream.bytes_in - len(said)
        self._tunnel_out = self._stream.bytes_out + self._stream.buffered - len(rest)
        relay.start(said, self._eof)
        relay.join(stream)

    def reset(self, error: BaseException) -> None:
        """Never a clean end for half an answer."""
        self._stream.abort()

    def sending(self) -> bool:
        """Whether the rest of its body is about to come."""
        exchange = self._exchange
        return self._begun or exchange is None or find(exchange.request.headers, b"expect") is None

    def complete(self) -> None:
        """It is answered and counted: is there another?"""
        exchange, self._exchange = self._exchange, None
        reader = self._reader
        if self._last or not reader.done or (self._eof and not reader.buffered):
            self._end(False)
            return
        self._state = IDLE
        if exchange is not None:
            self._patience.since = exchange.ended
        if self._blocked:
            self._state = FULL
        elif reader.buffered or not self._reading:
            self._go_on()

    def _room(self) -> int:
        stream = self._stream
        return 0 if self._blocked else max(1, stream.high_water - stream.buffered)

    def _tunnel_ended(self) -> None:
        exchange, self._exchange = self._exchange, None
        self._relay = None
        try:
            if exchange is not None:
                stream = self._stream
                sent = max(0, stream.bytes_out - self._tunnel_out)
                exchange.tunnelled(stream.bytes_in - self._tunnel_in, sent)
        finally:
            self.connection_lost()

    # the end of the connection

    def _end(self, refused: bool) -> None:
        """
        End the connection, once the client has the answer.

        @param refused: whether that was to no request at all
        """
        reader = self._reader
        expected = refused or not reader.done or reader.buffered > 0
        if self._eof or not (expected or reader.keep_alive):
            self._close()
        else:
            # there is more to come, or may be, and closing with bytes unread sends a reset: it may overtake the answer
            self._state = LINGERING
            self._patience.linger(self._listener.seconds(), self._stream.bytes_in, expected)
            reader.take_rest()
            self._stream.end()
            self._resume()

    def _close(self) -> None:
        self._state = CLOSED
        self._patience.stay()
        self._stream.close()

    def _pause(self) -> None:
        self._reading = False
        self._stream.pause()

    def _resume(self) -> None:
        if not self._reading and not self._eof:
            self._reading = True
            self._stream.resume()

    # what clients are given time for: looked at by one sweep over all of them, so that none of them needs a timer

    def tick(self, now: float) -> None:
        """Called by the sweep: is the client too slow?"""
        state = self._state
        if state == TUNNEL:
            return
        timeouts = self._listener.runtime.timeouts
        stream, patience = self._stream, self._patience
        if stream.buffered:
            # whatever state it is in: what we have for it stays in memory until it is taken
            if patience.stalled(now, stream.delivered(), timeouts.write):
                if self._exchange is not None:
                    self._exchange.flags = "SL"
                self._listener.record.does_not_read(timeouts.write, self.conn)
                stream.abort()
        elif state == BUSY:
            exchange = self._exchange
            if exchange is not None:
                self._watch_body(now, exchange, timeouts.body)
        elif state == IDLE:
            if now - patience.since >= self._listener.idle() and stream.silent():
                # no request is waiting to be read at this very moment
                self._close()
        elif state == HEAD:
            if now - patience.since >= timeouts.header_read:
                self._refuse(TooSlow(f"the head took longer than {timeouts.header_read:g} s"))
        elif state == LINGERING and patience.lingered(now, stream.bytes_in):
            # not abruptly: the kernel may still have some of the answer to send
            self._close()

    def _watch_body(self, now: float, exchange: Exchange, limit: float | None) -> None:
        """Does the request's body make progress, on whichever side it has to?"""
        patience = self._patience
        waiting = not self._reader.done and self._credit > 0 and self.sending()
        if not waiting and not exchange.owed():
            patience.since = now
        elif patience.stalled(now, self._stream.bytes_in + exchange.delivered(), limit) and limit is not None:
            if waiting:
                exchange.reset(TooSlow(f"no byte of the body for {limit:g} s"))
            else:
                exchange.reset(BodyNotTaken(exchange.destination and exchange.destination.target, limit))
