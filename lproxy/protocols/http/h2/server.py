# -*- test-case-name: tests.protocols.http.h2.test_server -*-
"""
HTTP/2 towards a client (RFC 9113): a connection, whose streams are requests.

What one read has brought is dealt with, and what that causes is written, at once for each connection. Requests that
cost us and nobody else, as we answer them ourselves or the client takes them back, give way to other connections after
a few.

A connection that is to end says so twice: that no more streams are wanted, and, when what was on its way then has
come, which was the last; it closes when that is answered.

Over 300 lines: a connection is one run of states, and is read as one.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall

from lproxy.api import Accepted, Reader, Stream
from lproxy.config import Http2Engine
from lproxy.protocols.http.exchange import Exchange
from lproxy.protocols.http.h2.counts import PEER, US
from lproxy.protocols.http.h2.engine import Handler, Head
from lproxy.protocols.http.h2.engines import make_engine
from lproxy.protocols.http.h2.faults import NO_ERROR, REFUSED_STREAM, TOO_LARGE, ConnectionFault
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.h2.link import Link
from lproxy.protocols.http.h2.requests import make_request
from lproxy.protocols.http.h2.stream import Home, ServerStream
from lproxy.protocols.http.listener import Listener
from lproxy.protocols.http.message import NO_TRAILERS, Headers, Rejected, trailer_fields
from lproxy.protocols.http.own import Own
from lproxy.protocols.http.patience import TURN, Patience
from lproxy.protocols.http.record import shown
from lproxy.protocols.http.timeouts import TooSlow
from lproxy.transport.writes import WRITES

# where the connection is in its life
OPEN: Final = 0
#: the client knows that it is to open no more streams, and may have done so meanwhile
ANNOUNCED: Final = 1
#: it knows which was the last
RETIRED: Final = 2
#: it was told all: what comes is read and dropped
LINGERING: Final = 3
CLOSED: Final = 4

NAMES: Final = ("open", "draining", "draining", "linger", "closed")
#: asks whether the client has heard that it is to open no more streams
DRAIN: Final = b"lp-drain"
#: seconds for its answer
ROUND_TRIP: Final = 1.0


class Http2Server(Handler, Reader, Home):
    """
    One accepted connection: the L{Session<lproxy.api.Session>}, the stream's
    L{Reader<lproxy.transport.stream.Reader>}, the engine's
    L{Handler<lproxy.protocols.http.h2.engine.Handler>}, and the L{Home} of its streams.

    @ivar _arrived: streams that something has come for, which is not dealt with yet
    @ivar _costly: requests of the current turn that nobody but we had to do with
    @ivar _events: what has come and was whole
    @ivar _meshed: whether the client is another proxy, whose identity was verified
    @ivar _unfinished: since when, in seconds, something is not; 0: all is
    """

    __slots__ = (
        "_accepted",
        "_arrived",
        "_costly",
        "_engine",
        "_eof",
        "_events",
        "_meshed",
        "_patience",
        "_requests",
        "_since",
        "_state",
        "_stream",
        "_streams",
        "_turn",
        "_unfinished",
    )

    def __init__(self, listener: Listener, accepted: Accepted, kind: Http2Engine, limits: Limits) -> None:
        stream: Stream = accepted.stream
        self.listener = listener
        self.conn = stream.conn
        self.own = Own()
        self.counts = listener.http2
        self._accepted: Accepted | None = accepted
        self._stream = stream
        self._engine = make_engine(kind, False, self, limits, listener.seconds)
        self.link = Link(self._engine, stream, self.counts)
        self._streams: dict[int, ServerStream] = {}
        self._arrived: list[ServerStream] = []
        self._patience = Patience()
        self._turn: IDelayedCall | None = None
        self._state = OPEN
        self._since = 0.0
        self._unfinished = 0.0
        self._events = 0
        self._costly = 0
        self._requests = 0
        self._eof = False
        self._meshed = self.conn.tls is not None and self.conn.tls.remote_identity != ""

    def __repr__(self) -> str:
        return f"<Http2Server {NAMES[self._state]} {len(self._streams)} streams>"

    # Session

    def start(self) -> None:
        """Read it."""
        listener, stream, accepted = self.listener, self._stream, self._accepted
        assert accepted is not None
        self._accepted = None
        now = listener.seconds()
        self._patience.since = now
        # what was heard in detection counts
        self._unfinished = accepted.since or now
        listener.clients[self] = None
        self.counts.open += 1
        self.counts.connections += 1
        stream.high_water = listener.runtime.limits.buffer
        stream.attach(self, accepted.prefix, accepted.eof)
        self.link.touch()
        if self._turn is None:
            stream.resume()

    def drain(self) -> None:
        """Answer what is under way, and what is on its way, then close."""
        if self._state == OPEN:
            self._state = ANNOUNCED
            self._since = self.listener.seconds()
            self._engine.announce()
            self._engine.ping(DRAIN)
            self.link.touch()

    def abort(self) -> None:
        """End now."""
        for stream in self._streams.values():
            if stream.exchange is not None:
                stream.exchange.flags = "SD"
        self._stream.abort()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        engine, stream = self._engine, self._stream
        row = self.listener.record.row(self.conn, "idle" if not (self._streams or self._state) else NAMES[self._state])
        first = next(iter(self._streams.values()), None)
        exchange = first.exchange if first is not None else None
        row |= shown(exchange, self.listener.seconds())
        row["version"] = "HTTP/2"
        row["requests"] = self._requests
        row["bytes_in"] = stream.bytes_in
        row["bytes_out"] = stream.bytes_out
        row["send_window"] = engine.credit(0)
        row["streams"] = [one.describe() for one in self._streams.values()]
        return row

    # Reader

    def data_received(self, data: bytes) -> None:
        """Frames, or parts of such."""
        if self._state >= LINGERING:
            return
        events = self._events
        if self._turn is None:
            self._costly = 0
        WRITES.begin()
        try:
            self.link.touch()
            self._engine.receive(data)
            self._deal()
        except ConnectionFault as fault:
            self._fail(fault)
        finally:
            WRITES.end()
        if self._engine.settled and not self._engine.unfinished():
            self._unfinished = 0.0
        elif not self._unfinished or events != self._events:
            self._unfinished = self.listener.seconds()
        if self._costly >= TURN and self._turn is None and self._state < LINGERING:
            self._stream.pause()
            self._turn = self.listener.runtime.clock.callLater(0, self._take_turn)

    def _deal(self) -> None:
        """
        With what has come on each stream, now that all of it is there: a request goes on with what came of its body.
        """
        while self._arrived:
            arrived, self._arrived = self._arrived, []
            for at, stream in enumerate(arrived):
                stream.deal()
                if stream.id not in self._streams:
                    self._costly += 1
                if self._costly >= TURN and at + 1 < len(arrived):
                    self._arrived = arrived[at + 1 :]
                    return

    def _take_turn(self) -> None:
        """The others had theirs."""
        self._turn = None
        self._costly = 0
        try:
            if not self._eof:
                self._stream.resume()
            self.data_received(b"")
        except BaseException as e:
            self.listener.record.crashed(e)
            self._stream.abort()

    def eof_received(self) -> None:
        """The client will say no more, or is gone: what it asked is still answered, for a while."""
        self._eof = True
        if not self._streams or self._state >= LINGERING:
            self._close()
        else:
            # not to miss a reset
            self._stream.pause()
            runtime = self.listener.runtime
            self._patience.leave(runtime.clock, runtime.timeouts.half_closed, self._left)

    def _left(self) -> None:
        """It has had its time, and nobody may be there to be answered."""
        for stream in self._streams.values():
            if stream.exchange is not None:
                stream.exchange.flags = "DC"
        self._stream.abort()

    def connection_lost(self) -> None:
        """The client is gone: so is everything that was under way for it."""
        self._state = CLOSED
        listener = self.listener
        listener.clients.pop(self, None)
        self.counts.open -= 1
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.cancel()
        self.link.close()
        self._arrived = []
        try:
            self._patience.stay()
            self._give_up("DC")
        finally:
            self.own.close()
            self._engine.leave()
            # last: who waits for us may close what was used here
            listener.runtime.sessions.remove(self)

    def pause_writing(self) -> None:
        """The client does not take what was sent."""
        self.link.block()

    def resume_writing(self) -> None:
        """It has."""
        WRITES.begin()
        try:
            self.link.unblock()
        finally:
            WRITES.end()
        self._ended()

    # Handler: what the frames say

    def headers(self, stream_id: int, head: Head, end: bool) -> None:
        """A request."""
        self._events += 1
        self._requests += 1
        self.counts.streams += 1
        listener = self.listener
        stream = ServerStream(self, stream_id, end)
        self._streams[stream_id] = stream
        limit = listener.runtime.limits.request_line
        if len(head.path) > limit:
            self._refuse(stream, Rejected("", 414, TOO_LARGE, f"the path is longer than {limit} bytes"))
            return
        request = make_request(stream_id, head, end, self._meshed)
        stream.exchange = Exchange(listener, stream, request, end or request.method == b"CONNECT")
        self._arrives(stream)
        if self._engine.retiring:
            # the ids come to their end
            self.drain()

    def data(self, stream_id: int, data: bytes, end: bool) -> None:
        """More of its body."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.data_received(data, end, NO_TRAILERS)
            if not stream.arrived:
                self._arrives(stream)

    def trailers(self, stream_id: int, fields: Headers) -> None:
        """Its end."""
        self._events += 1
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.data_received(b"", True, trailer_fields(fields))
            if not stream.arrived:
                self._arrives(stream)

    def oversized(self, stream_id: int, end: bool) -> None:
        """A request whose fields are too many, or too large."""
        self._events += 1
        limits = self.listener.runtime.limits
        stream = self._streams[stream_id] = ServerStream(self, stream_id, end)
        detail = f"more fields than {limits.header_count}, or larger than {limits.headers} bytes together"
        self._refuse(stream, Rejected("", 431, TOO_LARGE, detail))

    def stream_reset(self, stream_id: int, code: int) -> None:
        """The client has given a stream up."""
        self.counts.reset(PEER, code)
        self._cost()
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.gone("DC")
            self._ended()

    def refused(self, stream_id: int, code: int, reason: str, detail: str) -> None:
        """A stream broke a rule."""
        self._events += 1
        self.counts.reset(US, code)
        self._cost()
        stream = self._streams.pop(stream_id, None)
        if code != REFUSED_STREAM:
            record = self.listener.record
            record.rejected(Rejected("", 400, reason, detail), self.conn)
            if stream is None:
                record.log_refused(self.conn, 0, "IH")
        if stream is not None:
            stream.gone("IH")
            self._ended()

    def window(self, stream_id: int) -> None:
        """There is credit."""
        self.link.credited(stream_id)

    def settings(self) -> None:
        """Nothing that we send depends on them, but what the engine sees to."""

    def ping_acked(self, payload: bytes) -> None:
        """The client has heard us."""
        if payload == DRAIN and self._state == ANNOUNCED:
            self._retire()

    def goaway(self, last_id: int, code: int, debug: bytes) -> None:
        """The client opens no more streams."""
        self.counts.goaway(PEER, code)
        if self._state < RETIRED:
            self._retire()

    def _arrives(self, stream: ServerStream) -> None:
        """Something has come for it."""
        stream.arrived = True
        self._arrived.append(stream)

    def _refuse(self, stream: ServerStream, rejected: Rejected) -> None:
        """What came on a stream is no request that goes on."""
        record = self.listener.record
        record.rejected(rejected, self.conn)
        self._cost()
        size = stream.refuse(rejected)
        record.log_refused(self.conn, rejected.status, rejected.flag, size)

    def _cost(self) -> None:
        """A request that only we had to do with: others have their turn after some."""
        self._costly += 1
        if self._costly >= TURN:
            self._engine.hold()

    # the end of streams, and of the connection

    def over(self, stream: ServerStream) -> None:
        """A stream is."""
        if self._streams.pop(stream.id, None) is not None and not self._streams:
            self._patience.since = self.listener.seconds()
            self._ended()

    def _ended(self) -> None:
        """Is that all?"""
        if self._streams or self.link.blocked:
            return
        if self._eof:
            self._close()
        elif self._state == RETIRED:
            self._part(False)

    def _retire(self) -> None:
        """What was on its way when we said that we would go has come."""
        self._state = RETIRED
        self.counts.goaway(US, NO_ERROR)
        self._engine.goaway(NO_ERROR)
        self.link.touch()
        self._ended()

    def _fail(self, fault: ConnectionFault) -> None:
        """The connection cannot go on."""
        record = self.listener.record
        record.rejected(fault, self.conn)
        record.log_refused(self.conn, 0, fault.flag)
        self.counts.goaway(US, fault.code)
        self._give_up("IH")
        self._part(True)

    def _part(self, expected: bool) -> None:
        """
        All is said: once the client has it, end the connection.

        @param expected: whether more is to come from it
        """
        self._state = LINGERING
        if self.link.blocked:
            # it reads nothing, and so not that either
            self._stream.abort()
            return
        # closing with bytes unread sends a reset, which may overtake what was said last
        self._patience.linger(self.listener.seconds(), self._stream.bytes_in, expected)
        self.link.flush()
        self._stream.end()

    def _close(self) -> None:
        self._state = LINGERING
        self._patience.stay()
        self.link.flush()
        self._stream.close()

    def _give_up(self, flags: str) -> None:
        """All that is under way."""
        while self._streams:
            stream = self._streams.popitem()[1]
            try:
                stream.gone(flags)
            except BaseException as e:
                self.listener.record.crashed(e)

    # what clients are given time for

    def tick(self, now: float) -> None:
        """Called by the sweep: is the client too slow?"""
        timeouts = self.listener.runtime.timeouts
        stream, patience, state = self._stream, self._patience, self._state
        if stream.buffered and patience.stalled(now, stream.delivered(), timeouts.write):
            for one in self._streams.values():
                if one.exchange is not None:
                    one.exchange.flags = "SL"
            self.listener.record.does_not_read(timeouts.write, self.conn)
            stream.abort()
        elif state >= LINGERING:
            if not stream.buffered and patience.lingered(now, stream.bytes_in):
                self._close()
        elif self._unfinished and now - self._unfinished >= timeouts.header_read:
            self._too_slow(timeouts.header_read)
        elif state == ANNOUNCED and now - self._since >= ROUND_TRIP:
            self._retire()
        elif not self._streams:
            if not stream.buffered:
                self._watch_idle(now)
        else:
            WRITES.begin()
            try:
                for one in list(self._streams.values()):
                    one.tick(now, timeouts.body, timeouts.write)
            finally:
                WRITES.end()

    def _watch_idle(self, now: float) -> None:
        """PING is no use of a connection: a client that only wants to keep it is told to come again."""
        if now - self._patience.since >= self.listener.idle() and self._stream.silent():
            self.drain()

    def _too_slow(self, seconds: float) -> None:
        slow = TooSlow(f"a head, or the preface, took longer than {seconds:g} s")
        self.listener.record.rejected(slow, self.conn)
        self.listener.record.log_refused(self.conn, 0, slow.flag)
        self._give_up(slow.flag)
        self.counts.goaway(US, NO_ERROR)
        self._engine.goaway(NO_ERROR, b"timeouts.header_read")
        self._part(True)
