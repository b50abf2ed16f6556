# -*- test-case-name: tests.transport.test_socket -*-
"""
The transport under every session and client: a TCP connection that writes at once.

Twisted's C{write} buffers and asks the reactor to come back when the socket is writable: one more turn and two
C{epoll_ctl} for every message. A small message nearly always fits into the kernel's buffer, so L{Stream.write}
tries first and buffers what is left. It also counts its bytes, and remembers why it ended.

Over 300 lines: one class, each of whose parts (reading, writing, the end) relies on what the others keep.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet import address, tcp
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from lproxy.metrics.counters import TransportCounter
from lproxy.transport.hub import DONE, LOST, Reactor

#: bytes asked of the kernel at once
READ_SIZE = 65536

SocketAddress = tuple[str, int]

_log = Logger()


def clean_address(raw: Any) -> SocketAddress:
    """IP and port of a kernel's address, IPv4 mapped into IPv6 shown as what it is; empty for UNIX sockets."""
    if not isinstance(raw, tuple):
        return ("", 0)
    host: str = raw[0]
    return (host.removeprefix("::ffff:") if "." in host else host, raw[1])


class Stream(tcp.Connection):
    """
    One connected TCP socket.

    @ivar peer_address: IP and port of the other side
    @ivar host_address: IP and port of this side
    @ivar bytes_in: bytes read from the socket so far
    @ivar bytes_out: bytes handed to the kernel so far
    @ivar errno: empty, or the symbol of the error that ended the connection, C{ECONNRESET}
    @ivar original_dst: where a redirected connection was going, if it was redirected and somebody asked
    @ivar dialled: an upstream connection opened while the client was silent, for the protocol that gets this one
    @ivar on_close: called with this stream once it is closed, before its protocol is told
    @ivar on_crash: called with the Failure of the first exception in its protocol, which is logged where it is unset
    """

    #: what the socket carries is what C{write} was given: its bytes may be spliced. Not so with TLS
    plain = True
    protocol: Any
    reactor: Any

    # the kernel closes for good on close(): all our sockets are close-on-exec
    _shouldShutdown = False
    _crashed = False

    def __init__(self, sock: socket.socket, reactor: Reactor, peer: SocketAddress, host: SocketAddress) -> None:
        super().__init__(sock, None, reactor)  # type: ignore[arg-type]
        self.peer_address = peer
        self.host_address = host
        self.bytes_in = 0
        self.bytes_out = 0
        self.errno = ""
        self.original_dst: SocketAddress | None = None
        self.dialled: Any = None
        self._unread = b""
        self._began = reactor.seconds()
        self._counter: TransportCounter | None = None
        self.on_close: Callable[[Stream], None] | None = None
        self.on_crash: Callable[[Failure], None] | None = None
        self._recv = sock.recv
        self._send = sock.send
        self.connected = 1

    def __repr__(self) -> str:
        return f"<Stream {self.host_address} to {self.peer_address} in={self.bytes_in} out={self.bytes_out}>"

    def counted(self, counter: TransportCounter) -> None:
        """Belong to C{counter} from now on, with everything since the beginning."""
        self._counter = counter
        counter.open(self, self._began)

    def attach(self, protocol: Any, prefix: bytes = b"", eof: bool = False) -> None:
        """
        Let C{protocol} have the connection from now on, and begin it. Whoever had it is told nothing more.

        @param prefix: what somebody else has read already: the first that C{protocol} gets, unless it takes it before
        @param eof: whether the end of the client's bytes was read as well
        """
        self._unread = prefix
        self.protocol = protocol
        try:
            protocol.makeConnection(self)
            if not self._serves(protocol):
                return
            if prefix := self.take_unread():
                protocol.dataReceived(prefix)
        except Exception:
            self.crashed(Failure())
            return
        if eof and self._serves(protocol):
            self.readConnectionLost(Failure(DONE))

    def _serves(self, protocol: Any) -> bool:
        return not self.disconnected and self.protocol is protocol

    def take_unread(self) -> bytes:
        """What L{attach} was given and C{dataReceived} has not got yet."""
        unread, self._unread = self._unread, b""
        return unread

    def crashed(self, failure: Failure) -> None:
        """The protocol raised: end the connection, tell whoever counts such things. What that brings on is not told."""
        if not self._crashed:
            self._crashed = True
            if self.on_crash is not None:
                self.on_crash(failure)
            else:
                _log.failure("Unexpected error in the protocol of {stream!r}", failure, stream=self)
        self.abortConnection()

    # reading

    def doRead(self) -> Any:
        """Called by the reactor: the socket is readable."""
        try:
            data = self._recv(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError as e:
            return self._lost(e)
        if not data:
            # a write that failed had the error from the kernel: what is left of it looks like an end of file
            return LOST if self.errno else DONE
        self.bytes_in += len(data)
        try:
            self.protocol.dataReceived(data)
        except Exception:
            self.crashed(Failure())
        return None

    def readConnectionLost(self, reason: Failure) -> None:
        """The peer sent FIN: protocols that can go on writing are told, the others' connections end."""
        if IHalfCloseableProtocol.providedBy(self.protocol):
            try:
                self.protocol.readConnectionLost()
            except Exception:
                self.crashed(Failure())
        else:
            self.connectionLost(reason)

    def pauseProducing(self) -> None:
        """Read no more. A reset is noticed nevertheless, and ends the connection."""
        watch = getattr(self.reactor, "watch", None)
        if watch is None:
            self.stopReading()
        elif self.connected and not self._aborting:
            watch(self)

    def hung_up(self) -> Any:
        """Called by the hub instead of C{doRead} while paused: perhaps the connection broke."""
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return self._lost(OSError(code, "hung up")) if code else None

    def quiet(self) -> bool:
        """Whether the peer has neither spoken nor hung up, as far as the kernel knows at this moment."""
        try:
            self._recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except (OSError, AttributeError):
            return False
        return False

    # writing

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    def write(self, data: bytes) -> None:
        """Send C{data}: now as far as the kernel takes it, the rest when it can."""
        if not self._tempDataLen and not self.dataBuffer and self.connected and not self._writeDisconnected:
            try:
                sent = self._send(data)
            except BlockingIOError:
                sent = 0
            except OSError as e:
                # the connection is gone: noted, and found again by doWrite, in the reactor's own turn
                self._lost(e)
                sent = 0
            self.bytes_out += sent
            if sent == len(data):
                return
            data = data[sent:]
        super().write(data)  # type: ignore[no-untyped-call]

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """As L{write}, for all pieces together."""
        self.write(b"".join(iovec))

    def writeSomeData(self, data: bytes) -> Any:
        """Called by C{doWrite} with what is buffered."""
        try:
            sent = self._send(memoryview(data)[: self.SEND_LIMIT])
        except BlockingIOError:
            return 0
        except OSError as e:
            return self._lost(e)
        self.bytes_out += sent
        return sent

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """As Twisted's; a producer that finds the buffer full is paused at once."""
        super().registerProducer(producer, streaming)  # type: ignore[no-untyped-call]
        self._maybePauseProducer()

    # the end

    def loseWriteConnection(self) -> None:
        """Send FIN after everything written so far: now, where the kernel has taken it all."""
        if not self.connected:
            return
        if self.buffered:
            super().loseWriteConnection()  # type: ignore[no-untyped-call]
        elif not self._writeDisconnected:
            self._writeDisconnecting = self._writeDisconnected = True
            self._closeWriteConnection()

    def finish(self) -> None:
        """
        Close, after everything written so far: now, where the kernel has taken it all.

        C{loseConnection} would come back for that in a turn of the reactor's. Here the protocol is told before this
        returns.
        """
        if self.buffered:
            self.loseConnection()
        else:
            self.connectionLost(Failure(DONE))

    def _lost(self, error: OSError) -> BaseException:
        if not self.errno:
            self.errno = errno.errorcode.get(error.errno or 0, "EIO")
        return LOST

    def abortConnection(self) -> None:
        """Close with RST, dropping what is buffered."""
        if not self.errno and not self.disconnected:
            self.errno = "ECONNABORTED"
        super().abortConnection()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure) -> None:
        """Called once, when the socket is to be closed."""
        if self.disconnected:
            return
        del self._recv, self._send
        if self._counter is not None:
            self._counter.close(self, self.reactor.seconds())
        if self.on_close is not None:
            self.on_close(self)
        self.disconnected = 1
        self.connected = 0
        if self.producer is not None:
            self.producer.stopProducing()
        self.producer = None
        self.reactor.forget(self)
        # stock code asks the reason, which is a string comparison for every class that it derives from
        self._closeSocket(not self._aborting)
        protocol = self.protocol
        del self.protocol, self.socket, self.fileno
        if protocol is None:
            return  # given up before anybody had it
        try:
            protocol.connectionLost(reason)
        except Exception:
            self.crashed(Failure())

    # addresses

    def getPeer(self) -> Any:
        """The other side."""
        return _twisted_address(self.peer_address)

    def getHost(self) -> Any:
        """This side."""
        return _twisted_address(self.host_address)


def _twisted_address(pair: SocketAddress) -> Any:
    kind = address.IPv6Address if ":" in pair[0] else address.IPv4Address
    return kind("TCP", *pair)


def is_local(host: str) -> bool:
    """Whether the IP address C{host} is one of this machine's; an OSError where there is no descriptor to ask with."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
