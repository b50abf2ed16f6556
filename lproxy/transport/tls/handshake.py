# -*- test-case-name: tests.transport.tls.test_handshake -*-
"""
Handshakes: on a connected socket, bounded in time and number, until there is a stream or a reason why not.

The socket changes hands twice: from the plain stream that had it, and to the one that TLS makes of it. The hub's
descriptor goes with it.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure

from lproxy.identity.contexts import Context
from lproxy.identity.refusal import Refusal
from lproxy.identity.verification import Peer
from lproxy.target import join_host_port
from lproxy.transport.handover import Taken
from lproxy.transport.hub import READ, Events, Hub
from lproxy.transport.socket import SocketStream
from lproxy.transport.stream import Secured
from lproxy.transport.tls.failure import LIMIT, SENTENCES, HandshakeFailed, HandshakeTimedOut, explain
from lproxy.transport.tls.hello import Hello
from lproxy.transport.tls.linger import close, linger
from lproxy.transport.tls.stream import TlsStream
from lproxy.transport.tls.wire import Wire, resumed, shake

#: TLS on a socket, or why not: fails with L{HandshakeFailed}; cancelling closes the socket
Shaking = Deferred[TlsStream]


class Handshakes:
    """
    Those with clients: how long each may take, and how many may be under way at once.

    @ivar open: how many are
    """

    def __init__(self, hub: Hub, seconds: float, limit: int) -> None:
        self._hub: Hub = hub
        self.seconds: float = seconds
        self.limit: int = limit
        self.open: int = 0

    def __repr__(self) -> str:
        return f"<Handshakes {self.open} of {self.limit}>"

    def accept(self, stream: SocketStream, context: Context, hello: Hello) -> Shaking:
        """
        As a server, on the socket of C{stream}, which is taken from it.

        @param stream: with the ClientHello unread, and nothing waiting to be sent
        @param hello: what was seen of it
        """
        taken = stream.hand_over()
        client = join_host_port(*taken.conn.peer)
        if self.open >= self.limit:
            close(taken, self._hub)
            return fail(HandshakeFailed(client, Refusal(LIMIT, SENTENCES[LIMIT])))
        self.open += 1
        connection = context.connection(taken.sock)
        connection.set_accept_state()
        known = Secured(sni=hello.sni, local_identity=context.identity)
        shaking = Handshake(self._hub, taken, connection, client, self.seconds, known).start()
        return shaking.addBoth(self._over)

    def _over(self, result: Any) -> Any:
        self.open -= 1
        return result


class Handshake(Events):
    """One handshake under way."""

    __slots__ = ("_clock", "_connection", "_hub", "_known", "_result", "_seconds", "_taken", "_target")

    def __init__(
        self,
        hub: Hub,
        taken: Taken,
        connection: SSL.Connection,
        target: object,
        seconds: float,
        known: Secured,
    ) -> None:
        """
        @param connection: on the socket, and told which side it is; its application data is a L{Peer}
        @param target: whom to name when it fails
        @param seconds: how long it may take
        @param known: what is known before; C{remote_identity} is whose session it is, if that is resumed
        """
        self._hub: Hub = hub
        self._taken: Taken = taken
        self._connection: SSL.Connection = connection
        self._target: object = target
        self._seconds: float = seconds
        self._clock: Any = None
        self._result: Deferred[TlsStream] | None = None
        self._known: Secured = known

    def __repr__(self) -> str:
        return f"<Handshake of {self._taken.conn.local} with {self._taken.conn.peer}>"

    def start(self) -> Shaking:
        """Do what can be done at once, and go on when there is more."""
        result: Shaking = Deferred(self._cancelled)
        self._result = result
        self._taken.descriptor.events = self
        self._step()
        if self._result is not None:
            self._clock = self._hub.call_later(self._seconds, self._timed_out)
        return result

    # Events

    def readable(self) -> None:
        """The peer has said something, or is gone."""
        self._step()

    def writable(self) -> None:
        """There is room to say more."""
        self._step()

    def hung_up(self) -> None:
        """OpenSSL finds out."""
        self._step()

    def crashed(self, failure: Failure) -> None:
        """One of these raised: a mistake in here, or in whoever has the stream."""
        self._fail(failure)

    def shut_down(self) -> None:
        """The reactor goes down."""
        self._fail(Failure(HandshakeFailed(self._target, Refusal("shutdown", "the proxy is shutting down"))))

    def _step(self) -> None:
        if self._result is None:
            return
        try:
            waits_for = shake(self._connection)
        except Exception as error:
            self._refused(error)
            return
        if waits_for:
            self._hub.want(self._taken.descriptor, waits_for)
        else:
            self._done()

    def _done(self) -> None:
        connection, taken = self._connection, self._taken
        peer: Peer = connection.get_app_data()
        again = resumed(connection)
        known = self._known
        secured = Secured(
            known.sni,
            connection.get_alpn_proto_negotiated().decode("ascii", "replace"),
            connection.get_protocol_version_name(),
            connection.get_cipher_name() or "",
            known.local_identity,
            # who it was is not asked again of whoever shows a session that we have given, or kept
            known.remote_identity if again else peer.identity,
            again,
        )
        result = self._end()
        if taken.descriptor.interest != READ:
            self._hub.want(taken.descriptor, 0)
        conn = taken.conn._replace(tls=secured, no_tls_reason="")
        wire = Wire(taken.sock, connection)
        stream = TlsStream(wire, self._hub, conn, taken.released, taken.descriptor, taken.began)
        if result is not None:
            result.callback(stream)
        # most that are given it read at once, and so the hub has nothing to be told of
        stream.settle()

    def _refused(self, error: Exception) -> None:
        peer: Peer = self._connection.get_app_data()
        failed = HandshakeFailed(self._target, explain(error, peer.refusal))
        if not isinstance(error, SSL.Error):
            # what OpenSSL says has become a sentence
            failed.__cause__ = error
        gone = isinstance(error, (SSL.SysCallError, SSL.ZeroReturnError))
        self._fail(Failure(failed), told=not gone)

    def _timed_out(self) -> None:
        self._clock = None
        self._fail(Failure(HandshakeTimedOut(self._target, self._seconds)))

    def _cancelled(self, result: Shaking) -> None:
        self._fail(Failure(CancelledError()))

    def _fail(self, failure: Failure, told: bool = False) -> None:
        """
        Close the socket, and tell whoever waits, once.

        @param told: whether the peer is sent an alert, which it is to read first
        """
        result = self._end()
        if result is not None:
            if told:
                linger(self._taken, self._hub)
            else:
                close(self._taken, self._hub)
            result.errback(failure)

    def _end(self) -> Shaking | None:
        # both hold us: no cycle for the collector
        result, self._result = self._result, None
        clock, self._clock = self._clock, None
        if clock is not None:
            clock.cancel()
        return result
