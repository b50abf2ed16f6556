# -*- test-case-name: tests.transport.test_keepalive -*-
"""
Tests for L{lproxy.transport.keepalive}.
"""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.keepalive import PROBES, SETTLED, Keepalive, Settling
from tests.transport.sockets import ScriptedHub


class KeepaliveTests(SynchronousTestCase):
    """A peer that is gone without a word is asked for."""

    def test_asked(self) -> None:
        """After so many seconds of silence, at such intervals, so often; in whole seconds, one at least."""
        for given, seconds in (((30.0, 10.0), (30, 10)), ((0.2, 0.3), (1, 1))):
            with socket.socket() as sock:
                Keepalive(*given).set(sock)
                self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
                options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                self.assertEqual(
                    (*seconds, PROBES), tuple(sock.getsockopt(socket.IPPROTO_TCP, option) for option in options)
                )


class SettlingTests(SynchronousTestCase):
    """Sockets are told once they have been open for a while."""

    def setUp(self) -> None:
        self.hub = ScriptedHub()
        self.settling = Settling(Keepalive(30, 10), self.hub)

    def connected(self) -> socket.SocketType:
        """A socket that was connected just now."""
        sock = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(sock.close)
        self.settling.add(sock)
        return sock

    def told(self, sock: socket.SocketType) -> bool:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1

    def test_settled(self) -> None:
        """All that are still open are told at once, by one timer, and those that come later by another."""
        one, other = self.connected(), self.connected()
        self.hub.advance(SETTLED / 2)
        third = self.connected()
        self.assertEqual((1, False), (len(self.hub.getDelayedCalls()), self.told(one)))
        self.hub.advance(SETTLED / 2)
        self.assertEqual([True] * 3, [self.told(sock) for sock in (one, other, third)])
        self.assertEqual([], self.hub.getDelayedCalls())
        late = self.connected()
        self.hub.advance(SETTLED)
        self.assertTrue(self.told(late))

    def test_over(self) -> None:
        """Nothing is asked of one that is closed, nor is it kept where its number is used again."""
        one = self.connected()
        number = one.fileno()
        one.close()
        other = self.connected()
        self.assertEqual(number, other.fileno())
        other.close()
        third = self.connected()
        self.assertEqual([third], list(self.settling._sockets.values()))
        third.close()
        self.hub.advance(SETTLED)
        self.assertEqual(([], {}), (self.hub.getDelayedCalls(), self.settling._sockets))

    def test_broken(self) -> None:
        """One that cannot be told keeps nobody else from it."""
        # a UNIX socket has no such times
        broken, peer = socket.socketpair()
        self.addCleanup(broken.close)
        self.addCleanup(peer.close)
        self.settling.add(broken)
        sock = self.connected()
        self.hub.advance(SETTLED)
        self.assertTrue(self.told(sock))

    def test_close(self) -> None:
        """No timer is left, and nobody who has settled in between is forgotten; again is harmless."""
        sock = self.connected()
        self.settling.close()
        self.settling.close()
        self.assertEqual(([], True), (self.hub.getDelayedCalls(), self.told(sock)))
