# -*- test-case-name: tests.protocols.http.h2.test_engine -*-
"""
The codec boundary of HTTP/2 (RFC 9113): bytes in, calls out; calls in, bytes out. No transport, no Deferred, no clock.

An L{Engine} is one end of one connection. A session feeds it what it reads, and is called back in the order of the
frames while it does: it is the engine's L{Handler}. What it sends it says by calls too, and fetches the bytes
afterwards with L{Engine.take}, once for all that one read has caused. There are two engines, which
C{h2.engines.make_engine(kind, client, handler, limits, seconds)} makes: C{h2.lane}, ours, and C{h2.reference}, the h2
library. Nobody else knows which one it has.

B{What an engine does by itself.} It sends preface and SETTINGS as soon as it is made; acknowledges SETTINGS and PING;
returns the connection's receive credit as bytes arrive, whatever becomes of them, so that it never leaks and that one
unread stream never starves another (what a session holds is bounded by the streams' windows); returns the credit of
padding; ignores what comes late for a stream that is over, its DATA counted against the connection and its fields
decoded, for HPACK is the connection's; refuses with REFUSED_STREAM what exceeds C{Limits.streams}; ignores PRIORITY and
unknown frames; applies its own SETTINGS from the moment they are acknowledged; joins the crumbs of C{cookie} that it
reads (RFC 9113, 8.2.3), and splits those that it sends.

B{What an engine has validated}, so that no session does so again. Of every field: a name in lower case that is a token,
a value without control characters (but tab) or blanks around it, no C{connection}, C{keep-alive}, C{proxy-connection},
C{transfer-encoding} or C{upgrade}, no C{te} but C{trailers}; C{content-length} once, of digits, and the DATA that come
are exactly as many, where the message can have a body; nothing follows END_STREAM. Of requests: C{:method}, C{:scheme}
and C{:path} once, before the others, nothing unknown among them; a method that is a token; http or https; a path
without blanks or 8-bit that begins with C{/}, or C{*} with OPTIONS; an authority that is host and port without
userinfo, from C{:authority} or from the one C{host} field, which is taken out: they must not differ. CONNECT has
C{:authority} with a port, and neither C{:scheme} nor C{:path}, but with C{:protocol} (RFC 8441), which is refused
unless C{Limits.connect_protocol} has announced it. Of answers: a C{:status} of three digits from 100 on, not 101; no
1xx that ends the stream; no body where the request or status allows none. Of trailers: no pseudo-fields, and the
stream ends with them. What breaks one of these resets its stream (L{Handler.refused}) and leaves the connection alive.

B{What a session still does}: the size of the path (414), hop-by-hop rules of C{l5d-*} and of forwarding fields,
C{max-forwards}, C{proxy-authorization}, which trailers are passed on (C{trailer_fields}); to send an answer's or
request's fields in lower case (C{h2.fields.lowered}) and without those of a connection.
"""

from __future__ import annotations

from typing import Final, Protocol

from lproxy.protocols.http.message import Headers

#: what a client begins with, RFC 9113, 3.4
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: the highest stream id, the largest window, and "no last stream yet" of a first GOAWAY
MAXIMUM: Final = 2**31 - 1
#: so many stream ids before the last, a connection is given up for a new one
SPARE_IDS: Final = 1000
#: streams that we open before the peer has said how many: as many as all should allow (RFC 9113, 6.5.2)
UNTOLD_STREAMS: Final = 100
#: of a message that does not say how long its body is
NO_LENGTH: Final = -1


class Head:
    """
    A header section that was read and is well-formed. It belongs to whoever is given it, its list included.

    @ivar method: of a request, else empty
    @ivar scheme: C{http} or C{https}; empty for CONNECT
    @ivar authority: host, and port if it was given; from C{:authority} or C{host}
    @ivar path: with its query; empty for CONNECT
    @ivar protocol: of an extended CONNECT, else empty
    @ivar status: of an answer, else 0
    @ivar fields: the others, in their order, without C{host}; fields that the peer asked never to be indexed are
        L{hpack.NeverIndexedHeaderTuple}s, which are tuples, and stay so when they are sent as they are
    @ivar length: the content-length that was given, or L{NO_LENGTH}
    @ivar seen: a bit, C{1 << kind}, for each kind of C{message.kinds} among the fields: mostly 0, nothing to be done
    """

    __slots__ = ("authority", "fields", "length", "method", "path", "protocol", "scheme", "seen", "status")

    def __init__(self) -> None:
        self.method = b""
        self.scheme = b""
        self.authority = b""
        self.path = b""
        self.protocol = b""
        self.status = 0
        self.fields: Headers = []
        self.length = NO_LENGTH
        self.seen = 0

    def copy(self) -> Head:
        """Another that says the same."""
        head = Head()
        head.method = self.method
        head.scheme = self.scheme
        head.authority = self.authority
        head.path = self.path
        head.protocol = self.protocol
        head.status = self.status
        head.fields = self.fields.copy()
        head.length = self.length
        head.seen = self.seen
        return head

    def __repr__(self) -> str:
        return f"<Head {self.status or self.method!r} {self.authority!r} {self.path!r}>"


class Handler(Protocol):
    """
    Who is told what a connection's peer says: a session.

    It is called from within L{Engine.receive} only, and may call all of the engine's methods but that meanwhile.
    Inherit from it: what is compiled is called directly then.
    """

    __slots__ = ()

    def headers(self, stream_id: int, head: Head, end: bool) -> None:
        """
        A request's head, which opens C{stream_id} (server); an answer's, perhaps a 1xx before it (client).

        @param end: whether that is the whole message
        """

    def data(self, stream_id: int, data: bytes, end: bool) -> None:
        """
        More of a message's body; perhaps nothing, with its end.

        The peer may send as much again once L{Engine.consumed} is told of it. Nothing need be done about the bytes of a
        stream that is over.

        @param data: at most 16 KiB
        """

    def trailers(self, stream_id: int, fields: Headers) -> None:
        """A message's trailer section, its end."""

    def oversized(self, stream_id: int, end: bool) -> None:
        """
        A request's head breaks C{Limits.header_list} or C{header_count} (server only; anything else of that size is
        L{refused}). The stream is open: answer 431.

        @param end: whether that is the whole message
        """

    def stream_reset(self, stream_id: int, code: int) -> None:
        """The peer has reset a stream that was not over: it is now, in both directions."""

    def refused(self, stream_id: int, code: int, reason: str, detail: str) -> None:
        """
        The engine has reset a stream for what the peer sent on it: it is over, in both directions.

        A stream is named that L{headers} has told of, or one that never comes up again, as its head was malformed (or,
        with REFUSED_STREAM, one too many).

        @param reason: the word it is counted under
        @param detail: what was wrong, for people
        """

    def window(self, stream_id: int) -> None:
        """L{Engine.credit} of this stream, or with 0 of any stream, may have grown from nothing."""

    def settings(self) -> None:
        """The peer's SETTINGS have changed: C{peer_...} of the engine."""

    def ping_acked(self, payload: bytes) -> None:
        """The answer to L{Engine.ping}; C{payload} is the peer's to choose, so compare it."""

    def goaway(self, last_id: int, code: int, debug: bytes) -> None:
        """
        The peer accepts no more streams of ours. It may say so again, with a lower number.

        Those above C{last_id} were not processed and are over; those up to it go on.

        @param debug: at most 256 bytes of the peer's explanation
        """


class Engine(Protocol):
    """
    One end of a connection.

    What is said of a stream that is over is dropped without a word: its end may have come a moment earlier. Nothing
    here raises for what a peer does but L{receive}.

    @ivar peer_streams: streams of ours that the peer lets be open at once; L{UNTOLD_STREAMS} before its SETTINGS have
        come, C{MAXIMUM} if they set no limit
    @ivar peer_connect_protocol: whether it knows extended CONNECT
    @ivar peer_window: bytes that it takes of a new stream
    @ivar peer_frame: bytes that it takes in a frame; the engine splits what is longer
    @ivar peer_header_list: bytes of a field section that it takes, or C{MAXIMUM}; the engine does not check
    @ivar settled: whether its first SETTINGS have come
    @ivar streams: how many streams are open
    @ivar last_id: the highest stream of the peer's that was opened, or 0
    @ivar retiring: whether no new streams may be opened: GOAWAY was received, or sent (but L{announce} is no such), or
        the ids near their end. A server whose client's do is to L{announce} and to drain
    """

    __slots__ = (
        "last_id",
        "peer_connect_protocol",
        "peer_frame",
        "peer_header_list",
        "peer_streams",
        "peer_window",
        "retiring",
        "settled",
        "streams",
    )

    peer_streams: int
    peer_connect_protocol: bool
    peer_window: int
    peer_frame: int
    peer_header_list: int
    settled: bool
    streams: int
    last_id: int
    retiring: bool

    def receive(self, data: bytes) -> None:
        """
        The peer has sent C{data}: frames, whole or in parts; from a client, the preface first.

        @raise ConnectionFault: it cannot go on; GOAWAY is queued
        """

    def take(self) -> bytes:
        """
        All that is to be written, perhaps nothing.

        While the transport takes nothing (C{pause_writing}) do not call it, nor L{send_data}: what piles up here is
        bounded by C{Limits.control_frames} and C{frames}, beyond which L{receive} raises.
        """

    def hold(self) -> None:
        """
        From within a callback: no more of them for now. What is left of the bytes waits for the next L{receive}, which
        may be C{receive(b"")}. For a session that gives way to others, or has just closed. Read no more meanwhile.
        """

    def unfinished(self) -> bool:
        """Whether a client's preface, a field section, or a frame that may begin one, has come in part only."""

    def available(self) -> int:
        """Client: how many streams L{request} may open now: none if C{retiring}."""

    def request(self, fields: Headers, end: bool) -> int:
        """
        Client: open a stream, if L{available}.

        @param fields: C{:method} first; pseudo-fields before others, all names in lower case
        @return: its id
        """

    def send_headers(self, stream_id: int, fields: Headers, end: bool) -> None:
        """Send an answer's head (C{:status} first), a 1xx without C{end}, or with C{end} either side's trailers."""

    def send_data(self, stream_id: int, data: bytes, end: bool) -> int:
        """
        Send as much of C{data} as there is credit for, and END_STREAM with C{end} if that is all.

        @return: how many bytes were sent: fewer than C{data} has means that nothing more may be sent before
            L{Handler.window}. All of C{data} for a stream that is over
        """

    def credit(self, stream_id: int) -> int:
        """
        How many bytes L{send_data} would send now, never below 0; of all streams together with 0. None of one that is
        over.
        """

    def consumed(self, stream_id: int, n: int) -> None:
        """
        C{n} bytes of a stream's body have left our hands: the peer may send as many more, and is told so in good time.
        """

    def reset(self, stream_id: int, code: int, provoked: bool = False) -> None:
        """
        Reset a stream: over, in both directions. Not for one that has ended both ways.

        @param provoked: whether the peer has caused it by what it should not do: it counts as a reset of its own
        """

    def ping(self, payload: bytes) -> None:
        """Send a PING of 8 bytes."""

    def announce(self) -> None:
        """Server: say that GOAWAY will follow (RFC 9113, 6.8): streams on their way are still accepted."""

    def goaway(self, code: int, debug: bytes = b"") -> None:
        """Say that no later stream of the peer's than those told of will be accepted. They are ignored from now on."""

    def leave(self) -> None:
        """
        The connection is gone: the handler is told no more, not even of what was read with that. The two hold each
        other, and would be left to the garbage collector with all that they know.
        """
