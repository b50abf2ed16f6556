# -*- test-case-name: tests.testing.test_wire -*-
"""
Connections in memory: a stream that ends at a L{Peer}, which a test holds, under a clock that the test moves.

What a peer says is read in the clock's next turn.

Over 300 lines: a peer, its stream and the turns of both are one double.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lproxy.metrics.counters import TransportCounter
from lproxy.transport.socket import HIGH_WATER, READ_SIZE
from lproxy.transport.stream import Address, Conn, Raw, Reader

#: turns after which whatever keeps a reactor busy will never come to rest
FOR_EVER = 100_000


class Peer:
    """
    The other side of a connection.

    @ivar heard: all that the proxy has sent
    @ivar ended: how the proxy has ended the connection: C{""} not at all, C{"eof"} for its own direction alone,
        C{"closed"} or C{"reset"}
    @ivar room: how many bytes it still takes, C{None} for any number
    @ivar unconfirmed: how many of those that it took wait in a kernel's buffer
    """

    def __init__(self) -> None:
        self.heard = b""
        self.ended = ""
        self.room: int | None = None
        self.unconfirmed = 0
        self.said = b""
        self.eof = False
        self.broken = ""

    def __repr__(self) -> str:
        return f"<Peer heard {len(self.heard)} bytes, {self.ended or 'open'}>"

    def say(self, data: bytes) -> None:
        """Send C{data} to the proxy."""
        self.said += data

    def hang_up(self) -> None:
        """Say nothing more: FIN."""
        self.eof = True

    def reset(self) -> None:
        """RST."""
        self.broken = errno.errorcode[errno.ECONNRESET]
        self.said = b""

    def cut_off(self) -> None:
        """End without a word of TLS (close_notify), where the connection is within TLS: no end, but a loss."""
        self.broken = errno.errorcode[errno.EPROTO]

    @property
    def unread(self) -> int:
        """Bytes that were said and the proxy has not read."""
        return len(self.said)

    def take(self, data: bytes) -> int:
        """Hear as much of C{data} as there is room for."""
        taken = data if self.room is None else data[: self.room]
        self.heard += taken
        if self.room is not None:
            self.room -= len(taken)
        return len(taken)


class MemoryStream:
    """
    A L{Stream<lproxy.transport.stream.Stream>} in memory.

    @ivar peer: its other side
    @ivar reading: whether it reads
    """

    def __init__(self, clock: ScriptedReactor, peer: Peer, conn: Conn) -> None:
        self._clock = clock
        self._reader: Reader | None = None
        self._counter: TransportCounter | None = None
        self._unsent = bytearray()
        self._began = clock.seconds()
        self._paused = self._ended = self._closing = self._crashed = False
        self.peer = peer
        self.reading = False
        self.conn = conn
        self.bytes_in = 0
        self.bytes_out = 0
        self.errno = ""
        self.closed = False
        self.high_water = HIGH_WATER
        self.read_size = READ_SIZE
        self.on_crash: Callable[[Failure], None] | None = None
        clock.streams.append(self)

    def __repr__(self) -> str:
        return f"<MemoryStream to {self.peer!r}>"

    def turn(self) -> bool:
        """Read and write what can be; whether there was anything."""
        peer = self.peer
        if self.closed or not (peer.broken or self._read_due() or self._write_due()):
            return False
        # of one that closes within this it is told, too
        on_crash = self.on_crash
        try:
            if self._write_due():
                self._flush()
            elif peer.said and self.reading:
                data, peer.said = peer.said[: self.read_size], peer.said[self.read_size :]
                self.bytes_in += len(data)
                self._tell().data_received(data)
            elif peer.broken:
                self.errno = self.errno or peer.broken
                self._shut("closed")
            else:
                self.reading = False
                self._tell().eof_received()
        except BaseException:
            self.crashed(Failure(), on_crash)
        return True

    def _read_due(self) -> bool:
        return self.reading and bool(self.peer.said or self.peer.eof)

    def _write_due(self) -> bool:
        return bool(self._unsent) and self.peer.room != 0 and not self.peer.broken

    def _tell(self) -> Reader:
        assert self._reader is not None, f"{self!r} reads for nobody"
        return self._reader

    # Stream

    def counted(self, counter: TransportCounter) -> None:
        """Belong to C{counter}, with everything since the beginning, unless it belongs to another."""
        if self._counter is None:
            self._counter = counter
            counter.open(self, self._began)

    def attach(self, reader: Reader, prefix: bytes = b"", eof: bool = False) -> None:
        """Tell C{reader} from now on."""
        if self.closed:
            try:
                reader.connection_lost()
            except BaseException:
                self.crashed(Failure())
            return
        self._reader = reader
        self._paused = self.buffered > self.high_water
        try:
            if self._paused:
                reader.pause_writing()
            if prefix and self._reader is reader:
                reader.data_received(prefix)
            if eof and self._reader is reader:
                reader.eof_received()
        except BaseException:
            self.crashed(Failure())

    @property
    def buffered(self) -> int:
        """Bytes that the peer had no room for."""
        return len(self._unsent)

    def write(self, data: bytes) -> None:
        """Let the peer hear C{data}, as far as it has room."""
        if self.closed or self._ended or self._closing:
            return
        if self.peer.broken:
            self.errno = self.errno or self.peer.broken
            return
        taken = 0 if self._unsent else self.peer.take(data)
        self.bytes_out += taken
        self._unsent += data[taken:]
        if not self._paused and len(self._unsent) > self.high_water:
            self._paused = True
            if self._reader is not None:
                self._reader.pause_writing()

    def _flush(self) -> None:
        taken = self.peer.take(bytes(self._unsent))
        self.bytes_out += taken
        del self._unsent[:taken]
        if self._unsent:
            return
        if self._closing:
            self._shut("closed")
            return
        if self._ended:
            self.peer.ended = "eof"
        if self._paused:
            self._paused = False
            if self._reader is not None:
                self._reader.resume_writing()

    def pause(self) -> None:
        """Read no more."""
        self.reading = False

    def resume(self) -> None:
        """Read."""
        self.reading = not self._closing

    def end(self) -> None:
        """FIN, after what was written."""
        if not self.closed and not self._ended:
            self._ended = True
            if not self._unsent:
                self.peer.ended = "eof"

    def close(self) -> None:
        """Close, after what was written."""
        if self._unsent and not self.closed:
            self._closing = True
            self.reading = False
        else:
            self._shut("closed")

    def abort(self) -> None:
        """Reset."""
        if not self.closed:
            self.errno = self.errno or "ECONNABORTED"
            self._shut("reset")

    def delivered(self) -> int:
        """Bytes that the peer has taken, and confirmed."""
        return self.bytes_out - self.peer.unconfirmed

    def silent(self) -> bool:
        """Whether the peer has neither spoken nor hung up."""
        return not (self.closed or self.peer.said or self.peer.eof or self.peer.broken)

    def raw(self) -> Raw | None:
        """There is no kernel, and no splice."""
        return None

    def crashed(self, failure: Failure, on_crash: Callable[[Failure], None] | None = None) -> None:
        """The reader raised; C{on_crash} is told where the stream has nobody to tell any more."""
        if not self._crashed:
            self._crashed = True
            told = self.on_crash or on_crash
            if told is None:
                failure.raiseException()
            else:
                told(failure)
        self.abort()

    def _shut(self, how: str) -> None:
        if self.closed:
            return
        self.closed = True
        self.peer.ended = how
        self._clock.streams.remove(self)
        if self._counter is not None:
            self._counter.close(self, self._clock.seconds())
        reader, self._reader = self._reader, None
        self._unsent.clear()
        if reader is not None:
            try:
                reader.connection_lost()
            except BaseException:
                self.crashed(Failure())
        self.on_crash = None


class ScriptedReactor(Clock):
    """
    A clock that also moves the bytes of its streams: time passes when the test says so.

    @ivar streams: those that are open
    """

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[MemoryStream] = []

    def stream(
        self, peer: Peer, peer_address: Address, local_address: Address, original_dst: Address | None = None
    ) -> MemoryStream:
        """The proxy's side of a connection with C{peer}; one that was redirected here has an C{original_dst}."""
        return MemoryStream(self, peer, Conn(peer_address, local_address, original_dst))

    def settle(self, seconds: float = 0.0) -> None:
        """
        Let C{seconds} pass and everything be read and written, until nothing more happens by itself.

        @raise AssertionError: that is never
        """
        self.advance(seconds)
        for _ in range(FOR_EVER):
            due = any(call.getTime() <= self.seconds() for call in self.getDelayedCalls())
            if not self.turn() and not due:
                return
            self.advance(0)
        raise AssertionError(f"never comes to rest: {self.streams}")

    def turn(self) -> bool:
        """Serve what is ready, once; whether there was anything."""
        served = False
        for stream in list(self.streams):
            served = stream.turn() or served
        return served

    def call_later(self, delay: float, f: Any, *args: Any) -> Any:
        """As of the hub."""
        return self.callLater(delay, f, *args)
