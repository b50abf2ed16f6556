# -*- test-case-name: tests.protocols.http.h2.test_link -*-
"""
How the streams of one HTTP/2 connection share what its peer takes: credit, order, and writes.

A stream sends by its L{Sender}. What there is no credit for, or what the peer's kernel does not take, is kept there: no
more than the piece at hand, since whoever is told that there is no credit brings no more. Those that wait have their
turns one frame after the other, so that none goes hungry beside a large one, and a stream that its peer does not read
holds up nobody else.
"""

from __future__ import annotations

from typing import Final, Protocol

from lproxy.api import Stream
from lproxy.protocols.http.h2.counts import PeerCounts
from lproxy.protocols.http.h2.engine import Engine
from lproxy.protocols.http.message import NO_TRAILERS, Headers
from lproxy.transport.writes import WRITES, Writer

#: bytes that a stream sends in its turn, where others wait as well
TURN: Final = 16 * 1024
#: bytes that are written at once rather than kept until all that was read is dealt with
MOST: Final = 64 * 1024
#: as much as is kept, where its own window was what it waited for
ALL: Final = 1 << 30


class Sending(Protocol):
    """Whoever has a L{Sender}."""

    __slots__ = ()

    def room(self, n: int) -> None:
        """All that was kept is sent, and C{n} bytes more are welcome."""

    def sent(self) -> None:
        """The end was sent, later than it was said."""


class Link(Writer):
    """
    The sending side of a connection.

    @ivar engine: its codec
    @ivar stream: what carries it
    @ivar blocked: whether the peer takes nothing for now, or is gone
    @ivar waiting: streams without credit, or with something that is kept, in the order of their turns
    """

    __slots__ = ("_counts", "_made", "blocked", "engine", "stream", "waiting")

    def __init__(self, engine: Engine, stream: Stream, counts: PeerCounts) -> None:
        self.engine = engine
        self.stream = stream
        self.blocked = False
        self.waiting: dict[int, Sender] = {}
        self._counts = counts
        self._made = 0
        self.entered = False

    def __repr__(self) -> str:
        return f"<Link waiting={len(self.waiting)}{' blocked' if self.blocked else ''}>"

    def touch(self) -> None:
        """The engine has something to send: write it once the read that caused it is dealt with."""
        if not self.entered:
            WRITES.enter(self)

    def made(self, n: int) -> None:
        """The engine has C{n} more bytes of bodies to send: of many streams together they are not left to pile up."""
        self._made += n
        if self._made >= MOST:
            self.flush()
        else:
            self.touch()

    def flush(self) -> None:
        """Write all that the engine has, unless the peer takes nothing."""
        self._made = 0
        if not self.blocked:
            data = self.engine.take()
            if data:
                self.stream.write(data)

    def wait(self, sender: Sender) -> None:
        """It has no credit, or the peer takes nothing: it has its turn once both is over, behind the others."""
        if not self.blocked:
            self._counts.waits += 1
        self.waiting[sender.id] = sender

    def block(self) -> None:
        """The peer takes nothing more for now."""
        self.blocked = True

    def unblock(self) -> None:
        """It took everything."""
        self.blocked = False
        self.pump()
        self.flush()

    def credited(self, stream_id: int) -> None:
        """As L{Handler.window<lproxy.protocols.http.h2.engine.Handler.window>}."""
        if self.blocked:
            return
        if not stream_id:
            self.pump()
        elif (sender := self.waiting.pop(stream_id, None)) is not None:
            sender.advance(ALL)

    def pump(self) -> None:
        """Give those that wait their turns, until there is no credit, or the peer takes no more."""
        engine, stream, waiting = self.engine, self.stream, self.waiting
        room = stream.high_water - stream.buffered
        progress = True
        while progress and waiting and not self.blocked:
            progress = False
            for stream_id in list(waiting):
                if engine.credit(stream_id) <= 0:
                    continue
                sender = waiting.pop(stream_id, None)
                if sender is None:
                    continue
                before = sender.moved
                sender.advance(TURN)
                progress = progress or sender.moved != before
                room -= sender.moved - before
                if room <= 0:
                    if self._full():
                        return
                    room = stream.high_water - stream.buffered

    def _full(self) -> bool:
        """Write: does the peer take no more now?"""
        self.flush()
        return self.blocked

    def close(self) -> None:
        """The connection is gone."""
        self.blocked = True
        self.waiting.clear()


class Sender:
    """
    What one stream has to send.

    @ivar id: the stream's
    @ivar moved: bytes that were sent
    @ivar ended: whether its end was sent
    @ivar kept: what waits
    """

    __slots__ = ("_end", "_link", "_owner", "_trailers", "ended", "id", "kept", "moved")

    def __init__(self, link: Link, stream_id: int, owner: Sending) -> None:
        self._link = link
        #: until it is over, for each knows the other
        self._owner: Sending | None = owner
        self.id = stream_id
        self.kept = b""
        self._end = False
        self._trailers = NO_TRAILERS
        self.ended = False
        self.moved = 0

    def __repr__(self) -> str:
        return f"<Sender {self.id} kept={len(self.kept)}{' ended' if self.ended else ''}>"

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """
        Send C{raw}, and the end with C{trailers} if that is all; later, as far as it has to be.

        @return: credit left
        """
        link = self._link
        engine = link.engine
        if self.kept or (raw and link.blocked):
            self.kept = self.kept + raw if self.kept else raw
            self._end = end
            self._trailers = trailers
            link.wait(self)
            return 0
        sent = 0
        if raw:
            sent = engine.send_data(self.id, raw, end and not trailers)
            self.moved += sent
            if sent < len(raw):
                self.kept = raw[sent:]
                self._end = end
                self._trailers = trailers
                link.wait(self)
                link.made(sent)
                return 0
        elif end and not trailers:
            engine.send_data(self.id, b"", True)
        if end:
            if trailers:
                engine.send_headers(self.id, trailers, True)
            self.ended = True
            link.made(sent)
            return 0
        if raw:
            link.made(sent)
        credit = 0 if link.blocked else engine.credit(self.id)
        if credit <= 0:
            link.wait(self)
        return credit

    def advance(self, most: int) -> None:
        """It has its turn: for at most so many bytes of what is kept."""
        link, kept, owner = self._link, self.kept, self._owner
        engine = link.engine
        if owner is None:
            return
        if kept:
            piece = kept if len(kept) <= most else kept[:most]
            whole = len(piece) == len(kept)
            sent = engine.send_data(self.id, piece, whole and self._end and not self._trailers)
            self.moved += sent
            self.kept = kept[sent:]
            link.touch()
            if self.kept:
                link.wait(self)
                return
            if self._end:
                if self._trailers:
                    engine.send_headers(self.id, self._trailers, True)
                self.ended = True
                owner.sent()
                return
        credit = engine.credit(self.id)
        if credit > 0:
            owner.room(credit)
        else:
            link.wait(self)

    def drop(self) -> None:
        """The stream is over: nothing waits any more, and nobody is told."""
        self.kept = b""
        self._owner = None
        self._link.waiting.pop(self.id, None)
