# -*- test-case-name: tests.transport.test_relay -*-
"""
Join two connections: what one says the other hears, until both have said all.

Each direction is a small object: protocol of the connection that it reads, producer of the one that it writes. That
is all it takes to copy between transports of any kind, with back-pressure. Where both are plain sockets and the
direction is busy, it has the kernel move the bytes instead (L{lproxy.transport.splice}), from one wake-up to the next
and back: neither way of moving keeps anything in between.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

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


def relay(
    a: Stream,
    b: Stream,
    done: Callable[[], None],
    buffer: int = BUFFER,
    splice_from: int = SPLICE_FROM,
    pipes: splice.Pipes = splice.PIPES,
) -> Relay:
    """
    Join C{a} and C{b}. Their protocols are told nothing more; what these have written is sent first.

    An end of file is passed on once all before it is written; after both, both connections are closed. If one
    breaks, the other is reset.

    @param done: called once, when both are closed
    @param buffer: how many bytes of a direction the process may hold
    @param splice_from: how many bytes in one wake-up have a direction spliced
    """
    joined = Relay(a, b, done, splice_from, pipes)
    joined.start(buffer)
    return joined


class Relay:
    """Two directions."""

    __slots__ = ("_back", "_done", "_forth", "_open")

    def __init__(self, a: Stream, b: Stream, done: Callable[[], None], splice_from: int, pipes: splice.Pipes) -> None:
        if not (splice.AVAILABLE and a.plain and b.plain):
            splice_from = NEVER
        self._done = done
        self._open = 2
        self._forth = Direction(self, a, b, splice_from, pipes)
        self._back = Direction(self, b, a, splice_from, pipes)

    def __repr__(self) -> str:
        return f"<Relay {self._forth!r}, {self._back!r}>"

    def start(self, buffer: int) -> None:
        """Take over both connections."""
        both = (self._forth, self._back)
        for direction in both:
            direction.register(buffer)
        for direction in both:
            direction.start()

    def abort(self) -> None:
        """Reset both connections, whatever they are doing."""
        self._forth.source.abortConnection()
        self._back.source.abortConnection()

    def ended(self) -> None:
        """One direction has: is that all?"""
        if self._finished():
            self._forth.source.loseConnection()
            self._back.source.loseConnection()

    def lost(self, direction: Direction) -> None:
        """The source of C{direction} is closed."""
        self._open -= 1
        if not self._open:
            self._done()
        elif not self._finished():
            direction.sink.abortConnection()

    def _finished(self) -> bool:
        return self._forth.state is self._back.state is State.ENDED


@implementer(IHalfCloseableProtocol, IPushProducer)
class Direction:
    """
    One way: from C{source} to C{sink}.

    @ivar _pipe: while blocked, the one with what the sink did not take
    """

    __slots__ = ("_pipe", "_pipes", "_relay", "_splice_from", "sink", "source", "state")

    def __init__(self, owner: Relay, source: Stream, sink: Stream, splice_from: int, pipes: splice.Pipes) -> None:
        self._relay = owner
        self._splice_from = splice_from
        self._pipes = pipes
        self._pipe: splice.Pipe | None = None
        self.source = source
        self.sink = sink
        self.state = State.COPYING

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
            self.source.resumeProducing()

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
        self.sink.loseWriteConnection()
        self._relay.ended()
        # the source may yet break
        self.source.pauseProducing()

    def writeConnectionLost(self) -> None:
        """The other direction ended; it knows."""

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
        for _ in range(ROUNDS):
            try:
                count = pipe.fill(source_fd)
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
            if pipe.held:
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
            if why is None and 0 < moved < self._splice_from // 2:
                self._copy()
        return why

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
        self.state = State.SPLICING
        # most likely there is more: while the sink is the slower one, the hub is asked for nothing
        why = self._splice()
        if sink.disconnected or self.state is State.BLOCKED:
            return None
        sink.stopWriting()
        if why is None:
            source.resumeProducing()
        elif why is DONE:
            source.readConnectionLost(Failure(why))
        else:
            source.connectionLost(Failure(why))
        return None
