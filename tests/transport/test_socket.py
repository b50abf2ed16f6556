# -*- test-case-name: tests.transport.test_socket -*-
"""
Tests for L{lproxy.transport.socket} on sockets that are none. On real ones: L{tests.integration.test_transport}.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from lproxy.metrics.counters import TransportCounter
from lproxy.testing.wire import Peer, ScriptedReactor
from lproxy.transport.socket import Stream, clean_address, is_local

KIB = 1024
PEER, HOST = ("10.0.0.1", 40000), ("10.0.0.2", 80)


class Recorder(Protocol):
    """
    Remembers.

    @ivar fail: the event that raises
    """

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.fail = ""

    def _event(self, name: str, what: Any) -> None:
        self.events.append(what)
        if name == self.fail:
            raise ZeroDivisionError(name)

    def connectionMade(self) -> None:
        self._event("made", "made")

    def dataReceived(self, data: bytes) -> None:
        self._event("data", data)

    def connectionLost(self, reason: Any = None) -> None:
        self._event("lost", reason.type)


@implementer(IHalfCloseableProtocol)
class HalfRecorder(Recorder):
    """Can go on when the peer has said all."""

    def readConnectionLost(self) -> None:
        self._event("eof", "eof")

    def writeConnectionLost(self) -> None:
        self._event("half", "half")


class Producer:
    """Remembers what its consumer wants."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class StreamMixin(SynchronousTestCase):
    """A Stream and its other side."""

    def setUp(self) -> None:
        self.reactor = ScriptedReactor()
        self.peer = Peer()
        self.stream = self.reactor.stream(self.peer, PEER, HOST)
        self.crashes: list[Failure] = []
        self.stream.on_crash = self.crashes.append

    def attach(self, protocol: Any = None, **options: Any) -> Any:
        protocol = HalfRecorder() if protocol is None else protocol
        self.stream.startReading()
        self.stream.attach(protocol, **options)
        return protocol

    def assert_gone(self) -> None:
        """Nothing refers to the connection any more."""
        self.assertTrue(self.stream.disconnected)
        self.assertEqual([], self.reactor.getDelayedCalls())
        for table in (self.reactor._readers, self.reactor._writers, self.reactor._watched):
            self.assertEqual({}, table)


class WriteTests(StreamMixin):
    """What is written is sent at once, or in order as soon as it can be."""

    def test_at_once(self) -> None:
        """What the kernel takes is sent within C{write}, and nobody waits to write."""
        self.attach()
        self.stream.write(b"hello")
        self.stream.writeSequence([b" ", b"world"])
        self.assertEqual(b"hello world", self.peer.heard)
        self.assertEqual({}, self.reactor._writers)
        self.assertEqual((11, 0), (self.stream.bytes_out, self.stream.buffered))

    def test_partly(self) -> None:
        """What the kernel did not take follows, before all that is written later."""
        self.attach()
        self.peer.room = 3
        self.stream.write(b"0123456789")
        self.stream.write(b"abc")
        self.assertEqual((b"012", 10), (self.peer.heard, self.stream.buffered))
        self.peer.room = 4
        self.reactor.settle()
        self.assertEqual((b"0123456", 6), (self.peer.heard, self.stream.buffered))
        self.stream.write(b"def")
        self.peer.room = None
        self.reactor.settle()
        self.assertEqual((b"0123456789abcdef", 16, 0), (self.peer.heard, self.stream.bytes_out, self.stream.buffered))
        self.assertEqual({}, self.reactor._writers)

    def test_full(self) -> None:
        """A kernel that takes nothing at all loses nothing."""
        self.attach()
        self.peer.room = 0
        self.stream.write(b"0123456789")
        self.reactor.settle()
        self.assertEqual(b"", self.peer.heard)
        self.peer.room = None
        self.reactor.settle()
        self.assertEqual(b"0123456789", self.peer.heard)

    def test_large(self) -> None:
        """More than is sent at a time arrives in order, through a kernel of little room."""
        self.attach()
        data = os.urandom(300 * KIB)
        self.peer.room = 0
        for start in range(0, len(data), 50 * KIB):
            self.stream.write(data[start : start + 50 * KIB])
        while self.stream.buffered:
            self.peer.room = 7_001
            self.reactor.settle()
        self.assertEqual(data, self.peer.heard)

    def test_error(self) -> None:
        """
        A write that finds the connection broken is noted, and ends it in the reactor's own turn, not within C{write}.
        """
        protocol = self.attach()
        self.stream.pauseProducing()
        self.peer._broken = errno.EPIPE
        self.stream.write(b"x")
        self.assertEqual(("EPIPE", 0), (self.stream.errno, self.stream.disconnected))
        self.reactor.settle()
        self.assertEqual(["made", ConnectionLost], protocol.events)
        self.assert_gone()

    def test_error_then_eof(self) -> None:
        """
        After a failed write the kernel has told its error and reads end like an orderly end, which it is not.
        """
        protocol = self.attach()
        self.peer._broken = errno.EPIPE
        self.stream.write(b"x")
        self.peer._broken = 0
        self.peer.room = 0
        self.peer.hang_up()
        self.reactor.settle()
        self.assertEqual(["made", ConnectionLost], protocol.events)
        self.assertEqual("EPIPE", self.stream.errno)

    def test_error_in_buffer(self) -> None:
        """The same for what was buffered."""
        protocol = self.attach()
        self.peer.room = 0
        self.stream.write(b"x")
        self.peer.reset()
        self.reactor.settle()
        self.assertEqual((["made", ConnectionLost], "ECONNRESET"), (protocol.events, self.stream.errno))

    def test_after_end(self) -> None:
        """What is written to a closed connection is dropped."""
        self.attach()
        self.peer.reset()
        self.reactor.settle()
        self.stream.write(b"x")
        self.stream.loseWriteConnection()
        self.stream.loseConnection()
        self.stream.abortConnection()
        self.stream.pauseProducing()
        self.stream.resumeProducing()
        self.reactor.settle()
        self.assert_gone()


class ProducerTests(StreamMixin):
    """A slow reader pauses whoever writes."""

    def test_high_water(self) -> None:
        """Paused once more than 64 KiB wait for the kernel, resumed once it took all."""
        self.attach()
        producer = Producer()
        self.stream.registerProducer(producer, True)
        self.peer.room = 0
        self.stream.write(bytes(64 * KIB))
        self.assertEqual([], producer.calls)
        self.stream.write(b"x")
        self.assertEqual(["pause"], producer.calls)
        self.peer.room = 64 * KIB
        self.reactor.settle()
        self.assertEqual(["pause"], producer.calls)
        self.peer.room = None
        self.reactor.settle()
        self.assertEqual(["pause", "resume"], producer.calls)

    def test_registered_late(self) -> None:
        """One that is registered when there is too much already is paused at once."""
        self.attach()
        self.peer.room = 0
        self.stream.write(bytes(65 * KIB))
        producer = Producer()
        self.stream.registerProducer(producer, True)
        self.assertEqual(["pause"], producer.calls)

    def test_stopped(self) -> None:
        """Told when the connection ends; at once where it has ended."""
        self.attach()
        producer, late = Producer(), Producer()
        self.stream.registerProducer(producer, True)
        self.peer.reset()
        self.reactor.settle()
        self.assertEqual(["stop"], producer.calls)
        self.stream.registerProducer(late, True)
        self.assertEqual(["stop"], late.calls)


class ReadTests(StreamMixin):
    """What is read goes to the protocol, and the end is told for what it is."""

    def test_read(self) -> None:
        """Bytes arrive and are counted."""
        protocol = self.attach()
        self.peer.say(b"hello")
        self.reactor.settle()
        self.assertEqual((["made", b"hello"], 5), (protocol.events, self.stream.bytes_in))

    def test_spurious(self) -> None:
        """Being told of bytes that are not there is harmless."""
        protocol = self.attach()
        self.assertIsNone(self.stream.doRead())
        self.assertEqual(["made"], protocol.events)

    def test_half_close(self) -> None:
        """A protocol that can goes on writing after the peer has said all."""
        protocol = self.attach()
        self.peer.hang_up()
        self.reactor.settle()
        self.stream.write(b"answer")
        self.assertEqual((["made", "eof"], b"answer"), (protocol.events, self.peer.heard))
        self.stream.loseConnection()
        self.reactor.settle()
        self.assertEqual((["made", "eof", ConnectionDone], "closed"), (protocol.events, self.peer.ended))
        self.assertEqual("", self.stream.errno)

    def test_whole_close(self) -> None:
        """For any other protocol that is the end."""
        protocol = self.attach(Recorder())
        self.peer.hang_up()
        self.reactor.settle()
        self.assertEqual((["made", ConnectionDone], ""), (protocol.events, self.stream.errno))
        self.assert_gone()

    def test_reset(self) -> None:
        """A reset is told with its symbol."""
        protocol = self.attach()
        self.peer.reset()
        self.reactor.settle()
        self.assertEqual((["made", ConnectionLost], "ECONNRESET"), (protocol.events, self.stream.errno))

    def test_unknown_error(self) -> None:
        """An error that has no symbol counts as one all the same."""
        self.attach()
        self.peer._broken = 99999
        self.reactor.settle()
        self.assertEqual("EIO", self.stream.errno)

    def test_paused(self) -> None:
        """Paused, nothing is read, until it is resumed."""
        protocol = self.attach()
        self.stream.pauseProducing()
        self.peer.say(b"x")
        self.reactor.settle()
        self.assertEqual(["made"], protocol.events)
        self.stream.resumeProducing()
        self.reactor.settle()
        self.assertEqual(["made", b"x"], protocol.events)

    def test_paused_reset(self) -> None:
        """Paused, a reset is noticed nevertheless; no reset is not."""
        protocol = self.attach()
        self.stream.pauseProducing()
        self.assertIsNone(self.stream.hung_up())
        self.peer.reset()
        self.reactor.settle()
        self.assertEqual((["made", ConnectionLost], "ECONNRESET"), (protocol.events, self.stream.errno))

    def test_quiet(self) -> None:
        """Whether the peer has said anything is asked without taking it; nothing is quiet that has ended."""
        protocol = self.attach()
        self.assertTrue(self.stream.quiet())
        self.peer.say(b"x")
        self.assertFalse(self.stream.quiet())
        self.reactor.settle()
        self.assertEqual(["made", b"x"], protocol.events)
        self.peer.hang_up()
        self.assertFalse(self.stream.quiet())
        self.peer.reset()
        self.assertFalse(self.stream.quiet())
        self.reactor.settle()
        self.assertFalse(self.stream.quiet())


class EndTests(StreamMixin):
    """There are two ways to end a connection."""

    def test_lose(self) -> None:
        """An orderly end comes after all that was written."""
        protocol = self.attach()
        self.peer.room = 1
        self.stream.write(b"abc")
        self.stream.loseConnection()
        self.reactor.settle()
        self.assertEqual((b"a", ""), (self.peer.heard, self.peer.ended))
        self.peer.room = None
        self.reactor.settle()
        self.assertEqual((b"abc", "closed"), (self.peer.heard, self.peer.ended))
        self.assertEqual((["made", ConnectionDone], ""), (protocol.events, self.stream.errno))
        self.assert_gone()

    def test_finish(self) -> None:
        """Where all was sent the end comes at once, and once."""
        protocol = self.attach()
        self.stream.write(b"abc")
        self.stream.finish()
        self.assertEqual((b"abc", ["made", ConnectionDone], ""), (self.peer.heard, protocol.events, self.stream.errno))
        self.stream.finish()
        self.reactor.settle()
        self.assertEqual((["made", ConnectionDone], "closed"), (protocol.events, self.peer.ended))
        self.assert_gone()

    def test_finish_later(self) -> None:
        """Where something is left to be sent, it comes after that."""
        protocol = self.attach()
        self.peer.room = 1
        self.stream.write(b"abc")
        self.stream.finish()
        self.assertEqual(["made"], protocol.events)
        self.peer.room = None
        self.reactor.settle()
        self.assertEqual(
            (b"abc", "closed", ["made", ConnectionDone]), (self.peer.heard, self.peer.ended, protocol.events)
        )
        self.assert_gone()

    def test_abort(self) -> None:
        """An abort is a reset, in the next turn, and nothing is read or sent any more."""
        protocol = self.attach()
        self.peer.room = 0
        self.stream.write(b"x")
        self.peer.say(b"y")
        self.stream.abortConnection()
        self.stream.abortConnection()
        self.assertFalse(self.stream.disconnected)
        self.peer.room = None
        self.reactor.settle()
        self.assertEqual(("reset", b""), (self.peer.ended, self.peer.heard))
        self.assertEqual((["made", ConnectionAborted], "ECONNABORTED"), (protocol.events, self.stream.errno))
        self.assert_gone()

    def test_abort_without_protocol(self) -> None:
        """A connection that nobody has got yet can be given up."""
        self.stream.abortConnection()
        self.reactor.settle()
        self.assertEqual("reset", self.peer.ended)
        self.assert_gone()

    def test_half_close(self) -> None:
        """The end of what we say is said at once, where all was sent; the peer may go on."""
        protocol = self.attach()
        self.stream.write(b"all")
        self.stream.loseWriteConnection()
        self.assertEqual((b"all", "eof"), (self.peer.heard, self.peer.ended))
        self.stream.loseWriteConnection()
        self.stream.write(b"dropped")
        self.peer.say(b"more")
        self.reactor.settle()
        self.assertEqual((["made", "half", b"more"], b"all"), (protocol.events, self.peer.heard))

    def test_half_close_later(self) -> None:
        """Or once all was sent."""
        protocol = self.attach()
        self.peer.room = 1
        self.stream.write(b"all")
        self.stream.loseWriteConnection()
        self.assertEqual("", self.peer.ended)
        self.peer.room = None
        self.reactor.settle()
        self.assertEqual((b"all", "eof", ["made", "half"]), (self.peer.heard, self.peer.ended, protocol.events))

    def test_half_closed_then_lost(self) -> None:
        """Then the rest can be ended, too."""
        protocol = self.attach()
        self.stream.loseWriteConnection()
        self.stream.loseConnection()
        self.reactor.settle()
        self.assertEqual(["made", "half", ConnectionDone], protocol.events)
        self.assert_gone()

    def test_told_once(self) -> None:
        """Whoever wants to know of the close is told once, before the protocol, with every count at its last."""
        seen: list[Any] = []
        counter = TransportCounter()
        protocol = self.attach()
        self.stream.counted(counter)
        self.stream.on_close = lambda stream: seen.append((stream, list(protocol.events), dict(counter.closed)))
        self.peer.say(b"abc")
        self.reactor.settle(1.5)
        self.peer.reset()
        self.reactor.settle()
        self.stream.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([(self.stream, ["made", b"abc"], {"ECONNRESET": 1})], seen)
        self.assertEqual((1, {}, 3, 0), (counter.opened, counter.live, counter.read_bytes, counter.write_bytes))
        self.assertEqual(1.5, counter.duration.total)

    def test_counted_late(self) -> None:
        """Whenever it is counted, everything since the beginning is."""
        self.attach()
        self.peer.say(b"abc")
        self.reactor.settle(2)
        counter = TransportCounter()
        self.stream.counted(counter)
        self.assertEqual((3, 0), counter.totals())
        self.peer.reset()
        self.reactor.settle()
        self.assertEqual(2, counter.duration.total)


class AttachTests(StreamMixin):
    """A connection passes from hand to hand without a byte lost or out of order."""

    def test_prefix(self) -> None:
        """What somebody else has read comes first, then what follows."""
        protocol = self.attach(prefix=b"first")
        self.peer.say(b"second")
        self.reactor.settle()
        self.assertEqual(["made", b"first", b"second"], protocol.events)

    def test_eof(self) -> None:
        """So does the end, where it was read already."""
        protocol = self.attach(prefix=b"all", eof=True)
        self.assertEqual(["made", b"all", "eof"], protocol.events)

    def test_eof_not_half(self) -> None:
        """For a protocol that cannot go on it is the end."""
        protocol = self.attach(Recorder(), prefix=b"all", eof=True)
        self.assertEqual(["made", b"all", ConnectionDone], protocol.events)

    def test_taken(self) -> None:
        """A protocol that takes what was read is not given it again."""
        test = self

        class Taker(HalfRecorder):
            def connectionMade(self) -> None:
                self.events.append(test.stream.take_unread())

        protocol = self.attach(Taker(), prefix=b"first")
        self.assertEqual([b"first"], protocol.events)
        self.assertEqual(b"", self.stream.take_unread())

    def test_handed_on(self) -> None:
        """One that hands the connection on at once passes on what was read, and the end: it is told nothing more."""
        last = HalfRecorder()
        test = self

        class Passer(HalfRecorder):
            def connectionMade(self) -> None:
                test.stream.attach(last, test.stream.take_unread())

        first = self.attach(Passer(), prefix=b"first", eof=True)
        self.assertEqual(([], ["made", b"first"]), (first.events, last.events))

    def test_gone(self) -> None:
        """A protocol that gets rid of the connection at once is not given what was read."""
        test = self

        class Closer(Recorder):
            def connectionMade(self) -> None:
                test.stream.connectionLost(Failure(ConnectionDone()))

        protocol = self.attach(Closer(), prefix=b"first", eof=True)
        self.assertEqual([ConnectionDone], protocol.events)


class CrashTests(StreamMixin):
    """An exception in a protocol is told once and ends its connection, no other."""

    def crash(self, where: str) -> Any:
        protocol = HalfRecorder()
        protocol.fail = where
        self.attach(protocol, prefix=b"x")
        self.peer.say(b"y")
        self.peer.hang_up()
        self.reactor.settle()
        if not self.stream.disconnected:
            self.stream.loseConnection()
        self.reactor.settle()
        self.assertEqual([ZeroDivisionError], [failure.type for failure in self.crashes])
        self.assert_gone()
        return protocol

    def test_everywhere(self) -> None:
        """Wherever it raises."""
        for where, before in (
            ("made", ["made"]),
            ("data", ["made", b"x"]),
            ("eof", ["made", b"x", b"y", "eof"]),
            ("lost", ["made", b"x", b"y", "eof"]),
        ):
            self.setUp()
            protocol = self.crash(where)
            self.assertEqual(before, protocol.events[:-1])
            if where != "lost":
                self.assertEqual((ConnectionAborted, "reset"), (protocol.events[-1], self.peer.ended))

    def test_once(self) -> None:
        """What an exception brings on is not told again."""
        protocol = HalfRecorder()
        protocol.fail = "lost"
        self.attach(protocol)
        self.stream.crashed(Failure(ValueError()))
        self.reactor.settle()
        self.assertEqual([ValueError], [failure.type for failure in self.crashes])

    def test_nobody_told(self) -> None:
        """Where nobody wants to be told, it is logged."""
        self.stream.on_crash = None
        protocol = HalfRecorder()
        protocol.fail = "data"
        self.attach(protocol, prefix=b"x")
        self.reactor.settle()
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assert_gone()


class AddressTests(SynchronousTestCase):
    """Addresses are shown as people write them."""

    def test_clean(self) -> None:
        """Of IPv6 the first two of four parts; IPv4 that came through IPv6 as IPv4; none for UNIX sockets."""
        self.assertEqual(("10.0.0.1", 80), clean_address(("10.0.0.1", 80)))
        self.assertEqual(("::1", 80), clean_address(("::1", 80, 0, 0)))
        self.assertEqual(("10.0.0.1", 80), clean_address(("::ffff:10.0.0.1", 80, 0, 0)))
        self.assertEqual(("", 0), clean_address("/run/socket"))
        self.assertEqual(("", 0), clean_address(""))

    def test_twisted(self) -> None:
        """Factories are told Twisted's kind of address."""
        reactor = ScriptedReactor()
        stream = reactor.stream(Peer(), PEER, ("::1", 80))
        self.assertEqual(IPv4Address("TCP", *PEER), stream.getPeer())
        self.assertEqual(IPv6Address("TCP", "::1", 80), stream.getHost())
        self.assertEqual("<Stream ('::1', 80) to ('10.0.0.1', 40000) in=0 out=0>", repr(stream))

    def test_local(self) -> None:
        """The loopback is this machine, a documentation address is not; another error is no answer."""
        self.assertTrue(is_local("127.0.0.1"))
        self.assertFalse(is_local("192.0.2.1"))

        def full(*args: Any) -> Any:
            raise OSError(errno.EMFILE, "too many")

        self.patch(socket, "socket", full)
        self.assertRaises(OSError, is_local, "127.0.0.1")

    def test_type(self) -> None:
        """What C{write} is given is what the socket carries."""
        self.assertTrue(Stream.plain)
