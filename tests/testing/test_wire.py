# -*- test-case-name: tests.testing.test_wire -*-
"""
Tests for L{lproxy.testing.wire}.
"""

from __future__ import annotations

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.counters import TransportCounter
from lproxy.testing import Peer, ScriptedReactor
from lproxy.testing.garbage import only_new, uncounted
from lproxy.testing.wire import MemoryStream
from lproxy.transport.socket import HIGH_WATER, READ_SIZE
from lproxy.transport.stream import Conn, Stream
from tests.transport.sockets import Recorder


class WireCase(SynchronousTestCase):
    """A stream, its reader and its peer."""

    def setUp(self) -> None:
        self.reactor, self.peer = ScriptedReactor(), Peer()
        self.stream = self.reactor.stream(self.peer, ("10.0.0.1", 1), ("10.0.0.2", 2))
        self.session = Recorder()
        self.stream.attach(self.session)
        self.stream.resume()

    def settle(self) -> None:
        self.reactor.settle()


class WireTests(WireCase):
    """A connection in memory behaves as one in the kernel does."""

    def test_new(self) -> None:
        """It is a stream, between two addresses, of which the kernel knows nothing."""
        stream: Stream = self.stream
        self.assertEqual(Conn(("10.0.0.1", 1), ("10.0.0.2", 2)), stream.conn)
        self.assertIsNone(stream.raw())
        self.assertEqual("<MemoryStream to <Peer heard 0 bytes, open>>", repr(stream))

    def test_reads(self) -> None:
        """What the peer says is read in the next turn, while somebody reads."""
        self.peer.say(b"one")
        self.assertEqual([], self.session.events)
        self.settle()
        self.stream.pause()
        self.peer.say(b"two")
        self.settle()
        self.assertEqual(([b"one"], 3, 3), (self.session.events, self.peer.unread, self.stream.bytes_in))
        self.stream.resume()
        self.settle()
        self.assertEqual(([b"one", b"two"], 0), (self.session.events, self.peer.unread))

    def test_pieces(self) -> None:
        """As much at a time as of a socket."""
        self.peer.say(bytes(READ_SIZE + 1))
        self.reactor.turn()
        self.assertEqual([READ_SIZE], list(map(len, self.session.events)))
        self.settle()
        self.assertEqual([READ_SIZE, 1], list(map(len, self.session.events)))

    def test_writes(self) -> None:
        """What is written is heard, as far as there is room, and the rest when there is more."""
        self.peer.room = 3
        self.stream.write(b"hello")
        self.settle()
        self.assertEqual((b"hel", 2), (self.peer.heard, self.stream.buffered))
        self.stream.write(b" you")
        self.peer.room = None
        self.settle()
        self.assertEqual((b"hello you", 0, 9), (self.peer.heard, self.stream.buffered, self.stream.bytes_out))

    def test_pace(self) -> None:
        """More than may wait pauses whoever writes, until all of it is heard; also one that comes later."""
        self.peer.room = 0
        self.stream.write(bytes(HIGH_WATER))
        self.assertEqual([], self.session.events)
        self.stream.write(b"x")
        self.stream.write(b"x")
        late = Recorder()
        self.stream.attach(late, b"prefix")
        self.assertEqual((["pause"], ["pause", b"prefix"]), (self.session.events, late.events))
        self.peer.room = HIGH_WATER
        self.settle()
        self.assertEqual(["pause", b"prefix"], late.events)
        self.peer.room = None
        self.settle()
        self.assertEqual(["pause", b"prefix", "resume"], late.events)

    def test_written_for_nobody(self) -> None:
        """A stream that nobody has yet may be written to, more than may wait, too."""
        stream = self.reactor.stream(self.peer, ("10.0.0.1", 1), ("10.0.0.2", 2))
        stream.high_water, self.peer.room = 0, 0
        stream.write(b"hello")
        self.peer.room = None
        self.settle()
        self.assertEqual(b"hello", self.peer.heard)

    def test_eof(self) -> None:
        """A FIN ends one direction; told once, it is found again by whoever reads on."""
        self.peer.say(b"last")
        self.peer.hang_up()
        self.settle()
        self.assertEqual(([b"last", "eof"], ""), (self.session.events, self.peer.ended))
        self.stream.resume()
        self.settle()
        self.assertEqual([b"last", "eof", "eof"], self.session.events)

    def test_half(self) -> None:
        """The other direction lives on, until it is closed too."""
        self.peer.hang_up()
        self.settle()
        self.stream.write(b"bye")
        self.stream.end()
        self.stream.end()
        self.stream.write(b"dropped")
        self.settle()
        self.assertEqual((["eof"], b"bye", "eof"), (self.session.events, self.peer.heard, self.peer.ended))
        self.stream.close()
        self.assertEqual((["eof", "lost"], "closed", ""), (self.session.events, self.peer.ended, self.stream.errno))

    def test_half_later(self) -> None:
        """The end of ours comes after what was written."""
        self.peer.room = 0
        self.stream.write(b"bye")
        self.stream.end()
        self.settle()
        self.assertEqual("", self.peer.ended)
        self.peer.room = None
        self.settle()
        self.assertEqual((b"bye", "eof", []), (self.peer.heard, self.peer.ended, self.session.events))

    def test_cut_off(self) -> None:
        """What was said before TLS is cut off is read; then it is lost, and has not ended."""
        self.peer.say(b"half")
        self.peer.cut_off()
        self.reactor.settle()
        self.assertEqual([b"half", "lost"], self.session.events)
        self.assertEqual(("EPROTO", "closed"), (self.stream.errno, self.peer.ended))

    def test_reset(self) -> None:
        """A RST ends it, read or not, written to or not; what was said and not read is lost."""
        for pause in (False, True):
            for room in (None, 0):
                self.setUp()
                if pause:
                    self.stream.pause()
                self.peer.room = room
                self.stream.write(b"x")
                self.peer.say(b"unread")
                self.peer.reset()
                self.stream.write(b"y")
                self.settle()
                self.assertEqual((["lost"], "ECONNRESET"), (self.session.events, self.stream.errno))

    def test_abort(self) -> None:
        """Our own is heard by the peer as such, and told at once."""
        self.peer.room = 0
        self.stream.write(b"dropped")
        self.stream.abort()
        self.stream.abort()
        self.assertEqual((["lost"], "reset", "ECONNABORTED"), (self.session.events, self.peer.ended, self.stream.errno))
        self.assertEqual(([], 0), (self.reactor.streams, self.stream.buffered))

    def test_close(self) -> None:
        """A close comes after what was written; nothing is read or written meanwhile."""
        self.peer.room = 0
        self.stream.write(b"bye")
        self.stream.close()
        self.stream.close()
        self.stream.write(b"dropped")
        self.stream.resume()
        self.peer.say(b"unread")
        self.settle()
        self.assertEqual(("", []), (self.peer.ended, self.session.events))
        self.peer.room = None
        self.settle()
        self.assertEqual((b"bye", "closed", ["lost"]), (self.peer.heard, self.peer.ended, self.session.events))

    def test_close_at_once(self) -> None:
        """At once where nothing waits; and what is asked of it then is harmless."""
        self.stream.close()
        self.assertEqual(("closed", ["lost"]), (self.peer.ended, self.session.events))
        for ask in (self.stream.close, self.stream.end, self.stream.abort, self.stream.pause, self.stream.resume):
            ask()
        self.stream.write(b"dropped")
        self.settle()
        self.assertEqual(("closed", b"", ""), (self.peer.ended, self.peer.heard, self.stream.errno))

    def test_silent(self) -> None:
        """Whether the peer has neither spoken nor hung up is known before it is read."""
        self.assertTrue(self.stream.silent())
        for act in (lambda peer: peer.say(b"x"), Peer.hang_up, Peer.reset):
            self.setUp()
            act(self.peer)
            self.assertFalse(self.stream.silent())
        self.setUp()
        self.stream.close()
        self.assertFalse(self.stream.silent())

    def test_delivered(self) -> None:
        """What its kernel has not got is not delivered."""
        self.stream.write(b"abcdef")
        self.assertEqual(6, self.stream.delivered())
        self.peer.unconfirmed = 4
        self.assertEqual((6, 2), (self.stream.bytes_out, self.stream.delivered()))

    def test_attach(self) -> None:
        """What was read before comes first, and the end; who had it is told nothing more."""
        late = Recorder()
        self.stream.attach(late, b"all", eof=True)
        self.assertEqual(([], [b"all", "eof"]), (self.session.events, late.events))
        handing_on, last = Recorder(), Recorder()
        handing_on.then["data"] = lambda: self.stream.attach(last)
        self.stream.attach(handing_on, b"all", eof=True)
        self.assertEqual(([b"all"], []), (handing_on.events, last.events))
        self.stream.close()
        too_late = Recorder()
        self.stream.attach(too_late, b"all", eof=True)
        self.assertEqual((["lost"], ["lost"]), (last.events, too_late.events))

    def test_counted(self) -> None:
        """It is counted, from its beginning to its end."""
        counter = TransportCounter()
        self.reactor.advance(1)
        self.stream.counted(counter)
        self.peer.say(b"abc")
        self.reactor.settle(1)
        self.stream.write(b"answer")
        self.assertEqual((1, (3, 6)), (len(counter.live), counter.totals()))
        other = TransportCounter()
        self.stream.counted(other)
        self.assertEqual({}, other.live)
        self.stream.abort()
        self.assertEqual(({}, {"ECONNABORTED": 1}, 2.0), (counter.live, counter.closed, counter.duration.total))


class CrashTests(WireCase):
    """What a reader raises ends its connection."""

    def setUp(self) -> None:
        super().setUp()
        self.crashes: list[type] = []
        self.stream.on_crash = self._crashed

    def _crashed(self, failure: Failure) -> None:
        self.crashes.append(failure.type)

    def test_told(self) -> None:
        """Once, wherever it raises and whatever."""
        for error in (ZeroDivisionError(), SystemExit(1)):
            for where in ("data", "eof", "lost", "resume", "pause"):
                self.setUp()
                self.session.then[where] = error
                self.stream.high_water = 0
                if where in ("resume", "pause"):
                    self.peer.room = 0
                    self.session.then["data"] = lambda: self.stream.write(b"x")
                self.peer.say(b"x")
                self.settle()
                self.peer.room = None
                self.peer.hang_up()
                self.settle()
                self.stream.close()
                self.assertEqual(([type(error)], True), (self.crashes, self.stream.closed), where)
                self.assertEqual("closed" if where == "lost" else "reset", self.peer.ended)

    def test_attached(self) -> None:
        """Also while it is attached; C{attach} raises nothing."""
        late = Recorder()
        late.then["data"] = late.then["lost"] = ZeroDivisionError()
        self.stream.attach(late, b"x")
        self.assertEqual(([ZeroDivisionError], "reset"), (self.crashes, self.peer.ended))

    def test_not_told(self) -> None:
        """Where nobody wants to be told, the test is."""
        self.stream.on_crash = None
        self.session.then["data"] = ZeroDivisionError()
        self.peer.say(b"x")
        self.assertRaises(ZeroDivisionError, self.settle)


class ReactorTests(WireCase):
    """Time passes when the test says so."""

    def test_settle(self) -> None:
        """What is due is done, what is not due yet is not, and what never rests is found out."""
        done: list[int] = []
        self.reactor.callLater(1, lambda: self.reactor.callLater(0, done.append, 1))
        self.reactor.call_later(2, done.append, 2)
        self.reactor.settle(1)
        self.assertEqual([1], done)
        self.session.then["data"] = lambda: self.peer.say(b"again")
        self.peer.say(b"for ever")
        self.assertRaises(AssertionError, self.settle)

    def test_turn(self) -> None:
        """A turn serves each stream once, also those that others close."""
        peers = [Peer() for _ in range(3)]
        streams: list[MemoryStream] = []

        def abort() -> None:
            streams[1].abort()

        for n, peer in enumerate(peers):
            stream = self.reactor.stream(peer, ("10.0.0.1", n), ("10.0.0.2", 2))
            streams.append(stream)
            reader = Recorder()
            reader.then["data"] = abort
            stream.attach(reader)
            stream.resume()
            peer.say(b"x")
        self.assertTrue(self.reactor.turn())
        self.assertEqual([1, 0, 1], [stream.bytes_in for stream in streams])
        self.assertFalse(self.reactor.turn())

    def test_cycles(self) -> None:
        """Nothing of a connection that ended waits for the garbage collector, which tests look at."""
        self.enterContext(only_new())
        with uncounted() as left:
            self.setUp()
            self.peer.say(b"x")
            self.settle()
            self.stream.abort()
            del self.stream, self.peer, self.session, self.reactor
        self.assertEqual([], left)
