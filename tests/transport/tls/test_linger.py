# -*- test-case-name: tests.transport.tls.test_linger -*-
"""
Tests for L{lproxy.transport.tls.linger}, on real sockets.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from lproxy.transport.hub import Events
from lproxy.transport.tls.linger import MOST, PIECE, SECONDS, linger
from tests.transport.sockets import SocketCase


class LingerTests(SocketCase):
    """What becomes of a socket whose peer is to read what it was sent last."""

    def setUp(self) -> None:
        super().setUp()
        self.released: list[int] = []
        stream, self.peer = self.tcp()
        taken = stream.hand_over()._replace(released=lambda: self.released.append(1))
        taken.sock.send(b"alert")
        self.sock = taken.sock
        linger(taken, self.hub)
        assert taken.descriptor.events is not None
        self.events: Events = taken.descriptor.events

    def closed(self) -> None:
        """It is, once, and nothing is left of it."""
        self.assertEqual((-1, [1]), (self.sock.fileno(), self.released))
        self.assertEqual((0, []), (len(self.hub), self.reactor.getDelayedCalls()))

    def test_read(self) -> None:
        """A peer that goes on speaking reads what it was sent, and an end; once it hangs up it is over."""
        self.peer.setblocking(True)
        for _ in range(3):
            self.peer.sendall(b"a request that nobody reads")
            self.until(lambda: not self.ready())
        self.assertEqual(b"alert", self.peer.recv(9))
        self.assertEqual(b"", self.peer.recv(9))
        self.assertEqual([], self.released)
        self.peer.close()
        self.until(lambda: self.released)
        self.closed()

    def test_time(self) -> None:
        """A peer that does not hang up is closed all the same."""
        self.reactor.advance(SECONDS)
        self.closed()

    def test_flood(self) -> None:
        """Nor is it read for as long as it likes."""
        sent = 0
        while not self.released:
            try:
                sent += self.peer.send(bytes(PIECE))
            except (BlockingIOError, ConnectionError):
                pass
            if self.ready():
                self.hub.serve()
        self.assertLess(MOST, sent)
        self.closed()

    def test_gone(self) -> None:
        """A reset, the reactor's end or a mistake is the end at once."""
        ends: list[Callable[[], object]] = [self.events.hung_up, self.events.shut_down, self.events.hung_up]
        for end in ends:
            end()
            self.closed()

    def test_reset(self) -> None:
        """A peer that resets is gone."""
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.peer.close()
        self.until(lambda: self.released)
        self.closed()
