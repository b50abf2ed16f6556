# -*- test-case-name: tests.transport.test_socket, tests.testing.test_wire -*-
"""
What carries bytes, as everybody above transport sees it: a socket, TLS on a socket, memory.

A L{Stream} is written to and read by pushing: whoever is its L{Reader} is told what arrives, and when it may write on.
Nobody above knows what it is made of. What only a plain socket can do, to have the kernel move its bytes, is asked
for by L{Stream.raw}.

Whatever has the shape of these will do. Classes that inherit from them, as ours do, are called without looking up
their methods where both sides are compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from twisted.python.failure import Failure

from lproxy.metrics.counters import TransportCounter

#: IP address and port; empty and 0 for a UNIX socket
Address = tuple[str, int]


#: of L{Conn.no_tls_reason}: nobody has asked for TLS
DISABLED: Final = "disabled"


class Plain(NamedTuple):
    """
    Why connections have no TLS, as far as is known before they say anything.

    @ivar elsewhere: where the other side is on another machine
    @ivar loopback: where it is on this one
    """

    elsewhere: str = DISABLED
    loopback: str = DISABLED

    def reason(self, host: str) -> str:
        """Of one with the IP address C{host}."""
        return self.loopback if host.startswith("127.") or host == "::1" else self.elsewhere


#: where TLS is no subject
UNSECURED: Final = Plain()


class Secured(NamedTuple):
    """
    What TLS has settled about a connection.

    @ivar sni: the name that the client asked for, in lower case; empty where it did not
    @ivar alpn: the protocol that was agreed upon; empty where none was
    @ivar version: C{TLSv1.3}
    @ivar cipher: OpenSSL's name of it
    @ivar local_identity: who we are to the peer, as our certificate says; empty where we showed none
    @ivar remote_identity: who the peer is, as its certificate says, which was verified; empty where it showed none
    @ivar resumed: whether an earlier session went on
    """

    sni: str = ""
    alpn: str = ""
    version: str = ""
    cipher: str = ""
    local_identity: str = ""
    remote_identity: str = ""
    resumed: bool = False


class Conn(NamedTuple):
    """
    What is known of a connection from its beginning; a value.

    @ivar peer: the other side's IP address and port
    @ivar local: this side's
    @ivar original_dst: where a redirected connection was going, where it was redirected and somebody asked
    @ivar tls: what is known through TLS; C{None} where there is none, or none that we have ended
    @ivar no_tls_reason: why that is so; see C{no_tls_reason} of the metrics
    @ivar sni: the name that the client asks for in TLS that passes through us; empty where there is none
    """

    peer: Address
    local: Address
    original_dst: Address | None = None
    tls: Secured | None = None
    no_tls_reason: str = DISABLED
    sni: str = ""


class Reader(Protocol):
    """
    Whoever has a stream: is told what arrives on it, and when it takes no more.

    What any of these raises costs the stream and nothing else: it is aborted, and C{on_crash} is told.
    """

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """C{data} has arrived: at least a byte, at most C{stream.read_size} of them."""

    def eof_received(self) -> None:
        """The peer has sent all it will (FIN, close_notify). What is written is still sent: end it, or close it."""

    def connection_lost(self) -> None:
        """The stream is closed, by whatever side; C{stream.errno} says how. Told once, and last."""

    def pause_writing(self) -> None:
        """More than C{stream.high_water} bytes wait to be taken by the peer: write no more for now."""

    def resume_writing(self) -> None:
        """After L{pause_writing}: all of it was taken."""


class Stream(Protocol):
    """
    A connection that carries bytes.

    @ivar conn: who is at its ends
    @ivar bytes_in: bytes read so far
    @ivar bytes_out: bytes that the kernel has taken so far
    @ivar errno: empty, or the symbol of the error that ended it, C{ECONNRESET}; or the alert, C{alert:unknown_ca}
    @ivar closed: whether it is over, and its reader told
    @ivar high_water: how many bytes may wait to be taken before its reader is told to pause
    @ivar read_size: how many its reader is given at once, at most; 64 KiB, where nobody says otherwise
    @ivar on_crash: told of the first exception of its readers, which is logged where it is unset
    """

    __slots__ = ("bytes_in", "bytes_out", "closed", "conn", "errno", "high_water", "on_crash", "read_size")

    conn: Conn
    bytes_in: int
    bytes_out: int
    errno: str
    closed: bool
    high_water: int
    read_size: int
    on_crash: Callable[[Failure], None] | None

    @property
    def buffered(self) -> int:
        """Bytes that were written and not taken yet."""

    def attach(self, reader: Reader, prefix: bytes = b"", eof: bool = False) -> None:
        """
        Tell C{reader} from now on, and nobody else any more.

        @param prefix: what somebody has read already: received before this returns
        @param eof: whether the end was read as well
        """

    def counted(self, counter: TransportCounter) -> None:
        """
        Belong to C{counter}, with everything since the beginning, unless it belongs to another: a connection is counted
        once, whatever is found inside of it.
        """

    def write(self, data: bytes) -> None:
        """Send C{data}: now as far as it is taken, the rest when it can be. Nothing, once closed."""

    def pause(self) -> None:
        """Read no more. That the connection breaks is noticed nevertheless."""

    def resume(self) -> None:
        """Read, as a new stream does not by itself."""

    def end(self) -> None:
        """Write no more: FIN or close_notify, after what was written. Reading goes on."""

    def close(self) -> None:
        """Close, after what was written: before this returns, where nothing waits."""

    def abort(self) -> None:
        """Close with a reset, now. What waits is dropped."""

    def delivered(self) -> int:
        """
        Bytes that the peer has taken so far: of those that the kernel has, it knows which were confirmed. Who reads
        slowly moves it, although nothing more fits into the kernel for long.
        """

    def silent(self) -> bool:
        """Whether the peer has neither spoken nor hung up, as far as is known at this very moment, read or not."""

    def raw(self) -> Raw | None:
        """What can be spliced; C{None} where the bytes on the wire are not those that are written (TLS, memory)."""


class Raw(Protocol):
    """
    The socket of a stream whose bytes are what the socket carries, for whoever has the kernel move them.

    Its readiness can be had instead of the stream's own reading and writing, one direction at a time.
    """

    __slots__ = ()

    def fileno(self) -> int:
        """The descriptor."""

    def peek(self, most: int) -> bytes:
        """
        What waits to be read, at most C{most} bytes of it, which stay where they are; empty at the end.

        @raise BlockingIOError: nothing has come yet
        @raise OSError: the connection broke, which L{failed} is to be told
        """

    def take(self, count: int) -> bytes:
        """Read C{count} bytes that L{peek} has shown, which are none of the stream's own, nor counted as such."""

    def divert_reading(self, readable: Callable[[], None] | None) -> None:
        """Call C{readable} instead of reading, whenever there is something to read; C{None} takes that back."""

    def divert_writing(self, writable: Callable[[], None] | None, first: bytes = b"") -> None:
        """
        Wait to write and call C{writable}, before anything that waits is written; C{None} takes that back.

        @param first: with C{None}: sent before what waits, as it was said before
        """

    def low_water(self, count: int) -> None:
        """Wait for C{count} bytes, or the end, before anything is read; 1: for whatever comes."""

    def read_on(self) -> bool:
        """Read once more at once, as the last read was as much as there is in one. Whether there was anything."""

    def moved_in(self, count: int) -> None:
        """So many bytes were read by the kernel."""

    def moved_out(self, count: int) -> None:
        """So many were written by the kernel."""

    def read_ended(self) -> None:
        """The end was read: to be called instead of reading it again."""

    def failed(self, error: OSError) -> None:
        """The descriptor gave C{error}: the connection is lost."""
