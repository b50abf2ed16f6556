# -*- test-case-name: tests.protocols.http.h2.test_stream -*-
"""
One stream of a client's HTTP/2 connection: one request and its answer, or a tunnel.

Its L{Exchange<lproxy.protocols.http.exchange.Exchange>} is what it is in HTTP/1. What comes of the request's body and
is not wanted yet waits here, no more than the stream's window; what an upstream took is given back to the client as
credit, and no sooner.

Over 300 lines: both directions of a stream have one end.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from lproxy.api import Conn, Relay, Stream
from lproxy.protocols.http.client import Client
from lproxy.protocols.http.exchange import Exchange
from lproxy.protocols.http.h2.codes import code_of
from lproxy.protocols.http.h2.counts import US, PeerCounts
from lproxy.protocols.http.h2.faults import CANCEL, NO_ERROR
from lproxy.protocols.http.h2.link import Link, Sender, Sending
from lproxy.protocols.http.h2.requests import answer_fields, trailer_section, tunnel_fields
from lproxy.protocols.http.h2.tunnel import TunnelStream
from lproxy.protocols.http.listener import Listener
from lproxy.protocols.http.message import NO_TRAILERS, Headers, Rejected, Response, find
from lproxy.protocols.http.own import Own
from lproxy.protocols.http.record import shown
from lproxy.protocols.http.rescue import refusal
from lproxy.protocols.http.timeouts import BodyNotTaken, TooSlow

#: seconds for which a client may go on sending what was answered already. Who is told at once that the rest is not
#: wanted may take that for the end of the stream, and read no answer (curl 7)
LINGER: Final = 1.0


class Home(Protocol):
    """
    The connection of a stream, as the stream knows it.

    @ivar link: the sending side, which it shares with the others
    @ivar conn: who is at its ends
    @ivar own: upstream connections that nobody else gets
    @ivar listener: whose client it is
    @ivar counts: of connections with clients
    """

    __slots__ = ("conn", "counts", "link", "listener", "own")

    link: Link
    conn: Conn
    own: Own
    listener: Listener
    counts: PeerCounts

    def over(self, stream: ServerStream) -> None:
        """It is: forget it."""


class ServerStream(Client, Sending):
    """
    The L{Client<lproxy.protocols.http.client.Client>} of one exchange.

    @ivar id: the stream's
    @ivar exchange: C{None} once it is answered, or where there was no request
    @ivar ended: whether the client's side has ended
    @ivar received: bytes of the body that have come
    @ivar sender: what there is to send, where that was more than one piece, or had to wait
    @ivar answered: whether our side has ended without one
    @ivar arrived: whether something has come that is not dealt with yet
    @ivar begun: whether the exchange has begun
    @ivar tunnel_stream: the stream of bytes that it has become
    @ivar _begun: whether the client's body may be waited for: C{Expect: 100-continue} puts that off
    @ivar _credit: how much of the request's body is welcome
    @ivar _kept: what has come of it beyond that
    @ivar _owed: bytes that were passed on, and not given back to the client as credit
    @ivar _lingers: whether it is answered, and the rest of the request is still read and dropped
    @ivar _patient: whether it is to linger
    @ivar _since: since when, in seconds, nothing has moved, and C{_moved}: the figure of what had
    """

    __slots__ = (
        "_begun",
        "_credit",
        "_home",
        "_kept",
        "_lingers",
        "_moved",
        "_owed",
        "_patient",
        "_relay",
        "_since",
        "_trailers",
        "answered",
        "arrived",
        "begun",
        "conn",
        "ended",
        "exchange",
        "id",
        "received",
        "sender",
        "tunnel_stream",
    )

    def __init__(self, home: Home, stream_id: int, end: bool) -> None:
        self._home = home
        self.id = stream_id
        self.conn: Conn = home.conn
        self.own: Own | None = home.own
        self.exchange: Exchange | None = None
        self.sender: Sender | None = None
        self.answered = False
        self.tunnel_stream: TunnelStream | None = None
        self._relay: Relay | None = None
        self.ended = end
        self.arrived = False
        self.begun = False
        self.received = 0
        self._begun = end
        self._credit = 0
        self._kept = b""
        self._owed = 0
        self._trailers = NO_TRAILERS
        self._since = 0.0
        self._moved = 0
        self._patient = False
        self._lingers = False

    def __repr__(self) -> str:
        return f"<ServerStream {self.id} {self.exchange!r}>"

    def describe(self) -> dict[str, Any]:
        """Its part of a row of C{/connections}."""
        sender = self.sender
        row: dict[str, Any] = {"id": self.id, "received": self.received, "sent": sender.moved if sender else 0}
        if self.exchange is not None:
            row |= shown(self.exchange, self._home.listener.seconds())
        row["waits_for_credit"] = self.id in self._home.link.waiting
        row["kept"] = len(self._kept) + (len(sender.kept) if sender else 0)
        return row

    # what the client says

    def data_received(self, data: bytes, end: bool, trailers: Headers) -> None:
        """More of the request's body, or of a tunnel's bytes."""
        self.received += len(data)
        self._begun = True
        tunnel = self.tunnel_stream
        if tunnel is not None:
            self.ended = self.ended or end
            tunnel.received(data, end)
            return
        if end:
            self.ended = True
            self._trailers = trailers
        self._kept = self._kept + data if self._kept else data

    def deal(self) -> None:
        """All of one read is here: begin, or go on with the body."""
        self.arrived = False
        exchange = self.exchange
        if exchange is None:
            # answered already: what still comes is read and dropped
            kept, self._kept = self._kept, b""
            if kept:
                self._home.link.engine.consumed(self.id, len(kept))
            if self.ended:
                self._finish()
        elif not self.begun:
            self.begun = True
            exchange.start()
        elif self._credit > 0:
            self._pass_on(exchange)

    def credit(self, n: int) -> None:
        """The body may go on."""
        self._credit = n
        if self._owed:
            self._home.link.engine.consumed(self.id, self._owed)
            self._owed = 0
            self._home.link.touch()
        exchange = self.exchange
        if exchange is None or exchange.whole:
            return
        # from now on the client is waited for
        self._since = self._home.listener.seconds()
        if self._kept or self.ended:
            self._pass_on(exchange)

    def _pass_on(self, exchange: Exchange) -> None:
        """To the exchange, all that has come."""
        kept, self._kept = self._kept, b""
        self._credit = exchange.upload(kept, self.ended, self._trailers)
        if kept and not self.ended:
            if self._credit > 0:
                link = self._home.link
                link.engine.consumed(self.id, len(kept))
                link.touch()
            else:
                self._owed += len(kept)

    def gone(self, flags: str) -> None:
        """The stream, or its connection, is over: so is all that was under way for it."""
        if self.sender is not None:
            self.sender.drop()
        if self.tunnel_stream is not None:
            # which ends the relay, and that the exchange
            self.tunnel_stream.was_reset()
            return
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.flags = exchange.flags or flags
            exchange.cancel()

    def refuse(self, rejected: Rejected) -> int:
        """It has a request that is answered by no exchange, but by what is wrong with it, in so many bytes."""
        head, body = refusal(rejected)
        self.respond(head, body, True, NO_TRAILERS)
        self._finish()
        return len(body)

    # the answer: Client

    def informational(self, head: Response) -> None:
        """A 1xx."""
        self._begun = True
        link = self._home.link
        link.engine.send_headers(self.id, answer_fields(head), False)
        link.touch()

    def respond(self, head: Response, body: bytes, end: bool, trailers: Headers) -> int:
        """The head, and what has come of the body, in one write."""
        link = self._home.link
        fields = answer_fields(head)
        if end and not body and not trailers:
            link.engine.send_headers(self.id, fields, True)
            self.answered = True
            link.touch()
            return 0
        link.engine.send_headers(self.id, fields, False)
        credit = self.data(body, end, trailers)
        if not (body or end):
            link.touch()
        return credit

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """More of the body."""
        sender = self.sender
        if sender is None:
            link = self._home.link
            sent = 0
            if end and not link.blocked:
                # the most answers are one piece, and trailers perhaps
                if raw or not trailers:
                    sent = link.engine.send_data(self.id, raw, not trailers)
                if sent == len(raw):
                    if trailers:
                        link.engine.send_headers(self.id, trailer_section(trailers), True)
                    self.answered = True
                    link.made(sent)
                    return 0
                raw = raw[sent:]
            sender = self.sender = Sender(link, self.id, self)
            sender.moved = sent
        return sender.data(raw, end, trailer_section(trailers) if trailers else NO_TRAILERS)

    def sending(self) -> bool:
        """Whether the rest of its body is about to come."""
        exchange = self.exchange
        return self._begun or exchange is None or find(exchange.request.headers, b"expect") is None

    def complete(self) -> None:
        """It is answered and counted: once all of that is sent, the stream is over."""
        exchange, self.exchange = self.exchange, None
        self._patient = exchange is not None and exchange.request.method != b"CONNECT"
        self._finish()

    def room(self, n: int) -> None:
        """What waited is sent: more is welcome."""
        if self.tunnel_stream is not None:
            self.tunnel_stream.room(n)
        elif self.exchange is not None:
            self.exchange.taken(n)

    def sent(self) -> None:
        """What waited is sent, and was all."""
        if self.tunnel_stream is not None:
            self.tunnel_stream.sent()
        else:
            self._finish()

    def _finish(self) -> None:
        if self.exchange is not None or not (self.answered or (self.sender is not None and self.sender.ended)):
            return
        if not self.ended and self._patient:
            # answered before it was asked to the end
            self._patient = False
            self._lingers = True
            self._since = self._home.listener.seconds()
        elif self.ended or not self._lingers:
            self._leave()

    def _leave(self) -> None:
        if not self.ended:
            # the rest is not wanted (RFC 9113, 8.1)
            self._reset(NO_ERROR)
        if self.sender is not None:
            self.sender.drop()
        self._home.over(self)

    def reset(self, error: BaseException) -> None:
        """Never a clean end for half an answer."""
        self.exchange = None
        if self.sender is not None:
            self.sender.drop()
        self._reset(code_of(error))
        self._home.over(self)

    def _reset(self, code: int) -> None:
        home = self._home
        home.counts.reset(US, code)
        home.link.engine.reset(self.id, code)
        home.link.touch()

    # another protocol's bytes

    def tunnel(self, head: Response, stream: Stream, rest: bytes) -> None:
        """Both sides speak something else from now on."""
        home = self._home
        home.link.engine.send_headers(self.id, tunnel_fields(head), False)
        home.link.touch()
        sender = self.sender = Sender(home.link, self.id, self)
        client = self.tunnel_stream = TunnelStream(home.link, sender, self._tunnel_closed)
        kept, self._kept = self._kept, b""
        client.received(kept, self.ended)
        relay = self._relay = Relay(client, self._relay_ended, home.listener.runtime.limits.buffer)
        relay.start()
        relay.join(stream, rest)

    def _tunnel_closed(self) -> None:
        self._home.over(self)

    def _relay_ended(self) -> None:
        exchange, self.exchange = self.exchange, None
        self._relay = None
        if exchange is not None:
            tunnel = self.tunnel_stream
            assert tunnel is not None
            exchange.tunnelled(tunnel.bytes_in, tunnel.bytes_out)

    def abort(self, flags: str) -> None:
        """End it now."""
        if self._relay is not None:
            self._relay.abort()
            return
        self._reset(CANCEL)
        self.gone(flags)
        self._home.over(self)

    # what a client is given time for

    def tick(self, now: float, body: float | None, write: float | None) -> None:
        """
        Called by the sweep: is somebody too slow?

        @param body: seconds that a request's body may make no progress, and C{write}: that a client may take nothing
        """
        exchange, sender, link = self.exchange, self.sender, self._home.link
        if self.tunnel_stream is not None:
            return
        if self._lingers:
            if now - self._since >= LINGER:
                self._leave()
            return
        if not self._since:
            self._since = now
        if sender is not None and self.id in link.waiting:
            if link.blocked:
                # all the connection's streams wait, and its own clock runs
                self._since = now
            elif self._stalled(now, sender.moved, write):
                self._home.listener.record.does_not_read(write, self.conn)
                self.abort("SL")
        elif exchange is not None:
            waiting = not self.ended and self._credit > 0 and self.sending()
            if not waiting and not exchange.owed():
                self._since = now
            elif self._stalled(now, self.received + exchange.delivered(), body) and body is not None:
                if waiting:
                    exchange.reset(TooSlow(f"no byte of the body for {body:g} s"))
                else:
                    exchange.reset(BodyNotTaken(exchange.destination and exchange.destination.target, body))

    def _stalled(self, now: float, moved: int, limit: float | None) -> bool:
        if moved != self._moved:
            self._moved = moved
            self._since = now
            return False
        return limit is not None and now - self._since >= limit
