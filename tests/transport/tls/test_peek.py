# -*- test-case-name: tests.transport.tls.test_peek -*-
"""
Tests for L{lproxy.transport.tls.peek}, on real sockets.
"""

from __future__ import annotations

import socket

from lproxy.transport.socket import SocketStream
from lproxy.transport.tls.hello import Hello
from lproxy.transport.tls.peek import BLINK, Peek
from tests.transport.sockets import Recorder, SocketCase
from tests.transport.test_socket import reset
from tests.transport.tls.test_hello import USUAL, message, records, server_name

NAME = "web.shop.test"


class PeekTests(SocketCase):
    """One connection that may begin with a hello."""

    def setUp(self) -> None:
        super().setUp()
        self.told: list[Hello | None] = []
        self.start(self.tcp())

    def start(self, pair: tuple[SocketStream, socket.socket]) -> None:
        """Look at this one."""
        self.stream, self.peer = pair
        self.reader = Recorder()
        self.stream.attach(self.reader)
        self.peek = Peek(self.stream, self.stream, self.reactor, self.tell)
        self.stream.resume()

    def tell(self, hello: Hello | None) -> None:
        """Of a hello, nothing is read; what is none is, from now on."""
        self.told.append(hello)
        self.assertEqual([], self.reader.events)
        if hello is not None:
            self.stream.pause()

    def say(self, data: bytes) -> None:
        """The peer says C{data}, which arrives."""
        self.peer.sendall(data)
        self.settle()

    def assert_unread(self, data: bytes) -> None:
        """Nothing of C{data} was read so far, and all is from now on."""
        self.assertEqual([], self.reader.events)
        self.stream.resume()
        self.until(lambda: len(self.reader.heard) >= len(data))
        self.assertEqual(data, self.reader.heard)

    def test_hello(self) -> None:
        """It is read, and left where it is."""
        self.say(USUAL)
        self.assertEqual([NAME], [hello and hello.sni for hello in self.told])
        self.assert_unread(USUAL)

    def test_there_already(self) -> None:
        """It may be there before anybody waits."""
        stream, peer = self.unix()
        peer.sendall(USUAL)
        self.start((stream, peer))
        self.peek.look()
        self.assertEqual(1, len(self.told))
        self.assert_unread(USUAL)

    def test_bytewise(self) -> None:
        """However it is cut, it is seen when it is whole; the kernel wakes nobody before that."""
        looks = 0
        look = self.peek.look

        def counted() -> None:
            nonlocal looks
            looks += 1
            look()

        self.stream.divert_reading(counted)
        for at in range(len(USUAL)):
            self.assertEqual([], self.told)
            self.say(USUAL[at : at + 1])
        self.until(lambda: self.told)
        self.assertTrue(self.peek.heard)
        self.assertEqual(1, len(self.told))
        self.assertLess(looks, 20)
        self.assert_unread(USUAL)

    def test_other(self) -> None:
        """Anything else is told of by its first byte that cannot be right."""
        for data in (b"G", b"\0", b"\x16\2", b"\x16\3\1\x50"):
            self.told.clear()
            self.start(self.tcp())
            for byte in data:
                self.assertEqual([], self.told, data)
                self.say(bytes([byte]))
            self.assertEqual(([None], data), (self.told, self.reader.heard))
            self.stream.abort()

    def test_ended(self) -> None:
        """Half a hello with an end behind it is none; nor is an end without anything."""
        for data in (USUAL[:50], USUAL[:1], b""):
            self.told.clear()
            self.start(self.tcp())
            if data:
                self.say(data)
                self.assertEqual([], self.told)
            self.peer.shutdown(socket.SHUT_WR)
            self.until(lambda: self.told)
            self.assertEqual([None], self.told)
            self.until(lambda: "eof" in self.reader.events)
            self.assertEqual(data, self.reader.heard)
            self.stream.abort()

    def test_long(self) -> None:
        """A hello of nearly 64 KiB, in many segments, is seen when it is whole."""
        long = records(message(server_name(b"web.shop.test"), (21).to_bytes(2, "big") + b"\xfd\0" + bytes(0xFD00)))
        for at in range(0, len(long), 1400):
            self.assertEqual([], self.told)
            self.say(long[at : at + 1400])
        self.until(lambda: self.told)
        self.assertEqual([NAME], [hello and hello.sni for hello in self.told])
        self.assert_unread(long)

    def test_endless(self) -> None:
        """One that says that it will be longer is none at once."""
        self.say(records(message(length=100_000))[:12])
        self.assertEqual([None], self.told)

    def test_unhelpful_kernel(self) -> None:
        """Where the kernel wakes us for each byte, we look now and then, and do not spin."""
        self.start(self.unix())
        self.say(USUAL[:20])
        self.peer.sendall(USUAL[20:30])
        for _ in range(10):
            if self.ready():
                self.hub.serve()
        self.assertFalse(self.ready())
        self.peer.sendall(USUAL[30:])
        self.assertFalse(self.ready())
        self.reactor.advance(BLINK)
        self.settle()
        self.assertEqual(1, len(self.told))
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.assert_unread(USUAL)

    def test_given_up(self) -> None:
        """Who has waited long enough says so: what there is is read."""
        self.say(USUAL[:50])
        self.peek.give_up()
        self.assertEqual([None], self.told)
        self.settle()
        self.assertEqual(USUAL[:50], self.reader.heard)
        self.peek.give_up()
        self.assertEqual([None], self.told)

    def test_stopped(self) -> None:
        """Or wants to hear nothing, also while it looks now and then."""
        self.start(self.unix())
        self.say(USUAL[:20])
        self.say(USUAL[20:30])
        self.peek.stop()
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.settle()
        self.assertEqual(([], USUAL[:30]), (self.told, self.reader.heard))

    def test_reset(self) -> None:
        """A connection that breaks is lost, as any other."""
        self.say(USUAL[:20])
        reset(self.peer)
        self.until(lambda: "lost" in self.reader.events)
        self.assertEqual(([USUAL[:20], "lost"], "ECONNRESET"), (self.reader.events, self.stream.errno))
        self.assertEqual([None], self.told)

    def test_broken(self) -> None:
        """So is one of which there is nothing to be looked at."""
        reset(self.peer)
        self.until(lambda: self.reader.events)
        self.assertEqual((["lost"], "ECONNRESET", []), (self.reader.events, self.stream.errno, self.told))
        self.peek.stop()
