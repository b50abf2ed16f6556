# -*- test-case-name: tests.transport.tls.test_detection -*-
"""
Tests for L{lproxy.transport.detect} where a ClientHello is looked for, on real sockets.
"""

from __future__ import annotations

import socket
from typing import Any

from lproxy.testing.garbage import only_new, uncounted
from lproxy.transport.detect import GRACE, TCP, TLS, DetectConfig, Detected, Detection
from lproxy.transport.socket import SocketStream
from lproxy.transport.tls.peek import BLINK
from tests.transport.sockets import SocketCase
from tests.transport.test_detect import (
    DEADLINE,
    IDLE,
    LIMIT,
    SERVER_FIRST,
    DetectionCase,
    FakeDialled,
    FakeEdge,
    starts,
)
from tests.transport.tls.test_hello import USUAL

DETECTORS = (("abc", starts(b"abc")), ("abd", starts(b"abd")))


class Edge(FakeEdge):
    """Leaves what begins with a hello as it is, and has the rest read."""

    def detected(self, detection: Detection, found: Detected) -> None:
        self.live.remove(detection)
        self.found.append(found)
        if found.protocol in (TLS, "kafka"):
            detection.stream.pause()
        detection.stream.attach(self.next, found.prefix, found.eof)


class PeekCase(SocketCase):
    """A connection that may begin with a hello."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def start(self, said: bytes = b"", **settings: Any) -> None:
        """A new connection, on which C{said} was said."""
        for stream in self.streams:
            stream.abort()
        self.edge = Edge()
        times = {"limit": LIMIT, "deadline": DEADLINE, "server_first": SERVER_FIRST, "idle": IDLE, "tls": True}
        config = DetectConfig(**{"detectors": DETECTORS, **times, **settings})
        self.stream, self.peer = self.unix()
        if said:
            self.peer.sendall(said)
        self.detection = Detection(config, self.edge, self.reactor, self.stream)
        self.edge.live.append(self.detection)
        self.detection.start()

    def say(self, data: bytes) -> None:
        """The client says C{data}."""
        self.peer.sendall(data)
        self.settle()

    def wait(self, seconds: float) -> None:
        """Let time pass, and look at what there is."""
        self.reactor.advance(seconds)
        self.settle()

    def assert_found(self, protocol: str, result: str, prefix: bytes = b"", **more: Any) -> Any:
        """That was decided, and nothing is left of the looking."""
        (found,) = self.edge.found
        self.assertEqual((protocol, result, prefix), found[:3])
        for name, value in more.items():
            self.assertEqual(value, getattr(found, name), name)
        self.assertEqual(([], []), (self.reactor.getDelayedCalls(), self.edge.live))
        return found

    def assert_hello(self) -> Any:
        """It begins with a hello, of which nothing was read."""
        found = self.assert_found(TLS, TLS)
        self.assertEqual(["web.shop.test"], [hello.sni for hello in self.edge.hellos])
        self.assertEqual(b"", self.edge.next.heard)
        self.stream.resume()
        self.settle()
        self.assertEqual(USUAL, self.edge.next.heard)
        return found


class PeekTests(PeekCase):
    """What a connection begins with."""

    def test_there(self) -> None:
        """A hello that is there at once is known before this returns."""
        self.start(USUAL)
        self.assert_hello()

    def test_later(self) -> None:
        """One that comes, in whatever pieces, when it is whole; the upstream is not asked to speak."""
        self.say(USUAL[:7])
        self.wait(SERVER_FIRST)
        self.say(USUAL[7:])
        self.wait(DEADLINE / 2)
        self.assert_hello()
        self.assertEqual([], self.edge.dials)

    def test_plain(self) -> None:
        """What is no hello is read, and the detectors are asked, of that and of what follows."""
        self.start(b"abcdef")
        self.assert_found("abc", "abc", b"abcdef")
        self.start()
        self.say(b"a")
        self.say(b"bd")
        self.assert_found("abd", "abd", b"abd")
        self.start()
        self.say(b"\x16\x03\x01\x00\x00")
        self.assert_found(TCP, TCP, b"\x16\x03\x01\x00\x00")
        self.assertEqual([], self.edge.hellos)

    def test_ended(self) -> None:
        """Half a hello and an end are bytes, and an end."""
        self.say(USUAL[:20])
        self.peer.shutdown(socket.SHUT_WR)
        self.wait(BLINK)
        self.assert_found(TCP, TCP, USUAL[:20])
        self.assertEqual((USUAL[:20], ["eof"]), (self.edge.next.heard, self.edge.next.ended))

    def test_slow(self) -> None:
        """So is half a hello at the deadline."""
        self.say(USUAL[:20])
        self.wait(SERVER_FIRST)
        self.wait(DEADLINE)
        self.assert_found(TCP, TCP, USUAL[:20])

    def test_no_socket(self) -> None:
        """What is inside of something else is read as always."""
        case = DetectionCase()
        case.start(tls=True)  # type: ignore[arg-type]
        case.say(b"abcdef")
        case.assert_found("abc", "abc", b"abcdef")
        case = DetectionCase()
        case.start(USUAL, tls=True)  # type: ignore[arg-type]
        self.assertEqual([TCP], [found.protocol for found in case.edge.found])

    def test_lost(self) -> None:
        """A connection that is closed meanwhile is over."""
        self.say(USUAL[:20])
        self.detection.abort()
        self.assertEqual((["eof"], []), ([result for result, _ in self.edge.ends], self.reactor.getDelayedCalls()))

    def test_garbage(self) -> None:
        """However it ends, nothing of it waits for the garbage collector."""
        self.enterContext(only_new())
        for said in (b"", USUAL[:20], USUAL, b"abc"):
            with uncounted() as left:
                self.start(said)
                self.settle()
                self.stream.abort()
                del self.edge, self.detection, self.stream, self.peer
                self.streams.clear()
            self.assertEqual([], [name for name in left if "testing" not in name], said)


class ServerFirstTests(PeekCase):
    """The client, or the upstream: whoever speaks first."""

    def test_upstream(self) -> None:
        """An upstream that speaks to a silent client makes it TCP."""
        self.wait(SERVER_FIRST)
        dialled = FakeDialled()
        self.edge.dials[0].callback(dialled)
        assert dialled.spoke is not None
        dialled.spoke()
        self.assert_found(TCP, "server_first", dialled=dialled)

    def test_client(self) -> None:
        """A client that says hello after all is told with the upstream that was dialled."""
        self.wait(SERVER_FIRST)
        dialled = FakeDialled()
        self.edge.dials[0].callback(dialled)
        self.say(USUAL)
        self.assert_found(TLS, TLS, dialled=dialled)
        self.assertEqual(0, dialled.closed)

    def test_spoken_meanwhile(self) -> None:
        """Once there is half a hello, it is too late for the upstream to be first."""
        self.wait(SERVER_FIRST)
        dialled = FakeDialled()
        self.edge.dials[0].callback(dialled)
        self.say(USUAL[:9])
        assert dialled.spoke is not None
        dialled.spoke()
        self.assertEqual([], self.edge.found)
        self.stream.abort()

    def test_idle(self) -> None:
        """A client that was silent past the deadline may say hello, at once or slowly."""
        for pieces in ((USUAL,), (USUAL[:9], USUAL[9:])):
            self.start()
            self.wait(SERVER_FIRST)
            self.wait(DEADLINE)
            for piece in pieces:
                self.assertEqual([], self.edge.found)
                self.say(piece)
                self.wait(1.0)
            self.assert_hello()


class ConfiguredTests(PeekCase):
    """Where it is configured who gets what is no TLS."""

    def start(self, said: bytes = b"", **settings: Any) -> None:
        """For Kafka, say."""
        super().start(said, detectors=(), configured="kafka", **settings)

    def test_tls(self) -> None:
        """A hello is a hello."""
        self.say(USUAL)
        self.assert_hello()

    def test_plain(self) -> None:
        """All else is that protocol's, unread."""
        self.say(b"abc")
        self.assert_found("kafka", "kafka", b"")
        self.stream.resume()
        self.settle()
        self.assertEqual(b"abc", self.edge.next.heard)

    def test_silent(self) -> None:
        """So is a client that says nothing for too long: perhaps we are to speak first. No upstream is asked to."""
        self.wait(SERVER_FIRST)
        self.assertEqual(([], []), (self.edge.dials, self.edge.found))
        self.wait(DEADLINE)
        self.assert_found("kafka", "kafka")

    def test_ended(self) -> None:
        """And one that ends without a word."""
        self.peer.shutdown(socket.SHUT_WR)
        self.settle()
        self.assert_found("kafka", "kafka")


class DrainTests(PeekCase):
    """The proxy goes down."""

    def test_silent(self) -> None:
        """A client that has said nothing is closed soon."""
        self.detection.drain()
        self.wait(GRACE)
        self.assertTrue(self.stream.closed)

    def test_half(self) -> None:
        """Half a hello is waited for."""
        self.say(USUAL[:9])
        self.detection.drain()
        self.wait(GRACE)
        self.say(USUAL[9:])
        self.wait(1.0)
        self.assert_hello()


class HubTests(SocketCase):
    """It does not take an epoll."""

    def test_no_low_water(self) -> None:
        """The socket is left as any other: it wakes its reader for each byte again."""
        stream, peer = self.tcp()
        edge = Edge()
        config = DetectConfig(DETECTORS, LIMIT, DEADLINE, SERVER_FIRST, IDLE, tls=True)
        detection = Detection(config, edge, self.reactor, stream)
        edge.live.append(detection)
        detection.start()
        peer.sendall(USUAL[:20])
        self.until(lambda: detection._heard)
        self.assertGreater(_low_water(stream), 1)
        peer.sendall(USUAL[20:])
        self.until(lambda: edge.found)
        self.assertEqual(1, _low_water(stream))


def _low_water(stream: SocketStream) -> int:
    number: int = stream._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)
    return number
