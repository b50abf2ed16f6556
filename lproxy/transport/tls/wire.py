# -*- test-case-name: tests.transport.tls.test_wire -*-
"""
OpenSSL on a socket, with the manners of a socket: what is read and written is plain, what is raised is an OSError.

pyOpenSSL makes, sets up and ends connections. To read and to write, this asks the library below it itself: pyOpenSSL's
own C{recv} and C{send} cost 1.1 us more a call, for arguments that we do not have, for a buffer of their own each time,
and for an exception where there is nothing to read. All that we use of its inside stands in this file, and is tried by
its tests.
"""

from __future__ import annotations

import errno
import socket
from typing import Any, Final

from OpenSSL import SSL

from lproxy.transport.hub import READ, WRITE
from lproxy.transport.tls.alerts import alert_of, word_of

_lib: Final[Any] = SSL._lib  # type: ignore[attr-defined]
_ffi: Final[Any] = SSL._ffi  # type: ignore[attr-defined]
_read: Final[Any] = _lib.SSL_read
_write: Final[Any] = _lib.SSL_write
_error: Final[Any] = _lib.SSL_get_error
_unpack: Final[Any] = _ffi.unpack
_do_handshake: Final[Any] = _lib.SSL_do_handshake

#: bytes that one record holds (RFC 8446, 5.1): what OpenSSL reads or writes in one call
RECORD: Final = 16384
#: where everybody reads into, before it becomes an object of the size that it has: the most that anybody asks for
ROOM: Final = 16 * RECORD
_buffer: Final[Any] = _ffi.new("char[]", ROOM)
#: where its second record and the following ones go
_rest: Final[Any] = [_buffer + at for at in range(RECORD, ROOM, RECORD)]

WANT: Final = (_lib.SSL_ERROR_WANT_READ, _lib.SSL_ERROR_WANT_WRITE)
WANT_WRITE: Final[int] = _lib.SSL_ERROR_WANT_WRITE
ZERO_RETURN: Final[int] = _lib.SSL_ERROR_ZERO_RETURN
BOTH: Final[int] = SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN

#: there is nothing, or no room
_AGAIN: Final = "TLS waits for the socket"


def shake(connection: SSL.Connection) -> int:
    """
    Go on with the handshake of C{connection}.

    @return: C{READ} or C{WRITE}, as L{lproxy.transport.hub} has them: what it waits for; 0: it is done
    @raise Exception: it has failed; what callbacks of ours have raised, besides L{SSL.Error}
    """
    result: int = _do_handshake(connection._ssl)
    if result == 1:
        return 0
    code = _error(connection._ssl, result)
    if code in WANT:
        return WRITE if code == WANT_WRITE else READ
    connection._raise_ssl_error(connection._ssl, result)
    raise SSL.Error


def resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake of C{connection} went on with an earlier session."""
    return bool(_lib.SSL_session_reused(connection._ssl))


def broken(error: SSL.Error) -> OSError:
    """
    What OpenSSL raised, as an error of a socket: EPROTO for all that the protocol or its peer says. Its text is that
    of L{word_of} where that is an alert.
    """
    number: Any = error.args[0] if isinstance(error, SSL.SysCallError) else -1
    if isinstance(number, int) and number > 0:
        return OSError(number, "of the socket under TLS")
    alert = alert_of(error)
    return OSError(errno.EPROTO, word_of(alert) if alert else "of TLS")


class Wire:
    """
    What L{SocketStream<lproxy.transport.socket.SocketStream>} asks of a socket.

    @ivar connection: which has done its handshake
    @ivar held: what the next C{recv} gives without asking OpenSSL: bytes that were looked at, the end or an error that
        came right behind what was read. The hub is not woken by any of it
    @ivar quiet: whether C{close} says nothing to the peer any more
    """

    __slots__ = ("_sock", "_ssl", "connection", "held", "quiet")

    def __init__(self, sock: socket.SocketType, connection: SSL.Connection) -> None:
        self._sock: Any = sock
        self._ssl: Any = connection._ssl
        self.connection: SSL.Connection = connection
        self.held: bytes | OSError | None = None
        self.quiet: bool = False

    def recv(self, size: int, flags: int = 0) -> bytes:
        """
        The bytes of one record, or of several full ones, so that bulk moves in few pieces. Empty at C{close_notify}.

        @param size: how many, at most, where that is a record or more: what was left of one would wake nobody
        @param flags: 0 or C{MSG_PEEK}
        @raise BlockingIOError: there is nothing
        @raise OSError: the connection broke, or ended without C{close_notify}
        """
        if flags:
            return self._peek()
        if self.held is not None:
            return self._take()
        ssl = self._ssl
        got: int = _read(ssl, _buffer, RECORD)
        if got < RECORD:
            if got > 0:
                piece: bytes = _unpack(_buffer, got)
                return piece
            self.held = self._why(got)
            return self._take()
        full = got
        for rest in _rest:
            if full % RECORD or size - full < RECORD:
                break
            got = _read(ssl, rest, RECORD)
            if got <= 0:
                end = self._why(got)
                if not isinstance(end, BlockingIOError):
                    self.held = end
                break
            full += got
        piece = _unpack(_buffer, full)
        return piece  # noqa: RET504 typed by that

    def _take(self) -> bytes:
        held, self.held = self.held, None
        if isinstance(held, bytes):
            return held
        assert held is not None
        try:
            raise held
        finally:
            # an error knows this frame: no cycle for the collector
            held = None

    def _peek(self) -> bytes:
        """What C{recv} would give, which it then does. Messages that are not for us to read are dealt with."""
        if self.held is None:
            held = self.recv(RECORD)
            self.held = held
        if isinstance(self.held, OSError):
            return b""  # told where it is read
        return self.held or b""

    def send(self, data: bytes | bytearray) -> int:
        """
        How many bytes of C{data} the kernel has taken. The rest has to come again, at the beginning of what is sent
        next: a part of it may be encrypted and on its way.

        @raise BlockingIOError: none
        @raise OSError: the connection is broken
        """
        size = len(data)
        if size <= RECORD and isinstance(data, bytes):
            # of no bytes, OpenSSL makes an error
            sent: int = _write(self._ssl, data, size) if size else 0
            if sent <= 0 < size:
                raise self._refused(sent)
            return sent
        with _ffi.from_buffer(data) as start:
            return self._send_records(start, size)

    def _send_records(self, start: Any, size: int) -> int:
        done = 0
        while done < size:
            sent: int = _write(self._ssl, start + done, size - done)
            if sent <= 0:
                if not done:
                    raise self._refused(sent)
                self._why(sent)  # told when the rest is sent; OpenSSL forgets it with this
                break
            done += sent
        return done

    def _refused(self, result: int) -> OSError:
        why = self._why(result)
        return why if isinstance(why, OSError) else OSError(errno.EPIPE, "TLS: closed by the peer")

    def _why(self, result: int) -> bytes | OSError:
        """Why a call gave C{result} and no bytes: an error, or the end that the peer has told of."""
        code = _error(self._ssl, result)
        if code in WANT:
            # to write, never before there is something to read; nor the reverse, as a key update is answered with the
            # next data, and nothing is negotiated anew
            return BlockingIOError(errno.EAGAIN, _AGAIN)
        if code == ZERO_RETURN:
            return b""
        self.quiet = True
        try:
            self.connection._raise_ssl_error(self._ssl, result)
        except SSL.Error as error:
            return broken(error)
        return OSError(errno.EPROTO, "TLS: ended without a reason")

    def shutdown(self, how: int) -> None:
        """
        Say C{close_notify}, once. Reading goes on, and so does TCP: there may be more to answer than data.

        @raise BlockingIOError: to be called again, once there is room
        @raise OSError: the connection is broken
        """
        if self.quiet or self.connection.get_shutdown() & SSL.SENT_SHUTDOWN:
            return
        try:
            self.connection.shutdown()
        except (SSL.WantReadError, SSL.WantWriteError):
            raise BlockingIOError(errno.EAGAIN, _AGAIN) from None
        except SSL.Error as error:
            self.quiet = True
            raise broken(error) from None

    def close(self) -> None:
        """Say C{close_notify}, if there is room and it was not said; close the socket."""
        try:
            self.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # nobody is left to hear it
        # what ends without these is no session to resume, as OpenSSL sees it; of us, nobody asks that
        self.connection.set_shutdown(BOTH)
        self._sock.close()

    def fileno(self) -> int:
        """The descriptor's number; -1 once closed."""
        number: int = self._sock.fileno()
        return number

    def getsockopt(self, level: int, option: int) -> int:
        """The socket's."""
        value: int = self._sock.getsockopt(level, option)
        return value

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """The socket's."""
        self._sock.setsockopt(level, option, value)
