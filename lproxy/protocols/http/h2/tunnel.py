# -*- test-case-name: tests.protocols.http.h2.test_tunnel -*-
"""
A stream of HTTP/2 that carries bytes in both directions: CONNECT (RFC 9113, 8.5) and extended CONNECT (RFC 8441).

It is a L{Stream<lproxy.transport.stream.Stream>} like others, towards a client or towards an upstream, and so a relay
joins it with whatever is on the other side. DATA are its bytes, END_STREAM is its FIN, RST_STREAM its RST. What is not
read here is not given back to the peer as credit, which is the back-pressure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.python.failure import Failure

from lproxy.api import Conn, Reader, Stream
from lproxy.metrics.counters import TransportCounter
from lproxy.protocols.http.h2.faults import CANCEL, NO_ERROR
from lproxy.protocols.http.h2.link import Link, Sender, Sending
from lproxy.protocols.http.message import NO_TRAILERS
from lproxy.transport.stream import Raw

#: until its reader says otherwise
HIGH_WATER: Final = 64 * 1024


class TunnelStream(Stream, Sending):
    """
    Whoever dispatches what the engine says gives it L{received} and L{was_reset}, and is told when it is over.

    @ivar _over: called when the stream is over on both sides, once
    @ivar _kept: what has come and is not read
    @ivar _eof: whether the peer has ended its side, and C{_told}: whether the reader knows
    @ivar _ended: whether we have ended ours
    """

    __slots__ = (
        "_closing",
        "_ended",
        "_eof",
        "_kept",
        "_link",
        "_over",
        "_paused",
        "_reader",
        "_reading",
        "_sender",
        "_told",
    )

    def __init__(self, link: Link, sender: Sender, over: Callable[[], None]) -> None:
        """
        @param sender: the stream's, whose owner passes C{room} and C{sent} on to this
        """
        self._link = link
        self._sender = sender
        self._over: Callable[[], None] | None = over
        self._reader: Reader | None = None
        self._kept = b""
        self._eof = False
        self._told = False
        self._ended = False
        self._closing = False
        self._reading = False
        self._paused = False
        self.conn: Conn = link.stream.conn
        self.bytes_in = 0
        self.bytes_out = 0
        self.errno = ""
        self.closed = False
        self.high_water = HIGH_WATER
        self.read_size = HIGH_WATER
        self.on_crash: Callable[[Failure], None] | None = None

    def __repr__(self) -> str:
        return f"<TunnelStream {self._sender.id}{' closed' if self.closed else ''}>"

    # what the connection says

    def received(self, data: bytes, end: bool) -> None:
        """The peer sent C{data}, and perhaps its end."""
        self._eof = self._eof or end
        if self.closed:
            self._link.engine.consumed(self._sender.id, len(data))
            return
        self._kept = self._kept + data if self._kept else data
        self._read()

    def was_reset(self, errno: str = "ECONNRESET") -> None:
        """The stream, or its connection, is over."""
        if not self.closed:
            self.errno = self.errno or errno
            self._close()

    def room(self, n: int) -> None:
        """All that was written is sent."""
        if self._paused:
            self._paused = False
            if self._reader is not None:
                self._guard(self._reader.resume_writing)

    def sent(self) -> None:
        """And our end, too."""
        self._finish()

    # Stream

    @property
    def buffered(self) -> int:
        """Bytes that wait for credit."""
        return len(self._sender.kept)

    def attach(self, reader: Reader, prefix: bytes = b"", eof: bool = False) -> None:
        """Tell C{reader} from now on."""
        self._reader = reader
        if self.closed:
            self._guard(reader.connection_lost)
            return
        self._paused = self.buffered > self.high_water
        try:
            if self._paused:
                reader.pause_writing()
            if prefix and self._reader is reader:
                reader.data_received(prefix)
            if eof and self._reader is reader:
                reader.eof_received()
        except BaseException:
            self._crashed(Failure())

    def counted(self, counter: TransportCounter) -> None:
        """Its bytes are counted with the connection that carries it."""

    def write(self, data: bytes) -> None:
        """Send C{data} as far as there is credit, the rest later."""
        if self.closed or self._ended:
            return
        self.bytes_out += len(data)
        credit = self._sender.data(data, False, NO_TRAILERS)
        # one that is short of credit, with nothing kept, may take one more piece: that is what is kept then
        if credit <= 0 and self._sender.kept and not self._paused:
            self._paused = True
            if self._reader is not None:
                self._reader.pause_writing()

    def pause(self) -> None:
        """Read no more: the peer gets no credit for what comes."""
        self._reading = False

    def resume(self) -> None:
        """Read, what is kept first."""
        if not self._reading:
            self._reading = True
            self._read()

    def end(self) -> None:
        """END_STREAM, after what was written."""
        if self.closed or self._ended:
            return
        self._ended = True
        self._sender.data(b"", True, NO_TRAILERS)
        self._finish()

    def close(self) -> None:
        """End it, and hear nothing more."""
        if not self.closed:
            self._closing = True
            self.end()
            self._finish()

    def abort(self) -> None:
        """Reset the stream."""
        if self.closed:
            return
        self.errno = self.errno or "ECONNABORTED"
        self._link.engine.reset(self._sender.id, CANCEL)
        self._link.touch()
        self._close()

    def delivered(self) -> int:
        """Bytes that there was credit for."""
        return self.bytes_out - self.buffered

    def silent(self) -> bool:
        """Whether nothing waits to be read."""
        return not (self.closed or self._kept or self._eof)

    def raw(self) -> Raw | None:
        """Nothing to splice."""
        return None

    # within

    def _read(self) -> None:
        reader = self._reader
        if reader is None or not self._reading:
            return
        kept, self._kept = self._kept, b""
        if kept:
            self.bytes_in += len(kept)
            # before it is passed on: who reads may end the stream
            self._link.engine.consumed(self._sender.id, len(kept))
            self._link.touch()
            self._guard_data(reader, kept)
        if self._eof and not self._told and self._all_read():
            self._told = True
            self._guard(reader.eof_received)
        self._finish()

    def _all_read(self) -> bool:
        """Whether the reader wants to know of the end, and has what was before it."""
        return self._reading and not self.closed and not self._kept

    def _finish(self) -> None:
        """Is it over on both sides?"""
        if self.closed or not self._sender.ended:
            return
        if self._told or (self._closing and self._eof):
            self._close()
        elif self._closing:
            # what the peer may still say is wanted by nobody
            self._link.engine.reset(self._sender.id, NO_ERROR)
            self._link.touch()
            self._close()

    def _close(self) -> None:
        self.closed = True
        self._kept = b""
        self._sender.drop()
        over, self._over = self._over, None
        try:
            if self._reader is not None:
                self._guard(self._reader.connection_lost)
        finally:
            if over is not None:
                over()

    def _guard(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except BaseException:
            self._crashed(Failure())

    def _guard_data(self, reader: Reader, data: bytes) -> None:
        try:
            reader.data_received(data)
        except BaseException:
            self._crashed(Failure())

    def _crashed(self, failure: Failure) -> None:
        """What a reader raises costs the stream."""
        if self.on_crash is not None:
            self.on_crash(failure)
        self.abort()
