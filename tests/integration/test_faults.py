# -*- test-case-name: tests.integration.test_faults -*-
"""
Whatever raises within a built-in protocol costs its connection: each step of a connection's life raises in turn, and
neither lease nor connection, session, timer or count is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.plugin import HttpPlugin
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.testing import Peer
from lproxy.testing.faults import Fault, Faults
from lproxy.testing.proxy import ScriptedProxy
from tests.protocols.kafka.scene import beat, heartbeat

#: whose steps raise
ROOMS = ("lproxy.protocols.", "lproxy.transport.relay", "lproxy.transport.tap")
REQUEST = b"GET /memo HTTP/1.1\r\nHost: upstream.test\r\n\r\n"
POSTED = b"POST /memo HTTP/1.1\r\nHost: upstream.test\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UPGRADE = b"GET / HTTP/1.1\r\nHost: upstream.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
CONNECT = b"CONNECT upstream.test:80 HTTP/1.1\r\nHost: upstream.test:80\r\n\r\n"

Turn = tuple[bytes, bytes]


class FaultTests(SynchronousTestCase):
    """Each step of each built-in protocol."""

    def live(self, proxy: ScriptedProxy, turns: tuple[Turn, ...], mode: Any, leave: Callable[[Peer], None]) -> None:
        """A connection's life: the client asks and is answered, until one of them leaves."""
        proxy.connector.mode = mode
        client = proxy.client(turns[0][0])
        for asked, answered in turns:
            if asked is not turns[0][0]:
                client.say(asked)
            proxy.settle()
            if proxy.connector.waiting:
                proxy.connector.accept()
                proxy.settle()
            for upstream in proxy.connector.upstreams[-1:]:
                upstream.say(answered)
            proxy.settle()
        leave(client)
        proxy.settle()

    def one(self, plugin: Any, at: int, *life: Any) -> tuple[list[str], ScriptedProxy]:
        proxy, faults = ScriptedProxy(plugin), Faults(ROOMS, at)
        try:
            with faults.injected():
                self.live(proxy, *life)
        except Fault:
            pass  # before there was a session, which is contained by the listener
        for stream in list(proxy.reactor.streams):
            stream.peer.reset()
        proxy.settle(400)
        return faults.steps, proxy

    def each(self, plugin: Any, *turns: Turn) -> None:
        """Nothing is left, whichever step raises."""
        for mode in ("accept", "wait"):
            for leave in (Peer.hang_up, Peer.reset):
                steps, proxy = self.one(plugin, -1, turns, mode, leave)
                self.assertEqual([], proxy.left())
                for at, step in enumerate(steps):
                    _, proxy = self.one(plugin, at, turns, mode, leave)
                    left = [one for one in proxy.left() if not one.startswith("crash")]
                    self.assertEqual([], left, f"where {step} raises, step {at} of {mode}, {leave.__name__}")

    def test_tcp(self) -> None:
        """TCP."""
        self.each(TcpPlugin(), (b"hello", b"hi"), (b"a", b"b"))

    def test_kafka(self) -> None:
        """Kafka."""
        self.each(KafkaPlugin(), (heartbeat(1), beat(1)), (heartbeat(2), beat(2)))

    def test_http(self) -> None:
        """HTTP, which pools connections."""
        self.each(HttpPlugin(), (REQUEST, OK), (POSTED, OK))

    def test_upgrade(self) -> None:
        """A connection that was upgraded."""
        self.each(HttpPlugin(), (UPGRADE, UPGRADED), (b"a", b"b"))

    def test_connect(self) -> None:
        """A tunnel."""
        self.each(HttpPlugin(), (CONNECT, b"x"), (b"a", b"b"))
