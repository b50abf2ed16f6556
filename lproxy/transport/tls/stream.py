# -*- test-case-name: tests.transport.tls.test_stream -*-
"""
A stream on a socket that TLS has secured.

It is the plain one, on a L{Wire<lproxy.transport.tls.wire.Wire>} in place of its socket. What differs is what the
kernel does not know: bytes, an end or an error may have been taken from it already, and nobody is woken by them. There
is no stream before its handshake is done.

A TCP connection that ends without C{close_notify} was cut off (RFC 8446, 6.1): the reader is told C{connection_lost},
with C{errno} EPROTO, and never that it ended. Where the peer says why it ends, by an alert, that is C{errno}:
C{alert:certificate_required}.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from lproxy.transport.hub import READ, WRITE, Descriptor, Hub
from lproxy.transport.socket import SocketStream
from lproxy.transport.stream import Conn, Raw
from lproxy.transport.tls.wire import Wire


class TlsStream(SocketStream):
    """
    A L{Stream<lproxy.transport.stream.Stream>} whose C{conn.tls} is known.

    @ivar wire: what stands for its socket
    @ivar _woken: whether the hub was asked to tell that it can be written to, to read
    """

    __slots__ = ("_reading", "_woken", "wire")

    def __init__(
        self,
        wire: Wire,
        hub: Hub,
        conn: Conn,
        released: Callable[[], None] | None = None,
        descriptor: Descriptor | None = None,
        began: float | None = None,
    ) -> None:
        super().__init__(wire, hub, conn, released, descriptor, began)
        self.wire: Wire = wire
        self._reading: bool = False
        self._woken: bool = False

    def __repr__(self) -> str:
        return f"<TlsStream {self.conn.local} to {self.conn.peer} in={self.bytes_in} out={self.bytes_out}>"

    def raw(self) -> Raw | None:
        """What is on the wire is encrypted."""
        return None

    def resume(self) -> None:
        """Read: soon, where there is something that the kernel does not know of."""
        self._reading = True
        super().resume()
        if self.wire.held is not None:
            self._wake()

    def pause(self) -> None:
        """Read no more."""
        self._reading = False
        super().pause()

    def settle(self) -> None:
        """The handshake has waited for the socket, and is done: wait no more, unless somebody reads by now."""
        interest = self._descriptor.interest
        if interest & READ and not self._reading and not self.closed:
            self._hub.want(self._descriptor, interest & ~READ)

    def readable(self) -> None:
        """Called by the hub."""
        super().readable()
        if self.wire.held is not None and self._reading and not self.closed:
            super().readable()

    def writable(self) -> None:
        """Called by the hub."""
        if self._woken and not self.errno:
            self._woken = False
            if self._reading:
                self.readable()
            if self.closed:
                return
        super().writable()

    def _wake(self) -> None:
        if not self.closed and not self._closing:
            self._woken = True
            self._hub.want(self._descriptor, self._descriptor.interest | WRITE)

    def silent(self) -> bool:
        """Whether the peer has said nothing: messages of TLS itself, such as tickets, are nothing."""
        silent = super().silent()
        if self.wire.held is not None and self._reading:
            self._wake()
        return silent

    def delivered(self) -> int:
        """As of a plain stream. What is confirmed is counted as it is encrypted, which is more."""
        return max(0, super().delivered())

    def abort(self) -> None:
        """Close with RST, and no C{close_notify}: what was sent was not all."""
        self.wire.quiet = True
        super().abort()

    def _note(self, error: OSError) -> None:
        said = error.strerror
        if said is not None and said.startswith("alert:") and not self.errno:
            self.errno = said
        super()._note(error)

    def _shutdown(self) -> None:
        try:
            self.wire.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            # once there is room, this is called again: all that was written is sent, and it has ended
            self._hub.want(self._descriptor, self._descriptor.interest | WRITE)
        except OSError as e:
            self._note_for_later(e)
