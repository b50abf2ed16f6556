# -*- test-case-name: tests.protocols.tcp.test_client -*-
"""
Tests for L{lproxy.protocols.tcp.client}: a lease is a connection, and its end is the connection's.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.runtime import Call
from lproxy.protocols.tcp.client import TcpClient
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.testing import shown
from lproxy.testing.proxy import CLIENT, OURS, UPSTREAM, ScriptedProxy
from lproxy.testing.wire import Peer
from lproxy.transport.connect import ConnectFailed
from lproxy.transport.relay import Relay


class ClientTests(SynchronousTestCase):
    """The service of one endpoint."""

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(TcpPlugin())
        self.client = TcpClient(self.proxy.runtime, UPSTREAM, "tcp")
        self.relays: list[Relay] = []
        self.ended = 0

    def call(self, peer: Peer, prefix: bytes = b"") -> Call:
        def ended() -> None:
            self.ended += 1

        stream = self.proxy.reactor.stream(peer, CLIENT, OURS)
        return Call(stream, prefix, self.relays.append, ended)

    @property
    def upstream(self) -> Peer:
        return self.proxy.connector.upstreams[-1]

    def test_far(self) -> None:
        """Of an endpoint that was never seen to be near nothing is had at once, nor after one that took its time."""
        self.assertIsNone(self.client.try_acquire())
        self.proxy.connector.mode = "wait"
        self.client.acquire()
        self.proxy.connector.accept()
        self.proxy.connector.mode = "accept"
        self.assertIsNone(self.client.try_acquire())
        self.assertEqual(1, self.client.load)

    def test_near(self) -> None:
        """After a connection that stood at once the next is had at once: a new one, counted like any other."""
        first = self.successResultOf(self.client.acquire())
        lease = self.client.try_acquire()
        assert lease is not None
        self.assertEqual((2, 2), (self.client.load, len(self.proxy.connector.upstreams)))
        for one in (first, lease):
            one.close()
        self.assertEqual(0, self.client.load)

    def test_no_longer_near(self) -> None:
        """One that did not stand at once, or was refused, is waited for; and so are those after it, until one does."""
        self.successResultOf(self.client.acquire())
        self.proxy.connector.mode = "wait"
        self.assertIsNone(self.client.try_acquire())
        self.proxy.connector.mode = "accept"
        self.assertIsNone(self.client.try_acquire())
        self.successResultOf(self.client.acquire())
        self.proxy.connector.mode = "refuse"
        self.failureResultOf(self.client.acquire(), ConnectFailed)
        self.proxy.connector.mode = "accept"
        self.assertIsNone(self.client.try_acquire())
        self.assertEqual(2, self.client.load)

    def test_load(self) -> None:
        """Connections count from the attempt to the end of the lease, and are not evicted meanwhile."""
        self.proxy.connector.mode = "wait"
        d = self.client.acquire()
        self.assertEqual(1, self.client.load)
        self.proxy.connector.accept()
        lease = self.successResultOf(d)
        self.assertEqual({"in_flight": 1}, shown(self.client))
        self.client.close()
        self.assertEqual("", self.upstream.ended)
        lease.close()
        self.assertEqual(0, self.client.load)
        self.proxy.settle()
        self.assertEqual("reset", self.upstream.ended)

    def test_failed(self) -> None:
        """A failed attempt counts no longer, nor does one that was cancelled."""
        self.proxy.connector.mode = "refuse"
        self.failureResultOf(self.client.acquire(), ConnectFailed)
        self.assertEqual(0, self.client.load)
        self.proxy.connector.mode = "wait"
        d = self.client.acquire()
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual((0, 1), (self.client.load, self.proxy.connector.cancelled))

    def test_call(self) -> None:
        """Both connections are joined until both have ended, and the caller is told once."""
        lease = self.successResultOf(self.client.acquire())
        peer = Peer()
        upstream: Any = lease.call(self.call(peer, b"first"))
        self.assertEqual(("10.0.0.9:9000", 1), (upstream.address, len(self.relays)))
        peer.hang_up()
        self.upstream.say(b"answer")
        self.upstream.hang_up()
        self.proxy.settle()
        self.assertEqual((b"first", b"answer", 1), (self.upstream.heard, peer.heard, self.ended))
        lease.close()
        self.proxy.settle()
        self.assertEqual(("closed", 0), (self.upstream.ended, self.client.load))

    def test_closed_early(self) -> None:
        """A lease that ends before its relay takes it along."""
        lease = self.successResultOf(self.client.acquire())
        peer = Peer()
        lease.call(self.call(peer))
        lease.close()
        self.proxy.settle()
        self.assertEqual(("reset", "reset", 1), (self.upstream.ended, peer.ended, self.ended))

    def test_exception(self) -> None:
        """An exception of whatever protocol has the upstream's connection is told as this protocol's."""
        lease = self.successResultOf(self.client.acquire())
        upstream: Any = lease.call(None)

        def spoke() -> None:
            raise ZeroDivisionError

        upstream.listen(spoke)
        self.upstream.say(b"x")
        self.proxy.settle()
        self.assertEqual([ZeroDivisionError], [failure.type for failure in self.proxy.crashes])
        self.assertEqual("reset", self.upstream.ended)
        lease.close()

    def test_greeting_is_bounded(self) -> None:
        """What an upstream says before its turn is read once; the rest waits in the kernel."""
        lease = self.successResultOf(self.client.acquire())
        upstream: Any = lease.call(None)
        upstream.listen(lambda: None)
        self.upstream.say(bytes(1 << 20))
        self.proxy.settle()
        self.assertLessEqual(len(upstream.greeting), 65536)
        peer = Peer()
        upstream.join(self.call(peer))
        self.assertEqual(b"", upstream.greeting)
        self.proxy.settle()
        self.assertEqual(1 << 20, len(peer.heard))
        lease.close()
        self.proxy.settle()
