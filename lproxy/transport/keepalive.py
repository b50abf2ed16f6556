# -*- test-case-name: tests.transport.test_keepalive -*-
"""
TCP keepalive: peers that are gone without a word are noticed (RFC 9293, 3.8.4).

Accepted sockets inherit it from the one that listens. One that connects has to be told, in four system calls, and most
connections that are opened for one client are over in no time: so it is told once it has been open for a while.
"""

from __future__ import annotations

import socket
import sys
from typing import Any, Final, NamedTuple

from lproxy.transport.hub import Hub

#: keepalive probes that may go unanswered
PROBES: Final = 6
#: seconds until a connection is told. The kernel counts in whole ones, and from the last byte, told late or not
SETTLED: Final = 1.0


class Keepalive(NamedTuple):
    """
    How long a peer may be silent before the kernel asks whether it is there.

    @ivar idle: seconds of silence, and C{interval}: seconds between probes, of which L{PROBES} may go unanswered
    """

    idle: float
    interval: float

    def set(self, sock: socket.SocketType) -> None:
        """Ask that of the kernel, in whole seconds, where it can be asked."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if sys.platform == "linux":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, round(self.idle)))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, round(self.interval)))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)


class Settling:
    """
    Sockets that were connected lately, and have no keepalive yet.

    @ivar _sockets: by descriptor: a number that is used again takes the place of a socket that is closed
    """

    def __init__(self, keepalive: Keepalive, hub: Hub) -> None:
        self._keepalive: Keepalive = keepalive
        self._hub: Hub = hub
        self._sockets: dict[int, socket.SocketType] = {}
        self._timer: Any = None

    def add(self, sock: socket.SocketType) -> None:
        """C{sock} is told within L{SETTLED}, if it is still open then."""
        self._sockets[sock.fileno()] = sock
        if self._timer is None:
            # one for all that come meanwhile
            self._timer = self._hub.call_later(SETTLED, self._settle)

    def close(self) -> None:
        """Tell those that there are now; harmless where more are added nevertheless."""
        if self._timer is not None:
            self._timer.cancel()
            self._settle()

    def _settle(self) -> None:
        self._timer = None
        sockets, self._sockets = self._sockets, {}
        for sock in sockets.values():
            if sock.fileno() >= 0:
                self._tell(sock)

    def _tell(self, sock: socket.SocketType) -> None:
        try:
            self._keepalive.set(sock)
        except OSError:
            pass  # broken, which its stream is told of by itself
