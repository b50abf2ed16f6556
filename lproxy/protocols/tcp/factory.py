# -*- test-case-name: tests.protocols.tcp.test_factory -*-
"""
Sessions that forward bytes: for TCP itself, and for plugins that only want a protocol told apart and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from lproxy.interfaces import Detector
from lproxy.protocols.runtime import Runtime
from lproxy.protocols.tcp.client import TcpClient, TcpLease, Upstream
from lproxy.protocols.tcp.detect import detect
from lproxy.protocols.tcp.session import TcpSession
from lproxy.transport.socket import Stream


class TcpFactory(protocol.Factory):
    """
    Carries its detector and its Acquire.

    @param name: the protocol's name in metrics and logs
    """

    noisy = False

    def __init__(self, runtime: Runtime, name: str = "tcp", detector: Detector = detect) -> None:
        self.name = name
        self.detector = detector
        self.runtime = runtime
        self.acquire = runtime.acquire(name, lambda endpoint, _: TcpClient(runtime, endpoint, name))

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A session for one connection."""
        return TcpSession(self.runtime, self.acquire, self.name)

    def dial(self, stream: Stream) -> Deferred[Dialled] | None:
        """Open the upstream for a connection that has said nothing, if it is known where."""
        target = self.runtime.destination(stream)
        if target is None:
            return None
        return self.acquire.acquire(target).addCallback(Dialled)


class Dialled:
    """
    A lease, and the connection that it gave, before anybody knows whose turn it is to speak.

    See L{lproxy.transport.peek.Dialled}.
    """

    __slots__ = ("lease", "upstream")

    def __init__(self, lease: TcpLease) -> None:
        self.lease = lease
        self.upstream: Upstream = lease.call(None)

    def listen(self, spoke: Callable[[], None]) -> None:
        """Call C{spoke} once the upstream said something."""
        self.upstream.listen(spoke)

    def close(self) -> None:
        """Give it up."""
        self.lease.close()
