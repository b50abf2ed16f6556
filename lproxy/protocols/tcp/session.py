# -*- test-case-name: tests.protocols.tcp.test_session -*-
"""
An accepted connection that is forwarded as bytes.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from lproxy.errors import Failed
from lproxy.protocols.connection import ConnectionLease, let_go, rescue
from lproxy.protocols.runtime import Runtime, whereabouts
from lproxy.protocols.session import Accepted
from lproxy.stack.interfaces import Acquire
from lproxy.stack.tried import tried
from lproxy.target import Endpoint, Target, join_host_port
from lproxy.transport.detect import GRACE, Dialled
from lproxy.transport.relay import Relay


class TcpSession:
    """
    Acquires an upstream connection and joins the two.

    What the client says meanwhile is kept by the relay, and its going away ends the acquisition.
    """

    def __init__(self, runtime: Runtime, acquire: Acquire[ConnectionLease], name: str, accepted: Accepted) -> None:
        self._runtime = runtime
        self._acquire = acquire
        self._name = name
        self._accepted = accepted
        self._stream = accepted.stream
        self._pending: Deferred[Any] | None = None
        self._lease: ConnectionLease | Dialled | None = None
        self._endpoint: Endpoint | None = None
        self._tried: Endpoint | None = None
        self._target: Target | None = None
        self._began = runtime.clock.seconds()
        self._waited: float | None = None
        self._since: float | None = None
        self._flags = ""
        self._timer: Any = None
        self._over = False
        self._relay = Relay(self._stream, self._ended, runtime.limits.buffer)

    def __repr__(self) -> str:
        return f"<TcpSession {self._name} to {self._target} relay={self._relay!r}>"

    # Session

    def start(self) -> None:
        """Find out where it goes, and get a connection there."""
        try:
            self._start()
        except BaseException:
            self._ended()  # nobody may be told of the connection's end
            raise

    def _start(self) -> None:
        runtime, accepted = self._runtime, self._accepted
        target = self._target = runtime.destination(self._stream.conn)
        # what was dialled is closed as a lease is
        dialled = self._lease = accepted.dialled
        # the client may be gone before this returns
        self._relay.start(accepted.prefix, accepted.eof)
        if self._over:
            return
        if dialled is not None:
            self._endpoint = dialled.endpoint
            self._since = self._began
            dialled.join(self._relay)
        elif target is None:
            runtime.warn(
                "no-destination",
                f"listener {runtime.listen.name}: a {self._name} connection from {self._stream.conn.peer[0]} was not "
                f"redirected here and target = {runtime.listen.target!r} names no address for it: closed. "
                'Set target = "host:port" or "service:NAME", or redirect with iptables.',
                Failed("route", f"listener {runtime.listen.name}", "it was not redirected, and has no target", None),
            )
            self._flags = "NR"
            self._stream.abort()
        elif (lease := self._acquire.try_acquire(target)) is not None:
            self._acquired(lease)
        else:
            self._pending = self._acquire.acquire(target)
            self._pending.addCallbacks(self._acquired, self._failed).addErrback(self._crashed)

    def drain(self) -> None:
        """
        A byte stream has no better moment to end than its own; one that was never begun is given L{GRACE}, unless
        another configuration goes on.
        """
        if not self._spoken() and not self._runtime.superseded():
            self._timer = self._runtime.clock.callLater(GRACE, self._drained)

    def _drained(self) -> None:
        self._timer = None
        if not self._spoken() and self._stream.silent():
            self._relay.close()

    def _spoken(self) -> bool:
        """Whether the client has said anything."""
        return bool(self._accepted.prefix) or self._stream.bytes_in > 0

    def abort(self) -> None:
        """End now."""
        self._flags = self._flags or "SD"
        self._relay.abort()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        stream = self._stream
        return {
            "listener": self._runtime.listen.name,
            "protocol": self._name,
            "client": join_host_port(*stream.conn.peer),
            "target": str(self._target) if self._target is not None else None,
            "upstream": str(self._endpoint) if self._endpoint is not None else None,
            "state": "relaying" if self._endpoint is not None else "acquiring",
            "seconds": round(self._runtime.clock.seconds() - self._began, 3),
            "bytes_in": stream.bytes_in,
            "bytes_out": stream.bytes_out,
        }

    # its life

    def _acquired(self, lease: ConnectionLease) -> None:
        self._pending = None
        if self._over:
            lease.close()
            return
        self._lease = lease
        self._since = self._runtime.clock.seconds()
        self._waited = self._since - self._began
        stream, self._endpoint = lease.call(self._stream.conn)
        self._relay.join(stream)

    def _failed(self, failure: Failure) -> None:
        self._pending = None
        self._tried = tried(failure.value)
        if failure.check(CancelledError):
            return
        waited = self._waited = self._runtime.clock.seconds() - self._began
        self._flags = rescue(failure, self._runtime, self._name, self._target, waited)
        self._stream.abort()

    def _crashed(self, failure: Failure) -> None:
        self._runtime.crashed(self._name, failure, whereabouts(self._runtime.listen.name, self._stream))
        self._relay.abort()

    def _ended(self) -> None:
        """Both connections are closed, or the client's before there was another."""
        if self._over:
            return
        self._over = True
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if self._pending is not None:
            self._pending.cancel()
        lease, self._lease = self._lease, None
        let_go(self, self._runtime, lease, self._stream, self._flags, self._tried, self._waited, self._since)
