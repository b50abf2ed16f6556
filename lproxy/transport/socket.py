# -*- test-case-name: tests.transport.test_socket -*-
"""
A stream on a connected socket, which writes at once.

A small message nearly always fits into the kernel's buffer, so L{SocketStream.write} tries first and keeps only what is
left, instead of coming back for it in another turn of the reactor. It counts its bytes, and remembers why it ended.

Nothing of Twisted's transports is underneath: the class is small, native where lproxy is compiled, and knows no
protocol but L{Reader<lproxy.transport.stream.Reader>}.

Over 300 lines: one class, each of whose parts (reading, writing, the end) relies on what the others keep.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from lproxy.metrics.counters import TransportCounter
from lproxy.transport.handover import Taken
from lproxy.transport.hub import READ, WATCH, WRITE, Descriptor, Events, Hub
from lproxy.transport.stream import Conn, Raw, Reader, Stream

#: bytes asked of the kernel at once, where nobody says otherwise
READ_SIZE: Final = 65536
#: bytes that may wait to be sent before the reader is told to pause, where nobody says otherwise
HIGH_WATER: Final = 65536
#: SO_LINGER of zero seconds: close() sends a reset
RESET: Final = struct.pack("ii", 1, 0)
#: an int, for the kernel to fill in
INT: Final = b"\0\0\0\0"

_log = Logger(__name__)


class SocketStream(Stream, Raw, Events):
    """
    A L{Stream<lproxy.transport.stream.Stream>}, and the L{Raw<lproxy.transport.stream.Raw>} of itself.

    @ivar _unsent: what the kernel has not taken; C{None} where there is nothing and writing is not diverted
    @ivar _paused: whether its reader was told to pause writing
    @ivar _at_end: whether its reader is being told that the peer has ended, and nobody has asked to read on
    @ivar _ended: whether C{end} was called, and C{_closing}: C{close}
    """

    __slots__ = (
        "_at_end",
        "_began",
        "_closing",
        "_counter",
        "_crashed",
        "_descriptor",
        "_divert_in",
        "_divert_out",
        "_ended",
        "_hub",
        "_low_water",
        "_paused",
        "_reader",
        "_released",
        "_sock",
        "_unsent",
    )

    def __init__(
        self,
        sock: Any,
        hub: Hub,
        conn: Conn,
        released: Callable[[], None] | None = None,
        descriptor: Descriptor | None = None,
        began: float | None = None,
    ) -> None:
        """
        @param sock: connected, and not blocking. C's own class will do, of which L{socket.socket} is a subclass, or
            what answers as it does, such as a L{Wire<lproxy.transport.tls.wire.Wire>}
        @param released: called once the socket is closed, before the reader is told
        @param descriptor: its descriptor, where the hub knows it already: we are told of it from now on
        @param began: when the connection did, if not now
        """
        # not typed as a protocol, which would be looked for in each call
        self._sock: Any = sock
        self._hub: Hub = hub
        if descriptor is None:
            descriptor = Descriptor(sock.fileno(), self)
        else:
            descriptor.events = self
        self._descriptor: Descriptor = descriptor
        self._reader: Reader | None = None
        self._released: Callable[[], None] | None = released
        self._counter: TransportCounter | None = None
        self._unsent: bytearray | None = None
        self._divert_in: Callable[[], None] | None = None
        self._divert_out: Callable[[], None] | None = None
        self._began: float = hub.seconds() if began is None else began
        self._low_water: int = 1
        self._paused: bool = False
        self._at_end: bool = False
        self._ended: bool = False
        self._closing: bool = False
        self._crashed: bool = False
        self.conn: Conn = conn
        self.bytes_in: int = 0
        self.bytes_out: int = 0
        self.errno: str = ""
        self.closed: bool = False
        self.high_water: int = HIGH_WATER
        self.read_size: int = READ_SIZE
        self.on_crash: Callable[[Failure], None] | None = None

    def __repr__(self) -> str:
        return f"<SocketStream {self.conn.local} to {self.conn.peer} in={self.bytes_in} out={self.bytes_out}>"

    def counted(self, counter: TransportCounter) -> None:
        """Belong to C{counter}, with everything since the beginning, unless it belongs to another."""
        if self._counter is None:
            self._counter = counter
            counter.open(self, self._began)

    def attach(self, reader: Reader, prefix: bytes = b"", eof: bool = False) -> None:
        """Tell C{reader} from now on: at once, where the stream is closed already or too much waits to be sent."""
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

    # reading

    def resume(self) -> None:
        """Read."""
        self._at_end = False
        if not self.closed and not self._closing:
            self._hub.want(self._descriptor, self._descriptor.interest & WRITE | READ)

    def pause(self) -> None:
        """Read no more, and be told when the connection breaks."""
        if not self.closed:
            self._hub.want(self._descriptor, self._descriptor.interest & WRITE | WATCH)

    def readable(self) -> None:
        """Called by the hub."""
        if self._divert_in is not None:
            self._divert_in()
            return
        try:
            data: bytes = self._sock.recv(self.read_size)
        except BlockingIOError:
            return
        except OSError as e:
            self.failed(e)
            return
        if data:
            self.bytes_in += len(data)
            reader = self._reader
            if reader is not None:
                reader.data_received(data)
        else:
            self.read_ended()

    def read_ended(self) -> None:
        """
        The peer sent FIN.

        Whoever reads on, perhaps another reader, finds the same end again. What most want instead, is to be told when
        the connection breaks; or they close it at once, which leaves nothing to be told of, and saves a system call.
        """
        if self.errno:
            # a write that failed had the error from the kernel: what is left of it looks like an end
            self._shut()
            return
        self._at_end = True
        reader = self._reader
        if reader is not None:
            reader.eof_received()
        if self._at_end:
            self._at_end = False
            self.pause()

    def hung_up(self) -> None:
        """Called by the hub instead of L{readable} while paused: perhaps the connection broke."""
        code: int = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.failed(OSError(code, "hung up"))
        elif self.errno:
            self._shut()

    def silent(self) -> bool:
        """Whether the peer has neither spoken nor hung up, as far as the kernel knows."""
        if self.closed:
            return False
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError as e:
            self._note_for_later(e)
        return False

    # writing

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self._unsent is None else len(self._unsent)

    def write(self, data: bytes) -> None:
        """Send C{data}: now as far as the kernel takes it, the rest when it can."""
        unsent = self._unsent
        if unsent is None:
            if self.closed or self._ended or self._closing:
                return
            try:
                sent: int = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as e:
                self._note_for_later(e)
                return
            self.bytes_out += sent
            if sent == len(data):
                return
            self._unsent = unsent = bytearray(memoryview(data)[sent:])
            self._hub.want(self._descriptor, self._descriptor.interest | WRITE)
        elif self._ended or self._closing:
            return
        else:
            unsent += data
        if not self._paused and len(unsent) > self.high_water:
            self._paused = True
            reader = self._reader
            if reader is not None:
                reader.pause_writing()

    def delivered(self) -> int:
        """Bytes that the peer's kernel has confirmed, where ours can say so (SIOCOUTQ on Linux)."""
        if self.closed:
            return self.bytes_out
        try:
            unconfirmed: int = struct.unpack("i", fcntl.ioctl(self._descriptor.fd, termios.TIOCOUTQ, INT))[0]
        except OSError:
            unconfirmed = 0
        return self.bytes_out - unconfirmed

    def writable(self) -> None:
        """Called by the hub."""
        if self.errno:
            self._shut()
            return
        if self._divert_out is not None:
            self._divert_out()
            return
        unsent = self._unsent
        if unsent:
            try:
                sent: int = self._sock.send(unsent)
            except BlockingIOError:
                return
            except OSError as e:
                self.failed(e)
                return
            self.bytes_out += sent
            del unsent[:sent]
        if not unsent:
            self._sent()

    def _sent(self) -> None:
        """Everything that waited is sent."""
        self._unsent = None
        if self._closing:
            self._shut()
            return
        self._hub.want(self._descriptor, self._descriptor.interest & ~WRITE)
        if self._ended:
            self._shutdown()
        if self._paused:
            self._paused = False
            reader = self._reader
            if reader is not None:
                reader.resume_writing()

    # the end

    def end(self) -> None:
        """Send FIN after everything written so far: now, where the kernel has taken it all."""
        if self.closed or self._ended:
            return
        self._ended = True
        if self._unsent is None:
            self._shutdown()

    def _shutdown(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as e:
            if e.errno != errno.ENOTCONN:
                self._note(e)
            # the peer is gone: noticed where it is read
            self._hub.want(self._descriptor, self._descriptor.interest | WATCH)

    def close(self) -> None:
        """Close, after everything written so far: before this returns, where the kernel has taken it all."""
        if self.closed or self._closing:
            return
        if self._unsent is None:
            self._shut()
        else:
            self._closing = True
            self._hub.want(self._descriptor, WRITE)

    def abort(self) -> None:
        """Close with RST, dropping what is buffered."""
        if self.closed:
            return
        if not self.errno:
            self.errno = "ECONNABORTED"
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            pass  # gone already
        self._shut()

    def failed(self, error: OSError) -> None:
        """The descriptor gave C{error}."""
        self._note(error)
        self._shut()

    def _note_for_later(self, error: OSError) -> None:
        """The kernel tells an error once: it is told on in the hub's own turn, not amid what found it."""
        self._note(error)
        self._hub.want(self._descriptor, self._descriptor.interest | WRITE)

    def _note(self, error: OSError) -> None:
        if not self.errno:
            self.errno = errno.errorcode.get(error.errno or 0, "EIO")

    def _shut(self) -> None:
        """Close the socket and tell everybody, once."""
        if self.closed:
            return
        self.closed = True
        self._hub.forget(self._descriptor)
        if self._counter is not None:
            self._counter.close(self, self._hub.seconds())
        self._sock.close()
        released, self._released = self._released, None
        if released is not None:
            released()
        reader, self._reader = self._reader, None
        # who is told mostly holds us: no cycles for the collector
        self._unsent = self._divert_in = self._divert_out = None
        if reader is not None:
            try:
                reader.connection_lost()
            except BaseException:
                self.crashed(Failure())
        self.on_crash = None

    def hand_over(self) -> Taken:
        """
        Give the socket away, to whoever speaks something else on it. The stream is over, and tells nobody.

        Nothing may have been read or written that matters to the receiver, nor wait to be.
        """
        taken = Taken(self._sock, self._descriptor, self.conn, self._released, self._began)
        self.closed = True
        self._reader = self._released = self._unsent = self._divert_in = self._divert_out = self.on_crash = None
        return taken

    def crashed(self, failure: Failure) -> None:
        """A reader raised: end the connection, tell whoever counts such things. What that brings on is not told."""
        try:
            if not self._crashed:
                self._crashed = True
                if self.on_crash is not None:
                    self.on_crash(failure)
                else:
                    _log.failure("Unexpected error in the reader of {stream!r}", failure, stream=self)
        finally:
            self.abort()

    def shut_down(self) -> None:
        """The reactor goes down."""
        self._shut()

    # Raw

    def raw(self) -> Raw | None:
        """The bytes on the wire are those that are written."""
        return self

    def fileno(self) -> int:
        """The descriptor's number."""
        return self._descriptor.fd

    def peek(self, most: int) -> bytes:
        """What the kernel has, which it keeps."""
        data: bytes = self._sock.recv(most, socket.MSG_PEEK)
        return data

    def take(self, count: int) -> bytes:
        """Read what was looked at."""
        data: bytes = self._sock.recv(count)
        return data

    def low_water(self, count: int) -> None:
        """Wait for C{count} bytes, or the end; no system call where nothing changes."""
        if count == self._low_water or self.closed:
            return
        self._low_water = count
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
        except OSError:
            pass  # where sockets have no such thing, whatever comes wakes us

    def read_on(self) -> bool:
        """Read once more."""
        before = self.bytes_in
        self.readable()
        return self.bytes_in != before

    def divert_reading(self, readable: Callable[[], None] | None) -> None:
        """Call C{readable} instead of reading."""
        if not self.closed:
            self._divert_in = readable

    def divert_writing(self, writable: Callable[[], None] | None, first: bytes = b"") -> None:
        """Wait to write, and call C{writable}, until it is told otherwise; what is written meanwhile waits."""
        if self.closed:
            return
        if writable is not None:
            self._divert_out = writable
            if self._unsent is None:
                self._unsent = bytearray()
            self._hub.want(self._descriptor, self._descriptor.interest | WRITE)
        elif self._divert_out is not None:
            self._divert_out = None
            unsent = self._unsent
            if first and unsent is not None:
                unsent[:0] = first
            if not unsent:
                self._sent()

    def moved_in(self, count: int) -> None:
        """So many bytes were read by the kernel."""
        self.bytes_in += count

    def moved_out(self, count: int) -> None:
        """So many bytes were written by the kernel."""
        self.bytes_out += count
