# -*- test-case-name: tests.protocols.http.h2.test_call -*-
"""
One exchange with an upstream that speaks HTTP/2: first the right to a stream of a connection, then that stream.

Over 300 lines: what a stream sends, what comes on it and how it ends are one state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from lproxy.api import FREE, Endpoint, Hold, ProxyError, Stream, ended
from lproxy.protocols.http.carried import carry
from lproxy.protocols.http.h2.codes import StreamReset, code_of
from lproxy.protocols.http.h2.counts import PeerCounts
from lproxy.protocols.http.h2.engine import Engine, Head
from lproxy.protocols.http.h2.faults import CANCEL, PROTOCOL_ERROR, REFUSED_STREAM
from lproxy.protocols.http.h2.link import Link, Sender, Sending
from lproxy.protocols.http.h2.outward import answer, request_fields, switching, websocket
from lproxy.protocols.http.h2.requests import trailer_section
from lproxy.protocols.http.h2.tunnel import TunnelStream
from lproxy.protocols.http.message import NO_TRAILERS, Headers, Rejected, Request, Response
from lproxy.protocols.http.standing import Standing
from lproxy.protocols.http.streams import BadResponse, Outgoing, Outrun, Responder, UpstreamLost
from lproxy.protocols.http.timeouts import CallTimedOut

#: 1xx answers to one request, as of HTTP/1
INFORMATIONAL: Final = 100


class NoWebSocket(ProxyError):
    """A WebSocket is asked for, over a connection that carries none: its SETTINGS do not allow extended CONNECT."""

    layer = "upstream"
    reason = "no_websocket"
    flag = "UP"
    status = 501

    def what(self) -> str:
        """What is missing."""
        return "takes no WebSockets over HTTP/2 (SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 8441)"


class Carrier(Protocol):
    """
    The connection that a call is on.

    @ivar endpoint: whom it is connected to, and C{address}: that for people
    @ivar engine: its codec
    @ivar link: what streams send by
    @ivar stream: what carries it
    @ivar secure: whether that is
    @ivar meshed: whether another proxy is there, with an identity that is verified
    @ivar counts: where streams are counted
    @ivar standing: how the endpoint does
    @ivar seconds: the clock
    @ivar limit: streams that may be open at once: 0 before the peer's SETTINGS, and once no more may be opened
    @ivar used: whether an exchange came to its end here
    @ivar calls: by stream, those that are open
    @ivar arrived: those that something has come for, and that are to be told of it
    """

    __slots__ = (
        "address",
        "arrived",
        "calls",
        "counts",
        "endpoint",
        "engine",
        "limit",
        "link",
        "meshed",
        "seconds",
        "secure",
        "standing",
        "stream",
        "used",
    )

    address: str
    arrived: list[Call]
    calls: dict[int, Call]
    counts: PeerCounts
    endpoint: Endpoint
    engine: Engine
    limit: int
    link: Link
    meshed: bool
    seconds: Callable[[], float]
    secure: bool
    standing: Standing
    stream: Stream
    used: bool

    def retire(self) -> None:
        """Open no more streams; once those that there are have ended, it is closed."""

    def reset(self, call: Call, code: int) -> None:
        """Give up a stream that is open."""

    def released(self, call: Call) -> None:
        """A lease has ended."""


class Call(Outgoing, Sending):
    """
    An L{HttpLease<lproxy.protocols.http.streams.HttpLease>}, and its L{Outgoing}.

    The right to one exchange on a connection, and then that exchange: a stream.

    @ivar id: the stream's, once it was opened
    @ivar status: of the answer, as soon as that has begun, for the endpoint's standing; or zero
    @ivar done: whether all of the answer has come
    @ivar _to: whom the answer is for; C{None} once nobody is to be told anything
    @ivar _whole: whether all of the request was given to be sent
    @ivar _began: seconds, when the lease was given
    @ivar _before: bytes that the connection had sent by then
    @ivar _reused: whether it had served another exchange before
    @ivar _head: the answer's, not told yet; and C{_body}: the same of its body
    @ivar _owed: bytes of the body that the client has no room for: the upstream gets no credit for them
    @ivar _informed: 1xx answers that have come
    """

    __slots__ = (
        "_before",
        "_began",
        "_body",
        "_carrier",
        "_head",
        "_informed",
        "_owed",
        "_request",
        "_reused",
        "_sender",
        "_to",
        "_tunnel",
        "_whole",
        "done",
        "hold",
        "id",
        "status",
    )

    def __init__(self, carrier: Carrier, began: float) -> None:
        self.hold: Hold = FREE
        self.address = carrier.address
        self.id = 0
        self.status = 0
        self.done = False
        self._carrier = carrier
        self._began = began
        self._before = 0
        self._request: Request | None = None
        self._to: Responder | None = None
        self._sender: Sender | None = None
        self._tunnel: TunnelStream | None = None
        self._whole = False
        self._reused = False
        self._head: Response | None = None
        self._body: list[bytes] = []
        self._owed = 0
        self._informed = 0

    def __repr__(self) -> str:
        return f"<Call on {self._carrier!r} stream={self.id} status={self.status}>"

    # HttpLease

    def call(self, head: Request, body: bytes, end: bool, to: Responder) -> Outgoing:
        """Open a stream."""
        carrier = self._carrier
        engine = carrier.engine
        if not carrier.limit or not engine.available():
            raise UpstreamLost(carrier.endpoint, "", "before the request was sent", answered=False, unsent=True)
        extended = (head.upgrade or head.protocol) and (head.protocol or websocket(head))
        if extended and not engine.peer_connect_protocol:
            raise NoWebSocket(carrier.endpoint)
        if head.private:
            # a client authenticates the connection: nobody else may have it
            carrier.retire()
        self._request = head
        self._to = to
        self._reused = carrier.used
        self._before = carrier.stream.bytes_out
        tunnel = extended or head.method == b"CONNECT"
        only = end and not body and not tunnel
        fields = request_fields(head, carrier.secure)
        if carrier.meshed:
            fields = carry(fields, head)
        stream_id = self.id = engine.request(fields, only)
        carrier.calls[stream_id] = self
        if engine.retiring:
            carrier.retire()  # the ids are near their end
        carrier.counts.streams += 1
        self._whole = end and not tunnel
        if body or (end and not only and not tunnel):
            self._send(body, end, NO_TRAILERS)
        carrier.link.touch()
        return self

    def means(self, status: int) -> None:
        """What the answer came to."""
        self.status = status

    def close(self) -> None:
        """End it, and the stream, where it has not come to its end."""
        if not ended(self):
            return
        self._to = None
        carrier = self._carrier
        if self.id and not self._over():
            carrier.reset(self, CANCEL)
        if self._sender is not None:
            self._sender.drop()
        carrier.standing.ended(self.status, self._began, carrier.seconds())
        carrier.released(self)

    def keep(self) -> None:
        """Others are on the connection: it is nobody's own, and closed once they have ended."""
        self._carrier.retire()
        self.close()

    def _over(self) -> bool:
        """Whether the stream has come to its end in both directions."""
        sender = self._sender
        return self.done and self._whole and (sender is None or sender.ended)

    # Outgoing

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """More of the request's body."""
        self._whole = self._whole or end
        return self._send(raw, end, trailer_section(trailers) if trailers else NO_TRAILERS)

    def _send(self, raw: bytes, end: bool, trailers: Headers) -> int:
        sender = self._sender
        link = self._carrier.link
        if sender is None:
            if end and not trailers and not link.blocked and raw:
                # a short request, as the most are, needs nobody to keep it
                sent = link.engine.send_data(self.id, raw, True)
                if sent == len(raw):
                    return 0
                raw = raw[sent:]
            sender = self._sender = Sender(link, self.id, self)
        return sender.data(raw, end, trailers)

    def peer(self) -> Endpoint:
        """Whom the connection is with."""
        return self._carrier.endpoint

    def credit(self, n: int) -> None:
        """The client has taken what there was."""
        owed = self._owed
        if owed:
            self._owed = 0
            carrier = self._carrier
            carrier.engine.consumed(self.id, owed)
            carrier.link.touch()

    def delivered(self) -> int:
        """What there was credit for."""
        return self._sender.moved if self._sender is not None else 0

    def owed(self) -> bool:
        """Whether something waits for credit."""
        return self._sender is not None and bool(self._sender.kept)

    def reset(self, error: BaseException) -> None:
        """Give the stream up."""
        self._to = None
        if isinstance(error, CallTimedOut):
            self._bad(error)
        elif isinstance(error, Outrun):
            carrier = self._carrier
            carrier.standing.outrun(self._began, carrier.seconds())
        if not self._over():
            self._carrier.reset(self, code_of(error))

    # Sending

    def room(self, n: int) -> None:
        """All that waited was sent."""
        if self._tunnel is not None:
            self._tunnel.room(n)
        elif self._to is not None:
            self._to.credit(n)

    def sent(self) -> None:
        """And the end of it."""
        if self._tunnel is not None:
            self._tunnel.sent()

    # what the connection has for it

    def headers(self, head: Head, end: bool) -> None:
        """The answer's head, or a 1xx before it."""
        to, request = self._to, self._request
        if to is None or request is None:
            return
        status = head.status
        if status < 200:
            self._informed += 1
            if self._informed > INFORMATIONAL:
                self._carrier.reset(self, PROTOCOL_ERROR)
                detail = f"more than {INFORMATIONAL} informational answers"
                self.malformed(Rejected("", 502, "too_large", detail))
            else:
                to.informational(answer(head, request.method))
            return
        upgraded = request.protocol or (request.upgrade and websocket(request))
        if status < 300 and not end and (upgraded or request.method == b"CONNECT"):
            self._join(head, request, to)
            return
        self.status = status
        self._head = answer(head, request.method)
        if end:
            self.tell(True, NO_TRAILERS)
        else:
            self._carrier.arrived.append(self)

    def received(self, data: bytes, end: bool) -> None:
        """More of its body."""
        if self._tunnel is not None:
            self._tunnel.received(data, end)
            return
        if not self._body and self._head is None:
            self._carrier.arrived.append(self)
        self._body.append(data)
        if end:
            self.tell(True, NO_TRAILERS)

    def tell(self, end: bool, trailers: Headers) -> None:
        """Pass on what has come, and the end if that was it."""
        head, pieces = self._head, self._body
        to = self._to
        if end:
            self.done = True
        elif head is None and not pieces:
            return  # told already
        raw = b""
        if pieces:
            raw = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._body = []
        if to is None:
            return
        try:
            if head is not None:
                self._head = None
                credit = to.respond(head, raw, end, trailers)
            else:
                credit = to.data(raw, end, trailers)
        except BaseException as bug:
            # a mistake of ours, told to this client as such; the others' streams go on
            if self._to is not to:
                raise
            to.reset(bug)
            return
        if raw and not end:
            if credit > 0:
                self._carrier.engine.consumed(self.id, len(raw))
            else:
                self._owed += len(raw)

    def was_reset(self, code: int) -> None:
        """The upstream gives it up; C{code} may be none, where the answer is whole."""
        if self._ended("ECONNRESET"):
            return
        carrier = self._carrier
        silent = self._silent()
        # only before an answer that code says that nothing was done
        unsent = silent and code == REFUSED_STREAM
        error = StreamReset(carrier.endpoint, code, self._when(), not silent, unsent, False)
        if not unsent:
            self._bad(error)
        self._tell_error(error)

    def malformed(self, rejected: Rejected) -> None:
        """What came is no answer."""
        if self._ended("EPROTO"):
            return
        error = BadResponse(self._carrier.endpoint).because(rejected)
        self._bad(error)
        self._tell_error(error)

    def unprocessed(self, how: str) -> None:
        """The upstream has not looked at it, and will not."""
        if not self._ended("ECONNRESET"):
            when = "before it looked at the request"
            self._tell_error(UpstreamLost(self._carrier.endpoint, how, when, answered=False, unsent=True))

    def lost(self, errno: str) -> None:
        """The connection is."""
        if self._ended(errno or "ECONNRESET"):
            return
        carrier = self._carrier
        silent = self._silent()
        unsent = silent and carrier.stream.bytes_out == self._before
        error = UpstreamLost(carrier.endpoint, errno, self._when(), not silent, unsent, silent and self._reused)
        self.status = 0
        if not error.reused:
            error.elsewhere = carrier.standing.failed(error, self._began)
        else:
            carrier.standing.counter.failed += 1
        self._tell_error(error)

    def _ended(self, errno: str) -> bool:
        """
        The stream is over before it has come to its end: what has come is passed on.

        @return: whether there is nobody to be told of an error
        """
        if self._tunnel is not None:
            self._tunnel.was_reset(errno)
            return True
        to = self._to
        if to is None:
            return True
        if self._sender is not None:
            self._sender.drop()
        if self.done:
            # the answer is whole, and what is still to be sent is not wanted
            self._whole = True
            self._to = None
            to.data(b"", True, NO_TRAILERS)
            return True
        self.tell(False, NO_TRAILERS)
        return self._to is None

    def _silent(self) -> bool:
        return not self.status and not self._informed

    def _when(self) -> str:
        if self._silent():
            return "without an answer"
        return "in the middle of its answer" if self.status else "before its answer's head"

    def _bad(self, error: ProxyError) -> None:
        self.status = 0
        self._carrier.standing.bad(error, self._began)

    def _tell_error(self, error: ProxyError) -> None:
        to, self._to = self._to, None
        if to is not None:
            to.reset(error)

    def _join(self, head: Head, request: Request, to: Responder) -> None:
        """The stream is bytes from now on."""
        carrier = self._carrier
        sender = self._sender
        if sender is None:
            sender = self._sender = Sender(carrier.link, self.id, self)
        self._tunnel = tunnel = TunnelStream(carrier.link, sender, self._left)
        response = switching(head, request)
        carrier.standing.judge(response.status, self._began)
        to.tunnel(response, tunnel, b"")

    def _left(self) -> None:
        """The tunnel is over."""
        self._carrier.calls.pop(self.id, None)
