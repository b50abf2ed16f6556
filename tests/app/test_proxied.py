# -*- test-case-name: tests.app.test_proxied -*-
"""
Tests for L{lproxy.app.proxied}: a listener whose connections say whom they are for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lproxy.api import Accepted
from lproxy.app.proxied import Senders
from lproxy.config import Listen
from lproxy.testing.wire import MemoryStream, Peer
from lproxy.transport.proxy_protocol import v1, v2
from lproxy.transport.stream import Address, Conn, Raw
from tests.app.test_listener import CLIENT, OURS, EchoSession, EdgeMixin

SOURCE, DESTINATION = ("192.0.2.1", 56324), ("198.51.100.2", 443)


class KernelStream(MemoryStream):
    """What a peer says stays with it until it is read."""

    diverted: Callable[[], None] | None = None

    def raw(self) -> Raw | None:
        """It can be looked at."""
        raw: Any = self
        return raw

    def turn(self) -> bool:
        """Tell whoever wants to know instead."""
        due = self.diverted is not None and self.reading and not self.closed and bool(self.peer.said or self.peer.eof)
        if due and self.diverted is not None:
            self.diverted()
        return due or super().turn()

    def peek(self, most: int) -> bytes:
        if not (self.peer.said or self.peer.eof):
            raise BlockingIOError
        return self.peer.said[:most]

    def take(self, count: int) -> bytes:
        taken, self.peer.said = self.peer.said[:count], self.peer.said[count:]
        return taken

    def divert_reading(self, readable: Callable[[], None] | None) -> None:
        self.diverted = readable

    def low_water(self, count: int) -> None:
        """Whatever comes wakes."""

    def read_on(self) -> bool:
        return super().turn()


class ProxiedCase(EdgeMixin):
    """
    A listener that requires headers, of certain senders.

    @cvar senders: its C{proxy_protocol_from}
    """

    senders: tuple[str, ...] = ("10.0.0.0/8",)

    def setUp(self) -> None:
        super().setUp()
        listen = replace(self.runtime.listen, proxy_protocol="require", proxy_protocol_from=self.senders)
        self.runtime = replace(self.runtime, listen=listen)
        self.edge = self.make_edge()

    def arrive(self, data: bytes = b"", peer: Address = CLIENT, port: Callable[[Any], None] | None = None) -> Peer:
        """A connection from C{peer}, that says C{data}; to the listener itself, or what C{port} accepts."""
        client = Peer()
        client.say(data)
        self.stream = KernelStream(self.proxy.reactor, client, Conn(peer, OURS))
        (port or self.edge.accepted)(self.stream)
        self.proxy.settle()
        return client

    def closed(self, peer: Peer, result: str) -> str:
        """The line that C{peer} has cost; it was closed as C{result}, and nobody else has seen it."""
        self.assertEqual(("closed", b""), (peer.ended, peer.heard))
        self.assertEqual(({result: 1}, {}), (self.counter.headers, self.counter.results))
        self.assertEqual(([], []), (self.proxy.connector.upstreams, self.proxy.connector.waiting))
        self.assert_nothing_left()
        (line,) = self.proxy.warnings
        self.assertEqual([f"proxy-protocol-{result}"], self.kinds)
        return line


class ProxiedTests(ProxiedCase):
    """Whom a connection is for is known before anything else."""

    def test_told(self) -> None:
        """The client's address is the header's, for its protocol, in the metrics and wherever connections are shown."""
        for header in (v1.build(SOURCE, DESTINATION), v2.build(SOURCE, DESTINATION)):
            self.proxy.counted.clear()
            peer = self.arrive(header + b"echo hello")
            self.assertEqual(b"echo hello", peer.heard)
            conn = self.factory.made[-1].stream.conn
            self.assertEqual((SOURCE, DESTINATION), (conn.peer, conn.local))
            ((_, end, src_addr, dst_addr, protocol),) = self.proxy.counted
            self.assertEqual(
                ("src", "192.0.2.1", "198.51.100.2:443", "echo"), (end, src_addr, dst_addr, protocol), header
            )
            peer.hang_up()
            self.proxy.settle()
        self.assertEqual(({"v1": 1, "v2": 1}, []), (self.counter.headers, self.proxy.warnings))
        self.assert_nothing_left()

    def test_in_pieces(self) -> None:
        """However it comes, its place among the sessions is taken by the next; a drain waits for it."""
        header = v1.build(SOURCE, DESTINATION)
        peer = self.arrive(header[:9])
        self.assertEqual([{"state": "proxy header", "listener": "web"}], self.shown())
        peer.say(header[9:])
        self.proxy.settle()
        self.assertEqual([{"state": "detecting", "listener": "web"}], self.shown())
        peer.say(b"echo")
        self.proxy.settle()
        self.assertEqual((b"echo", 1), (peer.heard, len(self.sessions)))

    def test_own_word(self) -> None:
        """Who speaks for itself, or does not say for whom, keeps its own address."""
        for header in (v2.build_local(), v1.build(None, None), v2.build(None, None)):
            self.arrive(header + b"echo")
            conn = self.factory.made[-1].stream.conn
            self.assertEqual((CLIENT, OURS), (conn.peer, conn.local))
        self.assertEqual({"local": 1, "v1": 1, "v2": 1}, self.counter.headers)

    def test_server_first(self) -> None:
        """A client that is silent after its header is one that waits for its server."""
        peer = self.arrive(v2.build(SOURCE, DESTINATION))
        self.proxy.settle(0.05)
        (upstream,) = self.proxy.connector.upstreams
        upstream.say(b"220 hello\r\n")
        self.proxy.settle()
        self.assertEqual((b"220 hello\r\n", {"server_first": 1}), (peer.heard, self.counter.results))

    def test_missing(self) -> None:
        """Without a header it is closed, whatever it speaks, with a line that says what it began with and who asks."""
        line = self.closed(self.arrive(b"echo hello"), "missing")
        self.assertIn("listener web: a connection from 10.0.0.1 was closed: it does not begin with a PROXY", line)
        self.assertIn("0x6563686f", line)
        self.assertIn('(proxy_protocol = "require")', line)

    def test_malformed(self) -> None:
        """So is one whose header is none."""
        self.assertIn("not a port", self.closed(self.arrive(b"PROXY TCP4 1.2.3.4 1.2.3.4 x 1\r\necho"), "malformed"))

    def test_slow(self) -> None:
        """So is one whose header does not come in time."""
        peer = self.arrive(b"PROXY ")
        self.proxy.settle(self.runtime.timeouts.handshake)
        self.assertIn("within 10 s", self.closed(peer, "timeout"))

    def test_untrusted(self) -> None:
        """So is one from elsewhere, whatever it says."""
        line = self.closed(self.arrive(v2.build(SOURCE, DESTINATION), ("11.0.0.1", 1)), "untrusted")
        self.assertIn("a connection from 11.0.0.1 was closed: it is not from a network of proxy_protocol_from", line)

    def test_health_check(self) -> None:
        """Who only looks whether somebody is there costs neither a line nor an upstream."""
        for data in (b"", v2.build_local()):
            peer = self.arrive()
            peer.say(data)
            peer.hang_up()
            self.proxy.settle()
            self.assertEqual("closed", peer.ended)
        self.assertEqual(({"eof": 1, "local": 1}, []), (self.counter.headers, self.proxy.warnings))
        self.assertEqual([], self.proxy.connector.upstreams)
        self.assert_nothing_left()

    def test_further(self) -> None:
        """A further address that a protocol has asked for is as the listener's own."""
        made: list[Accepted] = []

        def make(accepted: Accepted) -> EchoSession:
            made.append(accepted)
            return EchoSession(self.factory, accepted)

        port = self.edge.further("note", make)
        self.assertEqual(b"any", self.arrive(v1.build(SOURCE, DESTINATION) + b"any", port=port).heard)
        self.assertEqual((SOURCE, "note"), (made[0].stream.conn.peer, made[0].protocol))
        self.assertEqual(b"", self.arrive(b"any", port=port).heard)
        self.assertEqual({"v1": 1, "missing": 1}, self.counter.headers)

    def test_drain(self) -> None:
        """Once it drains, what has not begun is let go of soon."""
        peer = self.arrive()
        self.sessions.drain()
        self.proxy.settle(1)
        self.assertEqual(("closed", []), (peer.ended, self.proxy.warnings))
        self.assert_nothing_left()


class ConfiguredTests(ProxiedCase):
    """On a listener without detection."""

    protocol = "echo"

    def test_configured(self) -> None:
        """The protocol gets the connection when its header has been read, and no byte of it."""
        peer = self.arrive(v1.build(SOURCE, DESTINATION) + b"anything")
        self.assertEqual((b"anything", 1), (peer.heard, len(self.sessions)))
        self.assertEqual(b"", self.factory.made[0].prefix)


class SendersTests(EdgeMixin):
    """Who may send headers."""

    def test_networks(self) -> None:
        """Those of the networks; without any, everybody; and whoever may connect to a UNIX socket."""
        some = Senders(Listen(proxy_protocol_from=("10.0.0.0/8", "::1")))
        self.assertEqual([True, True, False, True], [some.may(host) for host in ("10.1.2.3", "::1", "11.0.0.1", "")])
        anybody = Senders(Listen())
        self.assertEqual([True, True], [anybody.may(host) for host in ("11.0.0.1", "")])
