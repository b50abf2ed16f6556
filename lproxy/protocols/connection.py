# -*- test-case-name: tests.protocols.test_connection,tests.protocols.tcp.test_client -*-
"""
For protocols whose request is a whole connection: each lease is a connection to the endpoint, opened for one client.
"""

from __future__ import annotations

from typing import Generic

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lproxy.errors import Bug, explain, judge
from lproxy.protocols.runtime import Runtime
from lproxy.stack.interfaces import L
from lproxy.stack.report import Report
from lproxy.target import Endpoint, Target
from lproxy.transport.socket import Stream


class ConnectionClient(Generic[L]):
    """
    The service of one endpoint, at the bottom of a stack. Subclasses make the leases, which end by L{released}.

    @ivar load: connections that are open, or being opened
    @ivar _near: whether the last connection stood at once, as they do to an endpoint on this machine
    """

    def __init__(self, runtime: Runtime, endpoint: Endpoint, name: str) -> None:
        self._runtime = runtime
        self._name = name
        self.endpoint = endpoint
        self.load = 0
        self._near = False

    def lease(self, stream: Stream) -> L:
        """The right to use C{stream}, which is open."""
        raise NotImplementedError

    def try_acquire(self) -> L | None:
        """A new connection, where the last one stood at once; the Deferreds of all layers cost more than connecting."""
        if not self._near:
            return None
        stream = self._runtime.connector.try_connect(self.endpoint)
        if stream is None:
            self._near = False
            return None
        self.load += 1
        return self._connected(stream)

    def acquire(self) -> Deferred[L]:
        """Open a connection."""
        self.load += 1
        connecting = self._runtime.connector.connect(self.endpoint)
        self._near = connecting.called
        return connecting.addCallbacks(self._connected, self._failed)

    def close(self) -> None:
        """Nothing is kept."""

    def report(self, report: Report) -> None:
        """Connections that are open."""
        report.show(in_flight=self.load)

    def released(self, stream: Stream) -> None:
        """A lease has ended, and with it its connection, if it has not yet."""
        self.load -= 1
        if not stream.disconnected:
            stream.abortConnection()

    def _connected(self, stream: Stream) -> L:
        self._runtime.opened(stream, self.endpoint, self._name)
        return self.lease(stream)

    def _failed(self, failure: Failure) -> Failure:
        self.load -= 1
        self._near = False
        return failure


def rescue(failure: Failure, runtime: Runtime, protocol: str, target: Target | None, waited: float) -> str:
    """
    What becomes of a failure where all that can be said to a client is to close: log why. A line for what can happen, a
    traceback for what must not.

    @return: the access log's reason flags
    """
    error = failure.value
    assert error is not None
    verdict = judge(error)
    if isinstance(verdict, Bug):
        runtime.crashed(protocol, failure)
    else:
        runtime.warn(
            f"{protocol}-{verdict.flag}",
            f"listener {runtime.listen.name}: {protocol} connection to {target} closed after {waited:.3f} s: "
            f"{explain(error)}",
        )
    return verdict.flag
