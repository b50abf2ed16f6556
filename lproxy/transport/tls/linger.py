# -*- test-case-name: tests.transport.tls.test_linger -*-
"""
The end of a connection whose peer has just been sent an alert.

What is closed with bytes unread, or sent more afterwards, is reset, and what was said last is lost with it: a client of
TLS 1.3 is done before we have seen its certificate, and its request is on its way when we refuse that. So it is read,
and thrown away, until the peer hangs up: not for long, and not much.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from twisted.python.failure import Failure

from lproxy.transport.handover import Taken
from lproxy.transport.hub import READ, Events, Hub

#: seconds that a peer has to read the alert and hang up
SECONDS: Final = 1.0
#: bytes that are thrown away meanwhile
MOST: Final = 262144
#: bytes that are read at once
PIECE: Final = 65536


def close(taken: Taken, hub: Hub) -> None:
    """Close a socket that no stream has any more."""
    hub.forget(taken.descriptor)
    taken.sock.close()
    if taken.released is not None:
        taken.released()


def linger(taken: Taken, hub: Hub) -> None:
    """Close a socket that no stream has any more, once its peer has had time to read what it was sent."""
    Lingering(taken, hub).start()


class Lingering(Events):
    """One socket that is about to be closed."""

    __slots__ = ("_clock", "_hub", "_read", "_taken")

    def __init__(self, taken: Taken, hub: Hub) -> None:
        self._taken: Taken = taken
        self._hub: Hub = hub
        self._clock: Any = None
        self._read: int = 0

    def __repr__(self) -> str:
        return f"<Lingering of {self._taken.conn.local} with {self._taken.conn.peer}>"

    def start(self) -> None:
        """Say that nothing else will come."""
        taken = self._taken
        taken.descriptor.events = self
        try:
            taken.sock.shutdown(socket.SHUT_WR)
        except OSError:
            close(taken, self._hub)
            return
        self._hub.want(taken.descriptor, READ)
        self._clock = self._hub.call_later(SECONDS, self._close)

    def readable(self) -> None:
        """Called by the hub."""
        try:
            data: bytes = self._taken.sock.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._read += len(data)
        if not data or self._read > MOST:
            self._close()

    def writable(self) -> None:
        """Nothing is written."""

    def hung_up(self) -> None:
        """Called by the hub: nobody is left to read anything."""
        self._close()

    def crashed(self, failure: Failure) -> None:
        """One of these raised."""
        self._close()

    def shut_down(self) -> None:
        """The reactor goes down."""
        self._close()

    def _close(self) -> None:
        clock, self._clock = self._clock, None
        if clock is None:
            return
        if clock.active():
            clock.cancel()
        close(self._taken, self._hub)
