# -*- test-case-name: tests.app.test_proxied -*-
"""
Accepted connections that begin with a PROXY protocol header: before anything else is found out about them, it is
settled whom they are for.

The address that a header tells is the client's from then on, for everybody: C{conn.peer}, and C{conn.local} what the
client had connected to. It never says where the connection is to go.
"""

from __future__ import annotations

from collections.abc import Callable

from lproxy.app import trace
from lproxy.app.sessions import Sessions
from lproxy.config import Listen
from lproxy.errors import Failed
from lproxy.protocols.runtime import Runtime
from lproxy.protocols.session import Session
from lproxy.transport.detect import TCP
from lproxy.transport.networks import Networks
from lproxy.transport.proxy_protocol.header import Header
from lproxy.transport.proxy_protocol.receive import EOF, LOCAL, Owner, Receiving
from lproxy.transport.stream import Stream

#: sent by somebody who may not
UNTRUSTED = "untrusted"

#: goes on with a connection: with its stream, and the session whose place the next one takes
Then = Callable[[Stream, Session | None], None]


class Senders:
    """Who may send headers to a listener."""

    def __init__(self, listen: Listen) -> None:
        self._networks = Networks(listen.proxy_protocol_from) if listen.proxy_protocol_from else None

    def may(self, host: str) -> bool:
        """Whether C{host} may; on a UNIX socket, which has no address, whoever may connect to it."""
        return self._networks is None or not host or self._networks.has(host)


class Proxied(Owner):
    """What happens to the connections of one address of a listener before they go on."""

    def __init__(
        self, runtime: Runtime, sessions: Sessions, senders: Senders, counted: Callable[[str], None], then: Then
    ) -> None:
        """
        @param counted: told of each connection, how it began: C{v1}, C{v2}, C{local}, or why it is closed
        @param then: told of those that go on
        """
        self._runtime = runtime
        self._sessions = sessions
        self._senders = senders
        self._counted = counted
        self._then = then

    def accepted(self, stream: Stream) -> None:
        """A connection, which nobody has read from."""
        runtime = self._runtime
        if not self._senders.may(stream.conn.peer[0]):
            self._refused(stream, UNTRUSTED, "it is not from a network of proxy_protocol_from")
            stream.close()
            return
        raw = stream.raw()
        assert raw is not None, "listeners accept sockets"
        name, timeouts = runtime.listen.name, runtime.timeouts
        receiving = Receiving(self, runtime.clock, stream, raw, timeouts.handshake, timeouts.server_first, name)
        self._sessions.begin(receiving, TCP, stream, None, name)

    # Receiving's owner

    def received(self, receiving: Receiving, header: Header) -> None:
        """It is known whom it is for."""
        stream = receiving.stream
        self._counted(LOCAL if header.local else f"v{header.version}")
        trace.proxied(self._runtime.listen.name, stream, header)
        if header.source is not None and header.destination is not None:
            stream.conn = stream.conn._replace(peer=header.source, local=header.destination)
        self._then(stream, receiving)

    def refused(self, receiving: Receiving, result: str, why: str) -> None:
        """Nobody can say whom it is for."""
        self._refused(receiving.stream, result, why)
        self._sessions.remove(receiving)

    def _refused(self, stream: Stream, result: str, why: str) -> None:
        self._counted(result)
        if result not in (EOF, LOCAL):
            # the others have only looked whether we are there
            who = f"listener {self._runtime.listen.name}"
            self._runtime.warn(
                f"proxy-protocol-{result}",
                f'{who}: a connection from {stream.conn.peer[0]} was closed: {why} (proxy_protocol = "require")',
                Failed("proxy-protocol", who, why, None),
            )
