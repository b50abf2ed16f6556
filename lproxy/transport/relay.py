# -*- test-case-name: tests.transport.test_relay -*-
"""
Join two connections: what one says the other hears, until both have said all.

A relay begins with the client's stream alone. What the client says is kept, up to the buffer's limit, until the
upstream's stream is joined. Each direction is a small object, the reader of the stream that it comes from, and copies
between streams of any kind, with back-pressure. Where both are plain sockets and a direction is busy, it has the kernel
move the bytes instead (L{lproxy.transport.splice}), from one wake-up to the next and back: neither way of moving keeps
anything in between.

L{lproxy.transport.tap} has directions whose bytes somebody looks at.

Over 300 lines: one direction's ways of moving bytes share its state, and are read together.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from lproxy.target import join_host_port
from lproxy.transport.pipe import AVAILABLE, PIPES, Pipes
from lproxy.transport.socket import READ_SIZE
from lproxy.transport.splice import NEVER, SPLICE_FROM, Owner, Splicer
from lproxy.transport.stream import Reader, Stream

#: bytes that a direction without a tap may have moved unseen
ENDLESS: Final = 1 << 62


class Flow(Enum):
    """What a direction does."""

    #: there is no sink yet: what comes is kept
    KEEPING = "keeping"
    COPYING = "copying"
    SPLICING = "splicing"
    #: the sink takes no more for now, the source is not read
    BLOCKED = "blocked"
    #: the source said all, and the sink knows
    ENDED = "ended"


KEEPING: Final = Flow.KEEPING
COPYING: Final = Flow.COPYING
SPLICING: Final = Flow.SPLICING
BLOCKED: Final = Flow.BLOCKED
ENDED: Final = Flow.ENDED


class Relay:
    """
    Two directions.

    An end of file is passed on once all before it is written; after both, both connections are closed. If one breaks,
    the other is reset.

    @ivar to_upstream: from the client to the upstream
    @ivar to_client: and the other
    """

    def __init__(
        self,
        client: Stream,
        done: Callable[[], None],
        buffer: int,
        splice_from: int = SPLICE_FROM,
        pipes: Pipes = PIPES,
    ) -> None:
        """
        @param done: called once, when both streams are closed, or the client's where there is no other
        @param buffer: how many bytes of a direction the process may hold
        @param splice_from: how many bytes in one wake-up have a direction spliced
        """
        self._done: Callable[[], None] | None = done
        self._open: int = 1
        self.buffer: int = buffer
        self.splice_from: int = splice_from
        self.pipes: Pipes = pipes
        self.to_upstream: Direction = Direction(self, client, None)
        self.to_client: Direction = Direction(self, None, client)

    def __repr__(self) -> str:
        return f"<Relay {self.to_upstream!r}, {self.to_client!r}>"

    def start(self, prefix: bytes = b"", eof: bool = False) -> None:
        """
        Read from the client.

        @param prefix: what was read of it before
        @param eof: whether its end was read, too
        """
        self.pipes.enter()
        self.to_upstream.begin(prefix, eof)

    def join(self, upstream: Stream, greeting: bytes = b"") -> None:
        """
        Send what was kept to C{upstream}, and relay from now on.

        @param greeting: what the upstream has said already
        """
        if self._done is None or self.to_upstream.flow is ENDED:
            upstream.abort()  # the client is gone, or has heard its last
            return
        self.to_upstream.join(upstream)
        self.to_client.read_from(upstream, greeting)

    def wanted(self) -> None:
        """The client has said something for an upstream, and there is none yet."""

    def unwanted(self) -> bool:
        """The client has ended without having said anything for an upstream. Whether that is all."""
        return False

    @property
    def joined(self) -> bool:
        """Whether there is an upstream."""
        return self.to_client.source is not None

    def abort(self) -> None:
        """Reset both connections, whatever they are doing."""
        for direction in (self.to_upstream, self.to_client):
            if direction.source is not None:
                direction.source.abort()

    def close(self) -> None:
        """Close both connections, after what was written to them."""
        both = (self.to_upstream, self.to_client)
        for direction in both:
            direction.flow = ENDED
            direction.spill()
        for direction in both:
            if direction.sink is not None:
                direction.sink.close()

    def ended(self) -> None:
        """One direction has: is that all?"""
        if self.finished():
            # closing is the end of file, too
            self.to_upstream.finish()
            self.to_client.finish()

    def lost(self, direction: Direction) -> None:
        """The source of C{direction} is closed."""
        self._open -= 1
        if not self._open:
            self.pipes.leave()
            done, self._done = self._done, None
            # who is told mostly holds us: no cycles for the collector
            if done is not None:
                done()
        elif not self.finished() and direction.sink is not None:
            direction.sink.abort()

    def finished(self) -> bool:
        """Whether both directions have ended."""
        return self.to_upstream.flow is ENDED and self.to_client.flow is ENDED


class Direction(Reader, Owner):
    """
    One way, from C{source} to C{sink}: the reader of its source. Whether its sink takes more it is told by the other
    direction, which is the reader of that.

    @ivar held: the source is not read, whatever the sink would take
    @ivar full: the sink has enough, and the source is not read
    @ivar kept: what came before there was a sink
    @ivar splice_from: bytes in one wake-up that have it spliced
    @ivar splicer: moves the bytes, while it does
    @ivar _eof: whether the end came before there was a sink
    """

    def __init__(self, relay: Relay, source: Stream | None, sink: Stream | None) -> None:
        self.relay: Relay | None = relay
        self.source: Stream | None = source
        self.sink: Stream | None = sink
        self.flow: Flow = KEEPING if sink is None else COPYING
        self.held: bool = False
        self.full: bool = False
        self.kept: bytes = b""
        self._eof: bool = False
        self.splice_from: int = NEVER
        self.splicer: Splicer | None = None

    def __repr__(self) -> str:
        ends = " to ".join(join_host_port(*end.conn.peer) if end else "nobody yet" for end in (self.source, self.sink))
        return f"{ends} {self.flow.value}"

    # the beginning

    def begin(self, prefix: bytes, eof: bool) -> None:
        """Read the source."""
        source, relay = self.source, self.relay
        if source is not None and relay is not None:
            # told to pause when more than that waits; one more read may follow, as a read is written at once
            source.high_water = max(relay.buffer - READ_SIZE, 0)
            source.attach(self, prefix, eof)
            self._read()

    def join(self, sink: Stream) -> None:
        """There is a sink: it gets what was kept."""
        relay = self.relay
        if relay is None:
            return
        self.sink = sink
        sink.high_water = max(relay.buffer - READ_SIZE, 0)
        self.flow = COPYING
        self.may_splice(relay)
        kept, self.kept = self.kept, b""
        if kept:
            self.send(kept)
        if self._eof:
            self.pass_end()

    def read_from(self, source: Stream, greeting: bytes) -> None:
        """The other direction's sink is this one's source."""
        relay = self.relay
        if relay is None:
            return
        self.source = source
        self.may_splice(relay)
        # from here on we are told of its end, and not before: what raises until then leaves the client's to wait for
        relay._open += 1
        source.attach(self, greeting)
        self._read()
        # where it was kept from reading, there is a sink now, which perhaps has enough
        relay.to_upstream._read()

    def may_splice(self, relay: Relay) -> None:
        """There are two streams now: can the kernel move bytes between them?"""
        source, sink = self.source, self.sink
        if source is None or sink is None or not AVAILABLE:
            return
        if source.raw() is not None and sink.raw() is not None:
            self.splice_from = relay.splice_from

    # the source's pace

    def hold(self) -> None:
        """Read no more from the source, until L{release}."""
        self.held = True
        if self.source is not None:
            self.source.pause()

    def release(self) -> None:
        """Read again, as soon as the sink takes more."""
        self.held = False
        self._read()

    def _read(self) -> None:
        source = self.source
        if source is None or self.held or self._eof:
            return
        flow = self.flow
        if flow is COPYING or flow is SPLICING or (flow is KEEPING and self._room()):
            source.resume()

    def _room(self) -> bool:
        return self.relay is not None and len(self.kept) < self.relay.buffer

    def block(self) -> None:
        """The sink has enough."""
        self.full = True
        self._set_flow()
        if self.source is not None:
            self.source.pause()

    def go_on(self) -> None:
        """The sink took all."""
        self.full = False
        self._set_flow()
        self._read()

    def _set_flow(self) -> None:
        """As the sink and what moves the bytes have it."""
        splicer = self.splicer
        if self.flow is KEEPING or self.flow is ENDED:
            return
        if self.full or (splicer is not None and splicer.blocked):
            self.flow = BLOCKED
        else:
            self.flow = COPYING if splicer is None else SPLICING

    # the source's reader

    def data_received(self, data: bytes) -> None:
        """Copy."""
        if self.flow is KEEPING:
            self.keep(data)
            return
        sink = self.sink
        assert sink is not None
        sink.write(data)
        if len(data) >= self.splice_from:
            self.consider_splicing()

    def keep(self, data: bytes) -> None:
        """There is no sink yet."""
        self.kept += data
        if not self._room() and self.source is not None:
            self.source.pause()

    def send(self, data: bytes) -> None:
        """Give C{data}, which was read or made, to the sink, if there is one."""
        if self.flow is KEEPING:
            self.keep(data)
        elif self.sink is not None:
            self.sink.write(data)

    def eof_received(self) -> None:
        """All is read."""
        if self.flow is KEEPING:
            self._eof = True
        else:
            self.pass_end()

    def pass_end(self) -> None:
        """Nothing is read before the sink took what came before, so that it needs but the end."""
        relay, sink = self.relay, self.sink
        self.flow = ENDED
        if relay is None or sink is None:
            return
        if relay.finished():
            relay.ended()
        else:
            sink.end()

    def pause_writing(self) -> None:
        """The source, as the other direction's sink, has enough."""
        if self.relay is not None:
            self._other(self.relay).block()

    def resume_writing(self) -> None:
        """It took all."""
        if self.relay is not None:
            self._other(self.relay).go_on()

    def _other(self, relay: Relay) -> Direction:
        return relay.to_client if relay.to_upstream is self else relay.to_upstream

    def finish(self) -> None:
        """Close the sink after all that it has been given."""
        if self.sink is not None:
            self.sink.close()

    def connection_lost(self) -> None:
        """The source is closed."""
        relay, self.relay = self.relay, None
        self.kept = b""
        splicer, self.splicer = self.splicer, None
        if splicer is not None:
            splicer.drop()
        if relay is not None:
            if relay.to_client.source is None:
                relay.to_client.relay = None  # nobody else will say so
            relay.lost(self)

    # splicing

    def unseen(self) -> int:
        """How many of the bytes that come next may pass unseen: none, while something of ours has to go before them."""
        return 0 if self.sink is None or self.sink.buffered else ENDLESS

    def passed(self, count: int) -> None:
        """So many did."""

    def little(self) -> int:
        """Bytes that, moved in one wake-up, are the last to be spliced."""
        return self.splice_from // 2

    def consider_splicing(self) -> None:
        """There is much to move: have the kernel do it, if the sink has none of ours to send first."""
        source, sink, relay = self.source, self.sink, self.relay
        if self.flow is not COPYING or source is None or sink is None or relay is None or sink.buffered:
            return
        incoming, outgoing = source.raw(), sink.raw()
        if incoming is not None and outgoing is not None:
            self.flow = SPLICING
            self.splicer = Splicer(self, incoming, outgoing, relay.pipes, self.little())

    def splicer_blocked(self) -> None:
        """A pipe holds what the sink did not take."""
        self._set_flow()
        if self.source is not None:
            self.source.pause()

    def splicer_unblocked(self) -> bool:
        """Whether more may be spliced at once, as the pipe is empty."""
        return self.flow is BLOCKED and not self.held and not self.full and self.unseen() > 0

    def splicer_ready(self) -> None:
        """The sink takes more."""
        self._set_flow()
        self._read()

    def splicer_ended(self, possible: bool) -> None:
        """What comes next is copied. C{possible}: whether the kernel can splice sockets of this kind."""
        self.splicer = None
        if not possible:
            self.splice_from = NEVER
        self._set_flow()

    def spill(self) -> None:
        """Give the sink what a pipe holds, as it is closed after that and the source without it."""
        splicer, self.splicer = self.splicer, None
        if splicer is not None:
            splicer.spill()
