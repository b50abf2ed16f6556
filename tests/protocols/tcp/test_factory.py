# -*- test-case-name: tests.protocols.tcp.test_factory -*-
"""
Tests for L{lproxy.protocols.tcp.factory}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Accepted, Endpoint, Match, Stream, TcpSession
from lproxy.protocols.tcp.factory import TcpFactory
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.target import OriginalDst
from lproxy.testing.proxy import ScriptedProxy
from lproxy.testing.upstream import CLIENT, OURS
from lproxy.testing.wire import Peer
from lproxy.transport.connect import ConnectFailed


class FactoryTests(SynchronousTestCase):
    """Sessions and connections that are opened before their turn."""

    def start(self, target: str, original_dst: tuple[str, int] | None = None) -> tuple[ScriptedProxy, Stream]:
        """A proxy, and a client that has said nothing."""
        proxy = ScriptedProxy(TcpPlugin(), target=target)
        return proxy, proxy.reactor.stream(Peer(), CLIENT, OURS, original_dst)

    def test_session(self) -> None:
        """One for each connection, with the factory's name, which does nothing before it starts."""
        proxy, stream = self.start("upstream.test:9000")
        factory = TcpFactory(proxy.runtime, "redis", lambda prefix: Match("redis"))
        one, other = (factory.session(Accepted(stream, "redis", prefix=b"x")) for _ in range(2))
        self.assertIsInstance(one, TcpSession)
        self.assertIsNot(one, other)
        self.assertIn("redis to None", repr(one))
        self.assertEqual(Match("redis"), factory.detector(b"") if factory.detector else None)
        proxy.settle()
        self.assertEqual([], proxy.connector.upstreams)

    def test_detector(self) -> None:
        """TCP's own by default; none for a protocol that is only ever configured."""
        proxy, _ = self.start("upstream.test:9000")
        self.assertEqual(Match(), TcpFactory(proxy.runtime).detector(b"\x00"))  # type: ignore[misc]
        self.assertIsNone(TcpFactory(proxy.runtime, "redis", None).detector)

    def test_life(self) -> None:
        """It has nothing to begin, to tell or to end."""
        proxy, _ = self.start("upstream.test:9000")
        for step in (proxy.factory.start, proxy.factory.drain, proxy.factory.stop):
            self.assertIsNone(step())
        self.assertEqual([], proxy.left())

    def test_dial(self) -> None:
        """A fixed target is known without reading; its connection counts as the factory's."""
        proxy, stream = self.start("upstream.test:9000")
        dialled: Any = self.successResultOf(proxy.factory.dial(stream))
        self.assertEqual((1, Endpoint("10.0.0.9", 9000)), (proxy.open, dialled.endpoint))
        self.assertIn(("outbound", "dst", "10.0.0.2", "10.0.0.9:9000", "tcp"), proxy.counted)
        dialled.close()
        self.assertEqual([], proxy.left())

    def test_dial_redirected(self) -> None:
        """So is the original destination of a redirected connection."""
        proxy, stream = self.start("authority", ("10.9.9.9", 25))
        dialled: Any = self.successResultOf(proxy.factory.dial(stream))
        self.assertEqual([OriginalDst("10.9.9.9", 25)], proxy.targets)
        dialled.close()
        proxy.settle()

    def test_nowhere(self) -> None:
        """Where nobody knows, nothing is opened."""
        proxy, stream = self.start("authority")
        self.assertIsNone(proxy.factory.dial(stream))
        self.assertEqual([], proxy.connector.upstreams)

    def test_cancelled(self) -> None:
        """Cancelling cancels the connect."""
        proxy, stream = self.start("upstream.test:9000")
        proxy.connector.mode = "wait"
        d = proxy.factory.dial(stream)
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual(1, proxy.connector.cancelled)
        self.assertEqual([], proxy.left())

    def test_failed(self) -> None:
        """A failure is told."""
        proxy, stream = self.start("upstream.test:9000")
        proxy.connector.mode = "refuse"
        self.failureResultOf(proxy.factory.dial(stream), ConnectFailed)
        self.assertEqual([], proxy.left())
