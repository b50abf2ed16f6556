# -*- test-case-name: tests.protocols.http.test_announce -*-
"""
Connections to upstreams that are told for whom they are: by a PROXY protocol header, before the first request.

A lease may be given for anybody's request, so that who it is for is not known before one is dispatched. From then on
the connection is that client's (see L{lproxy.protocols.http.own}), as the upstream takes all that comes on it for his.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lproxy.api import Reader, Stream
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.pool import Connection, Entry
from lproxy.protocols.http.streams import Outgoing, Responder
from lproxy.transport.proxy_protocol.announce import announcement

Connect = Callable[[Stream, Entry], Connection]


class Unannounced(Connection, Reader):
    """
    A L{Connection<lproxy.protocols.http.pool.Connection>} that nobody has used yet; with its first request another one
    takes its place.
    """

    def __init__(self, version: str, connect: Connect, stream: Stream, entry: Entry) -> None:
        """
        @param version: C{v1} or C{v2}
        @param connect: speaks HTTP on the stream
        """
        self._version = version
        self._connect = connect
        self._stream = stream
        self._entry: Entry | None = entry

    def __repr__(self) -> str:
        return f"<Unannounced {self._stream!r}>"

    def start(self) -> None:
        """Notice that it ends."""
        self._stream.attach(self)
        self._stream.resume()

    # the pool's Connection

    def dispatch(self, head: Request, body: bytes, end: bool, to: Responder) -> Outgoing:
        """Say whose request it is, and send it."""
        stream, entry = self._stream, self._entry
        assert entry is not None, "used although it is over"
        self._entry = None
        stream.write(announcement(self._version, to.behalf))
        entry.private = True
        connection = entry.connection = self._connect(stream, entry)
        return connection.dispatch(head, body, end, to)

    def finish(self) -> bool:
        """The lease was not used: it is good for another."""
        return self._entry is not None

    def silent(self) -> bool:
        """Whether the upstream has neither ended it nor said anything."""
        return self._stream.silent()

    def close(self) -> None:
        """Close it."""
        entry, self._entry = self._entry, None
        if entry is not None:
            entry.lost(False)
        self._stream.close()

    # the stream's reader

    def data_received(self, data: bytes) -> None:
        """An upstream that speaks first has something to complain of."""
        self.close()

    def eof_received(self) -> None:
        """It has been waiting for too long."""
        self.close()

    def connection_lost(self) -> None:
        """Likewise."""
        self.close()

    def pause_writing(self) -> None:
        """Nothing is written."""

    def resume_writing(self) -> None:
        """Nothing is written."""


def announcing(version: str, connect: Connect) -> Connect:
    """As C{connect}, for an upstream that is told of clients in C{version}."""
    return partial(_unannounced, version, connect)


def _unannounced(version: str, connect: Connect, stream: Stream, entry: Entry) -> Connection:
    connection = Unannounced(version, connect, stream, entry)
    connection.start()
    return connection
