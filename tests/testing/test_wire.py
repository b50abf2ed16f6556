# -*- test-case-name: tests.testing.test_wire -*-
"""
Tests for L{lproxy.testing.wire}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import protocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from lproxy.testing import Peer, ScriptedReactor, wire
from lproxy.transport.socket import Stream


class Plain(protocol.Protocol):
    """Remembers."""

    transport: Stream  # type: ignore[assignment]

    def __init__(self) -> None:
        self.events: list[Any] = []

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.events.append("lost")


@implementer(IHalfCloseableProtocol)
class Half(Plain):
    """Goes on after an end of file."""

    def readConnectionLost(self) -> None:
        self.events.append("eof")

    def writeConnectionLost(self) -> None:
        self.events.append("written")


class WireTests(SynchronousTestCase):
    """A connection in memory behaves as one in the kernel does."""

    def setUp(self) -> None:
        self.reactor, self.peer = ScriptedReactor(), Peer()
        self.stream = self.reactor.stream(self.peer, ("10.0.0.1", 1), ("10.0.0.2", 2))

    def begin(self, kind: type[Plain] = Plain) -> Plain:
        session = kind()
        self.stream.attach(session)
        self.stream.startReading()
        return session

    def test_reads(self) -> None:
        """What the peer says is read in the next turn, while somebody reads."""
        session = self.begin()
        self.peer.say(b"one")
        self.assertEqual([], session.events)
        self.reactor.settle()
        self.stream.pauseProducing()
        self.peer.say(b"two")
        self.reactor.settle()
        self.assertEqual(([b"one"], 3), (session.events, self.peer.unread))
        self.stream.resumeProducing()
        self.reactor.settle()
        self.assertEqual(([b"one", b"two"], 0), (session.events, self.peer.unread))

    def test_writes(self) -> None:
        """What is written is heard, as far as there is room, and the rest when there is more."""
        self.begin()
        self.peer.room = 3
        self.stream.write(b"hello")
        self.reactor.settle()
        self.assertEqual((b"hel", 2), (self.peer.heard, self.stream.buffered))
        self.peer.room = None
        self.reactor.settle()
        self.assertEqual((b"hello", 0), (self.peer.heard, self.stream.buffered))

    def test_eof(self) -> None:
        """A FIN ends a plain protocol's connection, and one direction of another's."""
        session = self.begin()
        self.peer.say(b"last")
        self.peer.hang_up()
        self.reactor.settle()
        self.assertEqual(([b"last", "lost"], "closed"), (session.events, self.peer.ended))

    def test_half(self) -> None:
        """The other direction lives on, until it is closed too."""
        session = self.begin(Half)
        self.peer.hang_up()
        self.reactor.settle()
        self.stream.write(b"bye")
        self.stream.loseWriteConnection()
        self.reactor.settle()
        self.assertEqual((["eof", "written"], b"bye", "eof"), (session.events, self.peer.heard, self.peer.ended))
        self.stream.loseConnection()
        self.reactor.settle()
        self.assertEqual("closed", self.peer.ended)

    def test_reset(self) -> None:
        """A RST ends it, read or not."""
        for pause in (False, True):
            self.setUp()
            session = self.begin()
            if pause:
                self.stream.pauseProducing()
            self.peer.reset()
            self.reactor.settle()
            self.assertEqual((["lost"], "ECONNRESET"), (session.events, self.stream.errno))

    def test_abort(self) -> None:
        """Our own is heard by the peer as such."""
        session = self.begin()
        self.stream.abortConnection()
        self.reactor.settle()
        self.assertEqual((["lost"], "reset"), (session.events, self.peer.ended))

    def test_close(self) -> None:
        """A close comes after what was written."""
        self.begin()
        self.peer.room = 0
        self.stream.write(b"bye")
        self.stream.loseConnection()
        self.reactor.settle()
        self.assertEqual("", self.peer.ended)
        self.peer.room = None
        self.reactor.settle()
        self.assertEqual((b"bye", "closed"), (self.peer.heard, self.peer.ended))

    def test_settle(self) -> None:
        """What is due is done, what is not due yet is not, and what never rests is found out."""
        done: list[int] = []
        self.reactor.callLater(1, lambda: self.reactor.callLater(0, done.append, 1))
        self.reactor.callLater(2, done.append, 2)
        self.reactor.settle(1)
        self.assertEqual([1], done)
        self.begin()
        self.patch(self.peer, "readable", lambda: True)
        self.patch(wire, "FOR_EVER", 10)
        self.assertRaises(AssertionError, self.reactor.settle)
