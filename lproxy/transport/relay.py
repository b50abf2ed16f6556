# -*- test-case-name: tests.transport.test_relay -*-
"""
Join two connections: what one says the other hears, until both have said all.

Each direction is a small object: protocol of the connection that it reads, producer of the one that it writes. That
is all it takes to copy between transports of any kind, with back-pressure. Where both are plain sockets and the
direction is busy, it has the kernel move the bytes instead (L{lproxy.transport.splice}), from one wake-up to the next
and back: neither way of moving keeps anything in between.

A L{Tap} lets a protocol look at what passes, and change it, without a transport in its hands. As it says how many
bytes it need not see, what is large still goes by the kernel.

Over 300 lines: one direction's ways of moving bytes share its state, and are read together.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from lproxy.target import join_host_port
from lproxy.transport import splice
from lproxy.transport.hub import DONE, LOST
from lproxy.transport.socket import READ_SIZE, Stream

#: bytes per direction that the process holds
BUFFER = 65536
#: bytes in one read from which splicing is cheaper: 16 KiB cost 46 us copied and 64 spliced, 64 KiB 71 and 46
SPLICE_FROM = 32768
#: as L{SPLICE_FROM}, to copy always
NEVER = 1 << 62
#: bytes that a direction without a tap may pass unseen
ENDLESS = 1 << 62
#: times that a pipe is filled in one wake-up, so that other connections have their turn
ROUNDS = 4


class State(Enum):
    """What a direction does."""

    COPYING = "copying"
    SPLICING = "splicing"
    #: the sink takes no more for now, the source is not read
    BLOCKED = "blocked"
    #: the source said all, and the sink knows
    ENDED = "ended"


class Tap(Protocol):
    """
    What a protocol makes of one direction.

    @ivar unseen: bytes that come next and pass as they are, so that it need not be given them
    @ivar over: it has seen enough: both connections are to be closed, once what it let pass is written
    @ivar last: the end of this direction is the end of both
    """

    over: bool
    last: bool

    @property
    def unseen(self) -> int: ...

    def feed(self, data: bytes) -> bytes:
        """C{data} has arrived, perhaps nothing. Returns what is to go on, of that and of what was kept."""

    def skip(self, count: int) -> None:
        """So many of those unseen have passed."""

    def end(self) -> bytes:
        """The source has said all. Returns what is left."""


def relay(
    a: Stream,
    b: Stream,
    done: Callable[[], None],
    buffer: int = BUFFER,
    splice_from: int = SPLICE_FROM,
    pipes: splice.Pipes = splice.PIPES,
    taps: tuple[Tap, Tap] | None = None,
) -> Relay:
    """
    Join C{a} and C{b}. Their protocols are told nothing more; what these have written is sent first.

    An end of file is passed on once all before it is written; after both, both connections are closed. If one
    breaks, the other is reset.

    @param done: called once, when both are closed
    @param buffer: how many bytes of a direction the process may hold
    @param splice_from: how many bytes in one wake-up have a direction spliced
    @param taps: who looks at what passes from C{a} to C{b}, and back
    """
    joined = Relay(a, b, done, splice_from, pipes, taps)
    joined.start(buffer)
    return joined


class Relay:
    """
    Two directions.

    @ivar forth: from the first connection to the second
    @ivar back: and the other
    """

    __slots__ = ("_done", "_open", "back", "forth")

    def __init__(
        self,
        a: Stream,
        b: Stream,
        done: Callable[[], None],
        splice_from: int,
        pipes: splice.Pipes,
        taps: tuple[Tap, Tap] | None,
    ) -> None:
        if not (splice.AVAILABLE and a.plain and b.plain):
            splice_from = NEVER
        self._done = done
        self._open = 2
        self.forth: Direction
        self.back: Direction
        if taps is None:
            self.forth = Direction(self, a, b, splice_from, pipes)
            self.back = Direction(self, b, a, splice_from, pipes)
        else:
            self.forth = Tapped(self, a, b, splice_from, pipes, taps[0])
            self.back = Tapped(self, b, a, splice_from, pipes, taps[1])

    def __repr__(self) -> str:
        return f"<Relay {self.forth!r}, {self.back!r}>"

    def start(self, buffer: int) -> None:
        """Take over both connections."""
        both = (self.forth, self.back)
        for direction in both:
            direction.register(buffer)
        for direction in both:
            direction.start()

    def abort(self) -> None:
        """Reset both connections, whatever they are doing."""
        self.forth.source.abortConnection()
        self.back.source.abortConnection()

    def close(self) -> None:
        """Close both connections, after what was written to them."""
        for direction in (self.forth, self.back):
            direction.state = State.ENDED
            direction.sink.unregisterProducer()
            direction.spill()
        for direction in (self.forth, self.back):
            direction.sink.loseConnection()

    def ended(self) -> None:
        """One direction has: is that all?"""
        if self.finished():
            for direction in (self.forth, self.back):
                direction.finish()

    def lost(self, direction: Direction) -> None:
        """The source of C{direction} is closed."""
        self._open -= 1
        if not self._open:
            done = self._done
            # who is told mostly holds us: no cycles for the collector
            del self._done
            done()
        elif not self.finished():
            direction.sink.abortConnection()

    def finished(self) -> bool:
        """Whether both directions have ended."""
        return self.forth.state is self.back.state is State.ENDED


@implementer(IHalfCloseableProtocol, IPushProducer)
class Direction:
    """
    One way: from C{source} to C{sink}.

    @ivar held: the source is not read, whatever the sink would take
    @ivar _pipe: while blocked, the one with what the sink did not take
    """

    __slots__ = ("_pipe", "_pipes", "_relay", "_splice_from", "held", "sink", "source", "state")

    def __init__(self, owner: Relay, source: Stream, sink: Stream, splice_from: int, pipes: splice.Pipes) -> None:
        self._relay = owner
        self._splice_from = splice_from
        self._pipes = pipes
        self._pipe: splice.Pipe | None = None
        self.source = source
        self.sink = sink
        self.state = State.COPYING
        self.held = False

    def __repr__(self) -> str:
        ends = " to ".join(join_host_port(*end.peer_address) for end in (self.source, self.sink))
        return f"{ends} {self.state.value}{f' {self._pipe}' if self._pipe else ''}"

    # taking over

    def register(self, buffer: int) -> None:
        """Become the sink's producer."""
        self._pipes.enter()
        # paused when more than that is left; one more read may follow, as a read is written at once
        self.sink.bufferSize = max(buffer - READ_SIZE, 0)
        self.sink.unregisterProducer()
        self.sink.registerProducer(self, True)

    def start(self) -> None:
        """Become the source's protocol and read, unless the sink has yet to take what others wrote."""
        if self.source.disconnected:
            self.connectionLost(Failure(ConnectionLost()))
            return
        self.source.attach(self, self.source.take_unread())
        if self.state is State.COPYING:
            self._resume()

    def hold(self) -> None:
        """Read no more from the source, until L{release}."""
        self.held = True
        self.source.pauseProducing()

    def release(self) -> None:
        """Read again, as soon as the sink takes more."""
        self.held = False
        if self.state in (State.COPYING, State.SPLICING):
            self.source.resumeProducing()

    def _resume(self) -> None:
        if not self.held:
            self.source.resumeProducing()

    # the sink's producer

    def pauseProducing(self) -> None:
        """The sink has enough."""
        if self.state is State.COPYING:
            self.state = State.BLOCKED
        self.source.pauseProducing()

    def resumeProducing(self) -> None:
        """The sink took all."""
        if self.state is State.BLOCKED:
            self.state = State.COPYING
            self._resume()

    def stopProducing(self) -> None:
        """The sink is closed: its own protocol says so in a moment."""

    # the source's protocol

    def makeConnection(self, transport: Any) -> None:
        """Nothing that L{start} does not do."""

    def dataReceived(self, data: bytes) -> None:
        """Copy."""
        self.sink.write(data)
        if len(data) >= self._splice_from and self.state is State.COPYING and not self.sink.buffered:
            self.state = State.SPLICING
            self.source.doRead = self._splice  # type: ignore[method-assign]

    def readConnectionLost(self) -> None:
        """All is read, and as nothing is read before the sink took what came before, it needs but the end."""
        self.state = State.ENDED
        self.sink.unregisterProducer()
        if self._relay.finished():
            # closing the sink is its end of file, too
            self._relay.ended()
        else:
            self.sink.loseWriteConnection()
            # the source may yet break
            self.source.pauseProducing()

    def writeConnectionLost(self) -> None:
        """The other direction ended; it knows."""

    def finish(self) -> None:
        """Close the sink after all that it has been given."""
        if self._pipe is None:
            self.sink.finish()
        else:
            self.sink.loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        """The source is closed."""
        owner = self._relay
        # it is over: no cycles for the collector
        del self._relay
        vars(self.source).pop("doRead", None)
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        self._pipes.leave()
        owner.lost(self)

    # splicing

    def _splice(self) -> Any:
        """Stands in for the source's C{doRead}."""
        source, sink = self.source, self.sink
        pipe = self._pipes.take()
        if pipe is None:
            self._copy()
            return source.doRead()
        source_fd, sink_fd = source.fileno(), sink.fileno()
        moved = 0
        why: BaseException | None = None
        broke: OSError | None = None
        ahead = self._ahead()
        for _ in range(ROUNDS):
            try:
                count = pipe.fill(source_fd, ahead - moved)
            except BlockingIOError:
                break
            except OSError as e:
                if splice.unsupported(e):
                    self._splice_from = NEVER
                    self._copy()
                else:
                    why = source._lost(e)
                break
            if not count:
                why = LOST if source.errno else DONE  # as Stream.doRead
                break
            moved += count
            try:
                pipe.drain(sink_fd)
            except OSError as e:
                broke = e
            if pipe.held or moved == ahead:
                break
        source.bytes_in += moved
        sink.bytes_out += moved - pipe.held
        if broke is not None:
            self._pipes.give(pipe)
            sink.connectionLost(Failure(sink._lost(broke)))
        elif pipe.held:
            self._block(pipe)
        else:
            self._pipes.give(pipe)
            if why is None and (0 < moved < self._splice_from // 2 or moved == ahead):
                self._copy()
        self._skipped(moved)
        return why

    def _ahead(self) -> int:
        """How many bytes may pass unseen."""
        return ENDLESS

    def _skipped(self, count: int) -> None:
        """So many did."""

    def _copy(self) -> None:
        self.state = State.COPYING
        vars(self.source).pop("doRead", None)

    def _block(self, pipe: splice.Pipe) -> None:
        self._pipe = pipe
        self.state = State.BLOCKED
        self.source.pauseProducing()
        self.sink.doWrite = self._drain  # type: ignore[method-assign]
        self.sink.startWriting()

    def _drain(self) -> Any:
        """Stands in for the sink's C{doWrite}, while a pipe holds what it has to take first."""
        pipe, source, sink = self._pipe, self.source, self.sink
        if pipe is None:
            return None
        try:
            sink.bytes_out += pipe.drain(sink.fileno())
        except OSError as e:
            return sink._lost(e)
        if pipe.held:
            return None
        self._pipe = None
        self._pipes.give(pipe)
        vars(sink).pop("doWrite", None)
        if sink.disconnecting:
            return DONE
        if self.held or not self._ahead():
            self._unblock()
            return None
        self.state = State.SPLICING
        # most likely there is more: while the sink is the slower one, the hub is asked for nothing
        why = self._splice()
        if sink.disconnected or self.state is State.BLOCKED:
            return None
        sink.stopWriting()
        if why is None:
            self._resume()
        elif why is DONE:
            source.readConnectionLost(Failure(why))
        else:
            source.connectionLost(Failure(why))
        return None

    def spill(self) -> None:
        """Give the sink what a pipe holds, as it is closed after that and the source without it."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            vars(self.sink).pop("doWrite", None)
            held = pipe.empty()
            self._pipes.give(pipe)
            self.sink.write(held)

    def _unblock(self) -> None:
        """What was held is out, and what comes next has to be looked at."""
        self.sink.stopWriting()
        self._copy()
        self._resume()


class Tapped(Direction):
    """
    One way, with somebody who looks at it.

    @ivar _late: what goes after the bytes that a pipe still holds
    """

    __slots__ = ("_late", "tap")

    def __init__(
        self, owner: Relay, source: Stream, sink: Stream, splice_from: int, pipes: splice.Pipes, tap: Tap
    ) -> None:
        super().__init__(owner, source, sink, splice_from, pipes)
        self.tap = tap
        self._late = b""

    def pump(self) -> None:
        """The tap may have more to say than it had, although nothing has arrived."""
        if not self.source.disconnected:
            self._send(self.tap.feed(b""))

    def dataReceived(self, data: bytes) -> None:
        """Copy what the tap lets pass."""
        tap = self.tap
        out = tap.feed(data)
        if out:
            self.sink.write(out)
        if tap.over:
            self._relay.close()
        elif (
            len(data) >= self._splice_from
            and tap.unseen >= self._splice_from
            and self.state is State.COPYING
            and not self.sink.buffered
        ):
            self.state = State.SPLICING
            self.source.doRead = self._splice  # type: ignore[method-assign]

    def readConnectionLost(self) -> None:
        """The end, after what the tap has kept."""
        self._send(self.tap.end())
        if self.tap.last:
            self._relay.close()
        else:
            super().readConnectionLost()

    def _send(self, data: bytes) -> None:
        if self._pipe is not None:
            self._late += data
        elif data:
            self.sink.write(data)
        if self.tap.over:
            self._relay.close()

    def spill(self) -> None:
        """And what goes after it."""
        super().spill()
        late, self._late = self._late, b""
        if late:
            self.sink.write(late)

    def _ahead(self) -> int:
        return 0 if self._late else self.tap.unseen

    def _skipped(self, count: int) -> None:
        if count:
            self.tap.skip(count)
            if not self.tap.unseen:
                self.pump()

    def _drain(self) -> Any:
        why = super()._drain()
        if self._late and self._pipe is None and why is None:
            late, self._late = self._late, b""
            self.sink.write(late)
        return why
