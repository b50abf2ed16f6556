# -*- test-case-name: tests.protocols.tcp.test_dial -*-
"""
An upstream that was connected while the client was silent, before anybody knows whose turn it is to speak.
"""

from __future__ import annotations

from collections.abc import Callable

from lproxy.protocols.connection import ConnectionLease
from lproxy.transport.detect import Dialled
from lproxy.transport.relay import Relay
from lproxy.transport.stream import Conn, Reader


class DialledLease(Dialled, Reader):
    """
    A L{Dialled<lproxy.transport.detect.Dialled>}: a lease, and the connection that it gave.

    It reads the connection until that is joined: the upstream's first words are kept, and no more is read.
    """

    def __init__(self, lease: ConnectionLease, client: Conn) -> None:
        """
        @param client: for whom it is
        """
        self._spoke: Callable[[], None] | None = None
        self._greeting = b""
        self._lease = lease
        self._stream, self.endpoint = lease.call(client)

    def listen(self, spoke: Callable[[], None]) -> None:
        """Call C{spoke} once the upstream speaks or ends, although nobody spoke to it."""
        self._spoke = spoke
        # reads from here on; where it is closed already, C{spoke} is called within this
        self._stream.resume()
        self._stream.attach(self)

    def join(self, relay: Relay) -> None:
        """Have C{relay} go on with it."""
        self._spoke = None
        relay.join(self._stream, self._greeting)

    def close(self) -> None:
        """Give it up, or what was joined with it."""
        self._spoke = None
        self._lease.close()

    def _tell(self) -> None:
        spoke, self._spoke = self._spoke, None
        if spoke is not None:
            spoke()

    # the stream's reader

    def data_received(self, data: bytes) -> None:
        """It spoke. What follows is the relay's."""
        self._greeting += data
        self._stream.pause()
        self._tell()

    def eof_received(self) -> None:
        """It hung up without a word: an answer too, and the relay's to pass on."""
        self._tell()

    def connection_lost(self) -> None:
        """It was reset: as L{eof_received}. Or given up, when nobody is told any more."""
        self._tell()

    def pause_writing(self) -> None:
        """Nothing is written."""

    def resume_writing(self) -> None:
        """Nothing is written."""
