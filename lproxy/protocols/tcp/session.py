# -*- test-case-name: tests.protocols.tcp.test_session -*-
"""
An accepted connection that is forwarded as bytes.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import protocol
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from lproxy.protocols.connection import rescue
from lproxy.protocols.runtime import Call, Runtime
from lproxy.protocols.tcp.client import TcpLease, Upstream
from lproxy.stack.interfaces import Acquire
from lproxy.target import Target, join_host_port
from lproxy.transport.relay import Relay
from lproxy.transport.socket import Stream


@implementer(IHalfCloseableProtocol)
class TcpSession(protocol.Protocol):
    """
    Acquires an upstream connection and joins the two.

    What the client says meanwhile is kept, up to the buffer limit, and its going away ends the acquisition.
    """

    transport: Stream

    def __init__(self, runtime: Runtime, acquire: Acquire[TcpLease], name: str) -> None:
        self._runtime = runtime
        self._acquire = acquire
        self._name = name
        self._prefix = b""
        self._pending: Deferred[Any] | None = None
        self._lease: TcpLease | None = None
        self._upstream: Upstream | None = None
        self._relay: Relay | None = None
        self._target: Target | None = None
        self._began = runtime.reactor.seconds()
        self._flags = ""

    def __repr__(self) -> str:
        return f"<TcpSession {self._name} to {self._target} relay={self._relay!r}>"

    # Twisted's side

    def connectionMade(self) -> None:
        """Find out where it goes, and get a connection there."""
        runtime = self._runtime
        runtime.sessions.add(self)
        self._target = runtime.destination(self.transport)
        dialled, self.transport.dialled = self.transport.dialled, None
        if dialled is not None:
            self._lease, self._upstream = dialled.lease, dialled.upstream
            dialled.upstream.join(self._call())
        elif self._target is None:
            client = self.transport.peer_address[0]
            runtime.warn(
                "no-destination",
                f"listener {runtime.listen.name}: a {self._name} connection from {client} was not "
                f"redirected here and target = {runtime.listen.target!r} names no address for it: closed. "
                'Set target = "host:port" or "service:NAME", or redirect with iptables.',
            )
            self._flags = "NR"
            self.transport.abortConnection()
        elif (lease := self._acquire.try_acquire(self._target)) is not None:
            self._acquired(lease)
        else:
            self._pending = self._acquire.acquire(self._target)
            self._pending.addCallbacks(self._acquired, self._failed)

    def dataReceived(self, data: bytes) -> None:
        """Keep it for the upstream."""
        self._prefix += data
        if len(self._prefix) >= self._runtime.limits.buffer:
            self.transport.pauseProducing()

    def readConnectionLost(self) -> None:
        """The relay will find the end again. Until then the client may yet break."""
        self.transport.pauseProducing()

    def writeConnectionLost(self) -> None:
        """Nothing was written yet."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The client went away before there was an upstream."""
        if self._pending is not None:
            self._pending.cancel()
        self._ended()

    # the session's life

    def _acquired(self, lease: TcpLease) -> None:
        self._pending = None
        if self.transport.disconnected:
            lease.close()
            return
        self._lease = lease
        self._upstream = lease.call(self._call())

    def _call(self) -> Call:
        prefix, self._prefix = self._prefix + self.transport.take_unread(), b""
        return Call(self.transport, prefix, self._relaying, self._ended)

    def _relaying(self, relay: Relay) -> None:
        self._relay = relay

    def _failed(self, failure: Failure) -> None:
        self._pending = None
        if failure.check(CancelledError):
            return
        waited = self._runtime.reactor.seconds() - self._began
        self._flags = rescue(failure, self._runtime, self._name, self._target, waited)
        self.transport.abortConnection()

    def _ended(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.close()
        if self._runtime.access is not None:
            self._runtime.access(self._record())
        # last: who waits for us may close what was used here
        self._runtime.sessions.remove(self)

    # Session

    def drain(self) -> None:
        """A byte stream has no better moment to end than its own."""

    def abort(self) -> None:
        """End now."""
        self._flags = self._flags or "SD"
        if self._relay is not None:
            self._relay.abort()
        else:
            self.transport.abortConnection()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        stream = self.transport
        return {
            "listener": self._runtime.listen.name,
            "protocol": self._name,
            "client": join_host_port(*stream.peer_address),
            "target": str(self._target) if self._target is not None else None,
            "upstream": self._upstream.address if self._upstream is not None else None,
            "state": "relaying" if self._relay is not None else "acquiring",
            "seconds": round(self._runtime.reactor.seconds() - self._began, 3),
            "bytes_in": stream.bytes_in,
            "bytes_out": stream.bytes_out,
        }

    def _record(self) -> dict[str, Any]:
        row = self.describe()
        del row["state"]
        return {"kind": "connection", **row, "errno": self.transport.errno, "flags": self._flags}
