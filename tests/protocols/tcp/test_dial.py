# -*- test-case-name: tests.protocols.tcp.test_dial -*-
"""
Tests for L{lproxy.protocols.tcp.dial}: an upstream that was connected before anybody knows whose turn it is to speak.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Metadata, Relay
from lproxy.protocols.tcp.dial import DialledLease
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.testing import Peer, ScriptedProxy
from lproxy.testing.upstream import CLIENT, OURS, UPSTREAM
from lproxy.transport.proxy_protocol import v1


class DialTests(SynchronousTestCase):
    """It is listened to, and then joined or given up."""

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(TcpPlugin())
        self.ended = self.spoken = 0
        dialling = self.proxy.factory.dial(self.proxy.reactor.stream(Peer(), CLIENT, OURS))
        self.dialled: DialledLease = self.successResultOf(dialling)

    @property
    def upstream(self) -> Peer:
        (upstream,) = self.proxy.connector.upstreams
        return upstream

    def spoke(self) -> None:
        self.spoken += 1

    def relay(self) -> Peer:
        """A client's relay goes on with it."""

        def ended() -> None:
            self.ended += 1

        client = Peer()
        relay = Relay(self.proxy.reactor.stream(client, CLIENT, OURS), ended, 65536)
        relay.start()
        self.dialled.join(relay)
        self.proxy.settle()
        return client

    def test_endpoint(self) -> None:
        """Where it leads is known, and nothing is sent there or read from there before somebody listens."""
        self.upstream.say(b"220")
        self.proxy.settle()
        self.assertEqual((UPSTREAM, b"", 3), (self.dialled.endpoint, self.upstream.heard, self.upstream.unread))

    def test_told(self) -> None:
        """An upstream that waits to be told for whom it is, is told before it can speak."""
        proxy = ScriptedProxy(TcpPlugin(), metadata=Metadata(proxy_protocol="v1"))
        dialling = proxy.factory.dial(proxy.reactor.stream(Peer(), CLIENT, OURS))
        dialled = self.successResultOf(dialling)
        self.assertEqual(v1.build(CLIENT, OURS), proxy.connector.upstreams[0].heard)
        dialled.close()

    def test_spoke(self) -> None:
        """The first words are told of, once, and kept."""
        self.dialled.listen(self.spoke)
        self.proxy.settle()
        self.assertEqual(0, self.spoken)
        for words in (b"220 ", b"hello"):
            self.upstream.say(words)
            self.proxy.settle()
        self.assertEqual(1, self.spoken)
        self.assertEqual(b"220 hello", self.relay().heard)

    def test_greeting_is_bounded(self) -> None:
        """What an upstream says before its turn is read once; the rest waits in the kernel."""
        self.dialled.listen(self.spoke)
        self.upstream.say(bytes(1 << 20))
        self.proxy.settle()
        self.assertGreaterEqual(self.upstream.unread, (1 << 20) - 65536)
        self.assertEqual(1 << 20, len(self.relay().heard))

    def test_ended(self) -> None:
        """An upstream that hangs up or breaks without a word is told of as well, once."""
        for leave in (Peer.hang_up, Peer.reset):
            self.setUp()
            self.dialled.listen(self.spoke)
            leave(self.upstream)
            self.proxy.settle()
            self.assertEqual(1, self.spoken)

    def test_broken_before(self) -> None:
        """Also where it broke before anybody listened: within the call."""
        self.upstream.reset()
        self.proxy.settle()
        self.dialled.listen(self.spoke)
        self.assertEqual(1, self.spoken)
        self.dialled.close()
        self.assertEqual(0, self.proxy.open)

    def test_joined(self) -> None:
        """Joined, nothing is told any more: it is the relay's, until both ends are closed."""
        self.dialled.listen(self.spoke)
        client = self.relay()
        self.upstream.say(b"answer")
        self.upstream.hang_up()
        client.hang_up()
        self.proxy.settle()
        self.assertEqual((b"answer", 0, 1), (client.heard, self.spoken, self.ended))
        self.dialled.close()
        self.assertEqual(0, self.proxy.open)

    def test_closed(self) -> None:
        """Given up, it is closed with its lease, and says nothing."""
        for listen in (True, False):
            self.setUp()
            if listen:
                self.dialled.listen(self.spoke)
            self.dialled.close()
            self.proxy.settle()
            self.assertEqual(("reset", 0, 0), (self.upstream.ended, self.spoken, self.proxy.open))
            self.assertEqual([1], [lease.closed for lease in self.proxy.leases])

    def test_exception(self) -> None:
        """An exception of whoever listens is told as this protocol's."""

        def spoke() -> None:
            raise ZeroDivisionError

        self.dialled.listen(spoke)
        self.upstream.say(b"x")
        self.proxy.settle()
        self.assertEqual([ZeroDivisionError], [failure.type for failure in self.proxy.crashes])
        self.assertEqual("reset", self.upstream.ended)
        self.dialled.close()
