# -*- test-case-name: tests.protocols.tcp.test_factory -*-
"""
Sessions that forward bytes: for TCP itself, and for plugins that only want a protocol told apart and counted.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from lproxy.protocols.connection import ConnectionClient
from lproxy.protocols.runtime import Runtime
from lproxy.protocols.session import Accepted
from lproxy.protocols.tcp.detect import detect
from lproxy.protocols.tcp.dial import DialledLease
from lproxy.protocols.tcp.session import TcpSession
from lproxy.transport.detect import Dialled
from lproxy.transport.stream import Stream
from lproxy.verdict import Detector


class TcpFactory:
    """
    A L{SessionFactory<lproxy.protocols.session.SessionFactory>} of one listener.

    @param name: the protocol's name in metrics and logs
    """

    def __init__(self, runtime: Runtime, name: str = "tcp", detector: Detector | None = detect) -> None:
        self.name = name
        self.detector = detector
        self.runtime = runtime
        outward = runtime.outward
        self.acquire = runtime.acquire(
            name, lambda endpoint, metadata, health: ConnectionClient(outward, endpoint, metadata, name, health)
        )

    def session(self, accepted: Accepted) -> TcpSession:
        """A session for one connection."""
        return TcpSession(self.runtime, self.acquire, self.name, accepted)

    def start(self) -> None:
        """The listener opens."""
        for target in self.runtime.checked():
            self.acquire.keep(target)

    def drain(self) -> None:
        """A byte stream has no better moment to end than its own."""

    def stop(self) -> None:
        """The last session is over."""

    def dial(self, stream: Stream) -> Deferred[Dialled] | None:
        """Open the upstream for a connection that has said nothing, if it is known where."""
        target = self.runtime.destination(stream.conn)
        if target is None:
            return None
        return self.acquire.acquire(target).addCallback(DialledLease, stream.conn)
