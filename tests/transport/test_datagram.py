# -*- test-case-name: tests.transport.test_datagram -*-
"""
UDP sockets that talk to one peer.
"""

from __future__ import annotations

import errno
import os
import select
import socket

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.datagram import BATCH, Datagrams


class Reactor:
    """Remembers who reads."""

    def __init__(self) -> None:
        self.readers: list[Datagrams] = []

    def addReader(self, reader: Datagrams) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Datagrams) -> None:
        self.readers.remove(reader)

    def turn(self) -> None:
        """Whoever has something to read in half a second reads it."""
        for reader in select.select(self.readers, [], [], 0.5)[0]:
            reader.doRead()


class DatagramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.heard: list[bytes | int | None] = []
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.peer.close)
        self.peer.bind(("127.0.0.1", 0))

    def received(self, data: bytes) -> None:
        self.heard.append(data)

    def failed(self, error: OSError) -> None:
        self.heard.append(error.errno)

    def connected(self) -> Datagrams:
        datagrams = Datagrams(self.reactor, self.peer.getsockname(), self)
        self.addCleanup(datagrams.close)
        return datagrams

    def test_there_and_back(self) -> None:
        """What is sent arrives, and what the peer sends is heard, an empty datagram included; others are not."""
        datagrams = self.connected()
        datagrams.send(b"there")
        data, ours = self.peer.recvfrom(100)
        self.assertEqual(b"there", data)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"forged", ours)
        for answer in (b"back", b"", b"again"):
            self.peer.sendto(answer, ours)
        self.reactor.turn()
        self.assertEqual([b"back", b"", b"again"], self.heard)

    def test_refused(self) -> None:
        """That the peer's port is closed is told."""
        datagrams = self.connected()
        self.peer.close()
        datagrams.send(b"there")
        self.reactor.turn()
        self.assertEqual([errno.ECONNREFUSED], self.heard)

    def test_refused_by_epoll(self) -> None:
        """So it is by a reactor that calls every error a lost connection."""
        datagrams = self.connected()
        self.peer.close()
        datagrams.send(b"there")
        select.select([datagrams], [], [], 0.5)
        datagrams.connectionLost(None)
        self.assertEqual(([errno.ECONNREFUSED], []), (self.heard, self.reactor.readers))

    def test_no_way(self) -> None:
        """Where there is no way to the peer, nothing stays open."""
        before = len(os.listdir("/proc/self/fd"))
        self.assertRaises(OSError, Datagrams, self.reactor, ("255.255.255.255", 53), self)
        self.assertEqual((before, []), (len(os.listdir("/proc/self/fd")), self.reactor.readers))

    def test_close(self) -> None:
        """Closed, also while it is read or by the reactor, it hears no more; closing it again is harmless."""
        datagrams = self.connected()
        self.received = lambda data: (self.heard.append(data), datagrams.close())  # type: ignore[method-assign]
        datagrams.send(b"")
        _, ours = self.peer.recvfrom(100)
        self.peer.sendto(b"one", ours)
        self.peer.sendto(b"two", ours)
        self.reactor.turn()
        datagrams.connectionLost(None)
        self.assertEqual(([b"one"], []), (self.heard, self.reactor.readers))

    def test_flood(self) -> None:
        """A peer that floods is heard in pieces."""
        datagrams = self.connected()
        datagrams.send(b"")
        _, ours = self.peer.recvfrom(100)
        for _ in range(BATCH + 3):
            self.peer.sendto(b"x", ours)
        self.reactor.turn()
        self.assertEqual(BATCH, len(self.heard))
        self.reactor.turn()
        self.assertEqual(BATCH + 3, len(self.heard))

    def test_quiet(self) -> None:
        """It writes nothing to the log."""
        events: list[object] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        datagrams = self.connected()
        datagrams.send(b"x")
        datagrams.close()
        self.assertEqual([], events)
