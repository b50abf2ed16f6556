# -*- test-case-name: tests.testing.test_upstream -*-
"""
Tests for L{lproxy.testing.upstream}.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.connection import ConnectionClient
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.target import UNKNOWN, Authority
from lproxy.testing import ScriptedProxy
from lproxy.testing.upstream import UPSTREAM, CountedLease, OneEndpoint, ScriptedConnector
from lproxy.testing.wire import ScriptedReactor
from lproxy.transport.connect import ConnectFailed

WEB = Authority("web", 80)


class ConnectorTests(SynchronousTestCase):
    """Connections are opened as the test says."""

    def setUp(self) -> None:
        self.connector = ScriptedConnector(ScriptedReactor())

    def test_accept(self) -> None:
        """Accepted at once, also where that has to be within the call."""
        stream = self.successResultOf(self.connector.connect(UPSTREAM, UNKNOWN))
        self.assertEqual(("10.0.0.9", 9000), stream.conn.peer)
        self.assertIsNotNone(self.connector.try_connect(UPSTREAM, UNKNOWN))
        self.assertEqual(2, len(self.connector.upstreams))

    def test_refuse(self) -> None:
        """Refused at once."""
        self.connector.mode = "refuse"
        self.assertIsNone(self.connector.try_connect(UPSTREAM, UNKNOWN))
        self.failureResultOf(self.connector.connect(UPSTREAM, UNKNOWN), ConnectFailed)
        self.assertEqual([], self.connector.upstreams)

    def test_wait(self) -> None:
        """Kept waiting, the first first, until it is cancelled: which is in vain where the connector is stubborn."""
        self.connector.mode = "wait"
        first, second, third = (self.connector.connect(UPSTREAM, UNKNOWN) for _ in range(3))
        self.assertIsNone(self.connector.try_connect(UPSTREAM, UNKNOWN))
        self.connector.accept()
        self.successResultOf(first)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.connector.stubborn = True
        third.cancel()
        self.successResultOf(third)
        self.assertEqual((2, [], 2), (self.connector.cancelled, self.connector.waiting, len(self.connector.upstreams)))


class OneEndpointTests(SynchronousTestCase):
    """A stack above one endpoint, that remembers."""

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(TcpPlugin())
        self.leases: list[CountedLease] = []
        self.stack = OneEndpoint(
            lambda at, about, _: ConnectionClient(self.proxy.runtime.outward, at, about, "tcp"),
            self.leases,
            [],
        )

    def test_counted(self) -> None:
        """Each lease knows how often it was ended."""
        first = self.successResultOf(self.stack.acquire(WEB))
        second = self.stack.try_acquire(WEB)
        assert second is not None
        first.close()
        self.assertEqual([1, 0], [lease.closed for lease in self.leases])
        second.close()

    def test_error(self) -> None:
        """It fails with what the test wants, and remembers for which error another lease was asked."""
        error = ConnectFailed(UPSTREAM, "ECONNREFUSED")
        self.stack.error = error
        self.assertIsNone(self.stack.try_acquire(WEB))
        self.assertIs(error, self.failureResultOf(self.stack.acquire(WEB)).value)
        self.stack.error = None
        self.successResultOf(self.stack.again(WEB, error)).close()
        self.stack.failed(error)
        self.assertEqual(([error], [error]), (self.stack.retried, self.stack.failures))
