# -*- test-case-name: tests.transport.proxy_protocol.test_receive -*-
"""
Tests for L{lproxy.transport.proxy_protocol.receive} on pairs of real sockets.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from lproxy.transport.detect import GRACE
from lproxy.transport.proxy_protocol import v1, v2
from lproxy.transport.proxy_protocol.header import Header
from lproxy.transport.proxy_protocol.receive import EOF, LOCAL, MALFORMED, MISSING, TIMEOUT, Receiving
from tests.transport.sockets import Recorder, SocketCase

SOURCE, DESTINATION = ("192.0.2.1", 56324), ("198.51.100.2", 443)
HEADERS = (
    v1.build(SOURCE, DESTINATION),
    v1.build(None, None),
    v2.build(SOURCE, DESTINATION, b"\x02\x00\x04shop"),
    v2.build_local(),
)
SECONDS, MOMENT = 10.0, 0.05


class Then:
    """
    What comes of it.

    @ivar headers: those that were received
    @ivar refused: results
    """

    def __init__(self, case: ReceiveTests) -> None:
        self.case = case
        self.headers: list[Header] = []
        self.refused: list[str] = []
        self.next = Recorder()

    def received(self, receiving: Receiving, header: Header) -> None:
        """Somebody else reads from now on."""
        self.headers.append(header)
        receiving.stream.attach(self.next)
        receiving.stream.resume()

    def refused_(self, result: str, why: str) -> None:
        self.case.assertTrue(why)
        self.refused.append(result)


class Owner:
    """Tells L{Then}."""

    def __init__(self, then: Then) -> None:
        self._then = then

    def received(self, receiving: Receiving, header: Header) -> None:
        self._then.received(receiving, header)

    def refused(self, receiving: Receiving, result: str, why: str) -> None:
        self._then.refused_(result, why)


class ReceiveTests(SocketCase):
    """What is read, and what is left to whoever comes next."""

    def start(self, before: bytes = b"", tcp: bool = False) -> None:
        """A connection on which C{before} has come before anybody looks."""
        self.stream, self.peer = self.tcp() if tcp else self.unix()
        self.peer.sendall(before)
        self.then = Then(self)
        raw = self.stream.raw()
        assert raw is not None
        owner: Any = Owner(self.then)
        self.receiving = Receiving(owner, self.reactor, self.stream, raw, SECONDS, MOMENT, "web")
        self.receiving.start()

    def say(self, data: bytes) -> None:
        """The peer says C{data}, and all is done that can be."""
        self.peer.sendall(data)
        self.settle()

    def test_at_once(self) -> None:
        """A header that has come with the connection is read before the start returns; what follows, by the next."""
        for header in HEADERS:
            self.start(header + b"GET /")
            self.assertEqual([], self.reactor.getDelayedCalls())
            self.assertEqual(([len(header)], []), ([one.size for one in self.then.headers], self.then.refused))
            self.assertEqual([], self.then.next.events)
            self.settle()
            self.assertEqual(([b"GET /"], 5), (self.then.next.events, self.stream.bytes_in))
            self.assertEqual([], self.reactor.getDelayedCalls())

    def test_byte_by_byte(self) -> None:
        """In whatever pieces it comes; not a byte too much is read, and none of it counts as the client's."""
        for header in HEADERS:
            self.start()
            for byte in header[:-1]:
                self.say(bytes([byte]))
            self.assertEqual([], self.then.headers)
            self.say(header[-1:] + b"rest")
            self.assertEqual(1, len(self.then.headers))
            self.assertEqual((b"rest", 4), (self.then.next.heard, self.stream.bytes_in))

    def test_left_to_the_kernel(self) -> None:
        """What follows is not read but where somebody reads: a handshake finds all of it in the socket."""
        self.start(HEADERS[2][:5])
        self.then.next = Recorder()
        self.then.next.then["data"] = AssertionError("read")
        self.then.received = lambda receiving, header: receiving.stream.pause()  # type: ignore[method-assign]
        self.say(HEADERS[2][5:] + b"\x16\x03\x01 hello")
        self.assertEqual(b"\x16\x03\x01 hello", self.stream.peek(100))

    def test_wakes_once(self) -> None:
        """Where the length is known, one segment after another does not wake us before it is all there."""
        header = v2.build(SOURCE, DESTINATION, b"\xe0\x03\xe8" + bytes(1000))
        self.start(header[:20])
        self.assertFalse(self.ready())
        self.peer.sendall(header[20:-1])
        self.settle()
        self.assertEqual([], self.then.headers)
        self.say(header[-1:])
        self.assertEqual(1, len(self.then.headers))
        self.say(b"x")
        self.assertEqual(b"x", self.then.next.heard)

    def test_missing(self) -> None:
        """What begins otherwise is refused with its first bytes, and closed."""
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"PROXZ"):
            self.start()
            self.say(data)
            self.assertEqual(([MISSING], True), (self.then.refused, self.stream.closed))

    def test_malformed(self) -> None:
        """So is what begins rightly, and goes wrong."""
        for data in (b"PROXY TCP4 nowhere\r\n", v2.SIGNATURE + b"\x99", b"PROXY UNKNOWN".ljust(107)):
            self.start()
            self.say(data[:9])
            self.say(data[9:])
            self.assertEqual(([MALFORMED], True), (self.then.refused, self.stream.closed))

    def test_broken_off(self) -> None:
        """The end, before a header is whole."""
        for header in HEADERS:
            self.start(header[:-1])
            self.peer.close()
            self.settle()
            self.assertEqual(([MALFORMED], True), (self.then.refused, self.stream.closed))

    def test_only_looked(self) -> None:
        """Who ends without a byte has looked whether somebody is there, and so has who resets."""
        self.start()
        self.peer.close()
        self.settle()
        self.assertEqual(([EOF], True), (self.then.refused, self.stream.closed))
        self.start(tcp=True)
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peer.close()
        self.until(lambda: self.stream.closed)
        self.assertEqual([EOF], self.then.refused)

    def test_health_check(self) -> None:
        """
        Who speaks for itself and ends soon goes no further, reset or not. One that stays does, after a moment, or with
        its first byte; and so does a client that ends.
        """
        for how in (b"\0", struct.pack("ii", 1, 0)):
            self.start(tcp=True)
            self.say(v2.build_local())
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how.ljust(8, b"\0"))
            self.peer.close()
            self.until(lambda: self.stream.closed)
            self.assertEqual(([], [LOCAL]), (self.then.headers, self.then.refused))
            self.assertEqual([], self.reactor.getDelayedCalls())
        self.start(v2.build_local())
        self.assertEqual([], self.then.headers)
        self.reactor.advance(MOMENT)
        self.assertEqual((1, []), (len(self.then.headers), self.then.refused))
        self.start()
        self.say(v2.build_local())
        self.say(b"GET /")
        self.assertEqual((1, b"GET /", []), (len(self.then.headers), self.then.next.heard, self.then.refused))
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.start()
        self.peer.sendall(HEADERS[0])
        self.peer.close()
        self.settle()
        self.assertEqual((1, ["eof"]), (len(self.then.headers), self.then.next.events))

    def test_too_late(self) -> None:
        """There is one clock for all of it, however much comes meanwhile."""
        self.start(HEADERS[0][:3])
        self.reactor.advance(SECONDS - 1)
        self.say(HEADERS[0][3:6])
        self.assertEqual([], self.then.refused)
        self.reactor.advance(1)
        self.assertEqual(([TIMEOUT], True), (self.then.refused, self.stream.closed))

    def test_drain(self) -> None:
        """A shutdown waits a moment for who has said nothing, and for the rest of what was begun."""
        self.start()
        self.receiving.drain()
        self.reactor.advance(GRACE)
        self.assertEqual(([EOF], True), (self.then.refused, self.stream.closed))
        self.start(b"PROXY ")
        self.receiving.drain()
        self.reactor.advance(GRACE)
        self.assertEqual([], self.then.refused)
        self.start()
        self.receiving.drain()
        self.say(b"PROXY ")
        self.reactor.advance(GRACE)
        self.assertEqual([], self.then.refused)
        self.reactor.advance(SECONDS - GRACE)
        self.assertEqual([TIMEOUT], self.then.refused)

    def test_abort(self) -> None:
        """It ends at once, and keeps no timer."""
        self.start()
        self.receiving.abort()
        self.assertEqual(([EOF], True), (self.then.refused, self.stream.closed))
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_shown(self) -> None:
        """While it is waited for, it has its row."""
        self.start(b"PROX")
        self.reactor.advance(2)
        row = self.receiving.describe()
        self.assertEqual(("web", "proxy header", 2.0), (row["listener"], row["state"], row["seconds"]))
        self.assertIn("PROX", repr(self.receiving))
