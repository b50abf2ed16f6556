# -*- test-case-name: tests.protocols.http.h2.test_client -*-
"""
HTTP/2 towards an upstream: a connection that carries many exchanges at once.

Each of them is a L{Call<lproxy.protocols.http.h2.call.Call>}, and what one read has for it is told in one piece. A
connection is used only after the peer's SETTINGS, which are the first that a server says: so nothing is ever sent to
what turns out not to speak HTTP/2, and no more streams are opened than are allowed.

Over 300 lines: a connection's life and what each frame does to it are one state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from lproxy.api import Endpoint, ProxyError, Reader, Stream
from lproxy.protocols.http.h2.call import Call, Carrier
from lproxy.protocols.http.h2.counts import PEER, US, PeerCounts
from lproxy.protocols.http.h2.engine import Engine, Handler, Head
from lproxy.protocols.http.h2.faults import ENHANCE_YOUR_CALM, NO_ERROR, SETTINGS_TIMEOUT, ConnectionFault, code_name
from lproxy.protocols.http.h2.link import Link
from lproxy.protocols.http.message import NO_TRAILERS, Headers, Rejected, trailer_fields
from lproxy.protocols.http.standing import Standing
from lproxy.transport.writes import WRITES

#: what a server of gRPC says that wants to hear fewer PINGs (gRPC proposal A8)
TOO_MANY_PINGS: Final = b"too_many_pings"
#: what we send in a PING
PAYLOAD: Final = b"lproxy\0\0"


class NotHttp2(ProxyError):
    """What answers at an endpoint does not speak HTTP/2, as it was expected to. Nothing was sent to it."""

    layer = "connect"
    reason = "not_http2"
    flag = "UP"
    status = 502

    def __init__(self, target: Endpoint, detail: str) -> None:
        super().__init__(target)
        self.detail = detail

    def what(self) -> str:
        """What it did instead, and what to set where that is as it should be."""
        return f'does not speak HTTP/2: {self.detail} (protocol = "http1" for its service: it is spoken to in that)'


class Owner(Protocol):
    """Whose connection it is: a pool."""

    __slots__ = ("counts", "meshed", "seconds", "standing")

    #: where connections and streams are counted
    counts: PeerCounts
    #: whether another proxy is there, with an identity that is verified
    meshed: bool
    #: how the endpoint does
    standing: Standing
    #: the clock
    seconds: Callable[[], float]

    def settled(self, client: Http2Client) -> None:
        """It can be used; or takes another number of streams than before, perhaps none any more."""

    def lost(self, client: Http2Client, error: NotHttp2) -> None:
        """It has ended; C{error} says why, where it never could be used."""

    def released(self, client: Http2Client) -> None:
        """One of its calls has ended."""

    def calm(self) -> None:
        """The peer complains of PINGs."""


MakeEngine = Callable[[Handler], Engine]


class Http2Client(Carrier, Handler, Reader):
    """
    A connection: the stream's L{Reader<lproxy.transport.stream.Reader>} and the engine's
    L{Handler<lproxy.protocols.http.h2.engine.Handler>}.

    @ivar taken: streams that are open, or promised to somebody who has a lease
    @ivar since: seconds, when C{taken} fell to nothing last, or it was connected
    @ivar ready: whether the peer's SETTINGS have come
    @ivar retiring: whether it takes no more streams, and is closed once those have ended that there are
    @ivar ended: whether it is closed, by whatever side
    @ivar _heard: bytes that had been heard when it was last asked whether it lives, and C{_asked}: whether it was
    """

    __slots__ = ("_asked", "_heard", "_owner", "ended", "ready", "retiring", "since", "taken")

    def __init__(self, stream: Stream, endpoint: Endpoint, owner: Owner, make_engine: MakeEngine) -> None:
        self.stream = stream
        self._owner = owner
        self.counts: PeerCounts = owner.counts
        self.seconds: Callable[[], float] = owner.seconds
        self._heard = 0
        self._asked = False
        self.endpoint = endpoint
        self.address = str(endpoint)
        self.standing: Standing = owner.standing
        self.secure = stream.conn.tls is not None
        self.meshed = owner.meshed
        self.calls: dict[int, Call] = {}
        self.arrived: list[Call] = []
        self.limit = 0
        self.taken = 0
        self.since: float = self.seconds()
        self.ready = False
        self.retiring = False
        self.used = False
        self.ended = False
        self.engine: Engine = make_engine(self)
        self.link = Link(self.engine, stream, owner.counts)

    def __repr__(self) -> str:
        return f"<Http2Client to {self.address} taken={self.taken} limit={self.limit}>"

    def start(self) -> None:
        """Introduce ourselves, and read."""
        self.counts.open += 1
        self.counts.connections += 1
        self.stream.attach(self)
        self.link.flush()
        self.stream.resume()

    # the pool's

    def lease(self) -> Call:
        """The right to a stream, of which one is known to be free."""
        self.taken += 1
        return Call(self, self.seconds())

    def silent(self) -> bool:
        """Whether the peer has neither spoken nor hung up, as far as is known at this very moment."""
        return self.stream.silent()

    def retire(self) -> None:
        """Open no more streams; once those that there are have ended, it is closed."""
        if not self.retiring and not self.ended:
            self.retiring = True
            self.limit = 0
            self._owner.settled(self)

    def unsettled(self, detail: str) -> None:
        """It is not to be waited for any longer."""
        self._say_goodbye(SETTINGS_TIMEOUT)
        self._end("ETIMEDOUT", None, detail)

    def close(self, code: int = NO_ERROR) -> None:
        """Close it; nothing is under way."""
        if not self.ended:
            self._say_goodbye(code)
            self._end("")

    def check(self) -> None:
        """
        A period is over in which somebody may have waited for it: has it been heard? If not it is asked (PING), and if
        it has not been heard after that it is lost.
        """
        heard = self.stream.bytes_in
        if heard != self._heard or not self.calls:
            self._heard = heard
            self._asked = False
        elif not self._asked:
            self._asked = True
            self.engine.ping(PAYLOAD)
            self.link.touch()
        else:
            self._say_goodbye(NO_ERROR)
            self._end("does not answer PING (timeouts.h2_ping)")

    def released(self, call: Call) -> None:
        """A lease has ended."""
        self.taken -= 1
        if call.id:
            self.calls.pop(call.id, None)
            self.used = True
        if not self.taken:
            self.since = self.seconds()
        self._owner.released(self)

    def reset(self, call: Call, code: int) -> None:
        """Give up a stream that is open."""
        if self.calls.pop(call.id, None) is not None and not self.ended:
            self.engine.reset(call.id, code)
            self.counts.reset(US, code)
            self.link.touch()

    # the stream's Reader

    def data_received(self, data: bytes) -> None:
        """Frames, or parts of them."""
        WRITES.begin()
        try:
            self.engine.receive(data)
            self._tell()
            self.link.touch()
        except ConnectionFault as fault:
            self._broken(fault, data)
        finally:
            WRITES.end()

    def eof_received(self) -> None:
        """The peer says no more: whatever is still open is lost."""
        self._end("")

    def connection_lost(self) -> None:
        """It ended."""
        self._end(self.stream.errno)

    def pause_writing(self) -> None:
        """The peer does not take what was sent."""
        self.link.block()

    def resume_writing(self) -> None:
        """It has."""
        WRITES.begin()
        try:
            self.link.unblock()
        finally:
            WRITES.end()

    # the engine's Handler

    def headers(self, stream_id: int, head: Head, end: bool) -> None:
        """An answer begins."""
        call = self.calls.get(stream_id)
        if call is not None:
            call.headers(head, end)

    def data(self, stream_id: int, data: bytes, end: bool) -> None:
        """It goes on."""
        call = self.calls.get(stream_id)
        if call is not None:
            call.received(data, end)

    def trailers(self, stream_id: int, fields: Headers) -> None:
        """It ends."""
        call = self.calls.get(stream_id)
        if call is not None:
            call.tell(True, trailer_fields(fields))

    def oversized(self, stream_id: int, end: bool) -> None:
        """Never: clients open no streams to servers' requests."""

    def stream_reset(self, stream_id: int, code: int) -> None:
        """The upstream gives one up."""
        self.counts.reset(PEER, code)
        call = self.calls.pop(stream_id, None)
        if call is not None:
            call.was_reset(code)

    def refused(self, stream_id: int, code: int, reason: str, detail: str) -> None:
        """What came on a stream was no answer."""
        self.counts.reset(US, code)
        call = self.calls.pop(stream_id, None)
        if call is not None:
            call.malformed(Rejected("", 502, reason, detail))

    def window(self, stream_id: int) -> None:
        """There may be credit again."""
        self.link.credited(stream_id)

    def settings(self) -> None:
        """How many streams may be open, above all."""
        limit = self.engine.peer_streams
        if not self.retiring and (limit != self.limit or not self.ready):
            self.ready = True
            self.limit = limit
            self._owner.settled(self)

    def ping_acked(self, payload: bytes) -> None:
        """It lives, as every byte says."""

    def goaway(self, last_id: int, code: int, debug: bytes) -> None:
        """No more streams; those that were not looked at can be sent elsewhere."""
        self.counts.goaway(PEER, code)
        if code == ENHANCE_YOUR_CALM and debug.startswith(TOO_MANY_PINGS):
            self._owner.calm()
        self.retire()
        for stream_id, call in list(self.calls.items()):
            if stream_id > last_id and self.calls.pop(stream_id, None) is not None:
                call.unprocessed(f"said GOAWAY ({code_name(code)})")

    # the end of it

    def _tell(self) -> None:
        """Pass on what has come, of those that have not ended by it."""
        while self.arrived:
            arrived, self.arrived = self.arrived, []
            for call in arrived:
                call.tell(False, NO_TRAILERS)

    def _broken(self, fault: ConnectionFault, data: bytes) -> None:
        """The peer has broken the rules."""
        self.counts.goaway(US, fault.code)
        self._tell()
        if data.startswith(b"HTTP/1.") and not self.ready:
            fault.detail = "it answers in HTTP/1"
        self._say_goodbye(None)
        self._end("EPROTO", fault, fault.detail)

    def _say_goodbye(self, code: int | None) -> None:
        """
        Have the peer know that it ends, as far as it takes that.

        @param code: C{None}: GOAWAY is queued
        """
        if code is not None:
            self.engine.goaway(code)
            self.counts.goaway(US, code)
        self.link.flush()

    def _end(self, errno: str, fault: ConnectionFault | None = None, detail: str = "") -> None:
        """
        It is over, and so is what was open on it. Told once.

        @param errno: how; empty where it was an orderly end
        @param detail: why, where it was never ready
        """
        if self.ended:
            return
        self.ended = True
        self.limit = 0
        owner, stream = self._owner, self.stream
        self.counts.open -= 1
        self.link.close()
        self.engine.leave()
        if errno or fault is not None or stream.buffered:
            stream.abort()
        else:
            stream.close()
        # first: who is told may have another sent, and not here
        detail = detail or f"it ended the connection before its SETTINGS {errno}".rstrip()
        owner.lost(self, NotHttp2(self.endpoint, detail))
        calls, self.calls = self.calls, {}
        for call in calls.values():
            if fault is not None:
                call.malformed(Rejected("", 502, fault.reason, fault.detail))
            else:
                call.lost(errno)
