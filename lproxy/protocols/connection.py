# -*- test-case-name: tests.protocols.test_connection -*-
"""
For protocols whose request is a whole connection: each lease is a connection to the endpoint, opened for one client.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lproxy.balancing import HealthCheck
from lproxy.errors import Bug, ProxyError, explain, in_parts, judge
from lproxy.metrics.counters import EndpointCounter
from lproxy.protocols.outward import Outward
from lproxy.protocols.runtime import Runtime
from lproxy.protocols.session import Session
from lproxy.stack.interfaces import Health, Lease
from lproxy.stack.lease import FREE, Hold, ended
from lproxy.stack.report import Report
from lproxy.target import Endpoint, Metadata, Target
from lproxy.transport.detect import Dialled
from lproxy.transport.proxy_protocol.announce import announcement
from lproxy.transport.stream import Conn, Secured, Stream


class NeverEnded(Exception):
    """Nobody has a lease any more, and nobody has ended it."""


class Upstream(NamedTuple):
    """An open connection to an endpoint."""

    stream: Stream
    endpoint: Endpoint


class ConnectionClient:
    """
    The service of one endpoint, at the bottom of a stack.

    @ivar load: connections that are open, or being opened
    @ivar dropped: leases that nobody has ended and nobody has any more: their connections, and what they held
    @ivar _instant: whether the last connection stood at once, as they do to an endpoint on this machine
    """

    def __init__(
        self, outward: Outward, endpoint: Endpoint, metadata: Metadata, protocol: str, health: Health | None = None
    ) -> None:
        """
        @param metadata: what its connections keep to, such as how they are secured
        @param protocol: the name that connections are counted under
        @param health: the endpoint's; without it they are not counted as the endpoint's
        """
        self._outward = outward
        self._metadata = metadata
        self._protocol = protocol
        self._counter = health.counter if health is not None else EndpointCounter()
        self._instant = False
        self.endpoint = endpoint
        self.load = 0
        self.dropped: list[tuple[Stream, Hold]] = []

    def try_acquire(self) -> ConnectionLease | None:
        """A new connection, where the last one stood at once; the Deferreds of all layers cost more than connecting."""
        if self.dropped:
            self._pick_up()
        if not self._instant:
            return None
        stream = self._outward.connector.try_connect(self.endpoint, self._metadata)
        if stream is None:
            self._instant = False
            return None
        self.load += 1
        return self._connected(stream)

    def acquire(self) -> Deferred[ConnectionLease]:
        """Open a connection."""
        if self.dropped:
            self._pick_up()
        self.load += 1
        connecting = self._outward.connector.connect(self.endpoint, self._metadata)
        self._instant = connecting.called
        return connecting.addCallbacks(self._connected, self._failed)

    def check(self, check: HealthCheck) -> Deferred[None]:
        """Connect, whatever C{check} says: that the endpoint can be is all that is known of bytes."""
        return self._outward.connector.connect(self.endpoint, self._metadata).addCallback(_close)

    def close(self) -> None:
        """Nothing is kept."""

    def report(self, report: Report) -> None:
        """Connections that are open."""
        self._pick_up()
        report.show(in_flight=self.load)

    def introduce(self, stream: Stream, client: Conn | None) -> Upstream:
        """C{stream}, on which the upstream is told first whom it is for, where it wants to know."""
        version = self._metadata.proxy_protocol
        if version:
            stream.write(announcement(version, client))
        return Upstream(stream, self.endpoint)

    def released(self, stream: Stream) -> None:
        """A lease has ended, and with it its connection, if it has not yet."""
        self.load -= 1
        stream.abort()

    def _pick_up(self) -> None:
        """
        End what was dropped. Not where that is noticed: the garbage collector runs in any thread, and at any moment.
        """
        dropped, self.dropped = self.dropped, []
        for stream, hold in dropped:
            if hold is not FREE:
                hold.give_back()
            self.released(stream)
            try:
                raise NeverEnded(f"a lease on {self.endpoint} was dropped, but not closed")
            except NeverEnded:
                self._outward.crashed(self._protocol, Failure())

    def _connected(self, stream: Stream) -> ConnectionLease:
        self._counter.connected += 1
        try:
            self._outward.opened(stream, self.endpoint, self._protocol)
            return ConnectionLease(self, stream)
        except BaseException:
            self.released(stream)
            raise

    def _failed(self, failure: Failure) -> Failure:
        self.load -= 1
        self._instant = False
        if isinstance(failure.value, ProxyError):
            self._counter.not_opened(failure.value.reason)
        return failure


def _close(stream: Stream) -> None:
    stream.close()


class ConnectionLease:
    """An open connection, for one client."""

    __slots__ = ("_client", "_stream", "hold")

    def __init__(self, client: ConnectionClient, stream: Stream) -> None:
        self.hold: Hold = FREE
        self._client = client
        self._stream = stream

    def __repr__(self) -> str:
        return f"<ConnectionLease on {self._client.endpoint}>"

    def __del__(self) -> None:
        if self.hold.over is not None:
            self._client.dropped.append((self._stream, self.hold))

    def call(self, client: Conn | None = None) -> Upstream:
        """
        The connection, which nobody reads yet.

        @param client: whose it is, for an upstream that is told; C{None}: nobody's in particular
        """
        return self._client.introduce(self._stream, client)

    def close(self) -> None:
        """The connection is not needed any more. One that has ended is closed already."""
        if ended(self):
            self._client.released(self._stream)


def let_go(
    session: Session,
    runtime: Runtime,
    lease: Lease | Dialled | None,
    stream: Stream,
    flags: str,
    tried: Endpoint | None = None,
    waited: float | None = None,
    since: float | None = None,
) -> None:
    """
    The end of C{session}, whose request was the whole connection: close its lease, write its line of the access log,
    and say that it is over. Whatever is raised meanwhile, that is said.

    @param lease: the upstream's, if there was one
    @param stream: the client's connection
    @param flags: the access log's
    @param tried: which endpoint was tried, where nothing came of that
    @param waited: seconds that a lease was waited for; C{None}: none was, or nobody knows
    @param since: when, by the runtime's clock, it had its upstream; C{None}: never, or nobody knows
    """
    try:
        if lease is not None:
            lease.close()
        write = runtime.writer()
        if write is not None:
            row = session.describe()
            row.pop("state", None)
            if tried is not None:
                row["upstream"] = str(tried)
            if waited is not None:
                row["acquire_seconds"] = round(waited, 6)
            if since is not None:
                row["upstream_seconds"] = round(max(0.0, runtime.clock.seconds() - since), 6)
            if stream.conn.tls is not None:
                add_tls(row, stream.conn.tls)
            write({"kind": "connection", **row, "errno": stream.errno, "flags": flags})
    finally:
        # last: who waits for sessions may close what was used here
        runtime.sessions.remove(session)


def add_tls(row: dict[str, Any], tls: Secured) -> None:
    """What a line of the access log has of a client that came by TLS."""
    row["tls"] = tls.version
    row["server_name"] = tls.sni
    row["remote_identity"] = tls.remote_identity
    row["local_identity"] = tls.local_identity


def rescue(failure: Failure, runtime: Runtime, protocol: str, target: Target | None, waited: float) -> str:
    """
    What becomes of a failure where all that can be said to a client is to close: log why. A line for what can happen, a
    traceback for what must not.

    @param waited: seconds that the client waited for it
    @return: the access log's reason flags
    """
    error = failure.value
    assert error is not None
    judged = judge(error)
    if isinstance(judged, Bug):
        runtime.crashed(protocol, failure, f"listener {runtime.listen.name}, to {target}")
    else:
        runtime.warn(
            f"{protocol}-{judged.flag}",
            f"listener {runtime.listen.name}: {protocol} connection to {target} closed after {waited:.3f} s: "
            f"{explain(error)}",
            in_parts(error, target, waited),
        )
    return judged.flag
