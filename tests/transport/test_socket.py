# -*- test-case-name: tests.transport.test_socket -*-
"""
Tests for L{lproxy.transport.socket} on pairs of real sockets. Over the network: L{tests.integration.test_transport}.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.python.failure import Failure

from lproxy.metrics.counters import TransportCounter
from lproxy.testing.garbage import only_new, uncounted
from lproxy.transport.hub import READ, WATCH, WRITE
from lproxy.transport.socket import HIGH_WATER, SocketStream
from lproxy.transport.stream import Conn
from tests.transport.sockets import Recorder, SocketCase, drain

KIB = 1024
RESET = struct.pack("ii", 1, 0)


def reset(peer: socket.socket) -> None:
    """RST, where it is TCP."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()


class StreamCase(SocketCase):
    """
    One stream, with a reader, and its peer.

    @ivar crashes: what C{on_crash} was told
    """

    def setUp(self) -> None:
        super().setUp()
        self.crashes: list[Failure] = []
        self.start(self.unix())

    def start(self, pair: tuple[SocketStream, socket.socket]) -> None:
        """Use this one, which is read, and give up the one before."""
        for before in self.streams[:-1]:
            before.abort()
        self.stream, self.peer = pair
        self.stream.on_crash = self.crashes.append
        self.reader = Recorder()
        self.stream.attach(self.reader)
        self.stream.resume()

    @property
    def interest(self) -> int:
        """What the hub waits for."""
        return self.stream._descriptor.interest

    def fill(self) -> int:
        """Write until the kernel takes no more and exactly one byte waits; how many were written."""
        written = 0
        while not self.stream.buffered:
            self.stream.write(b".")
            written += 1
        return written

    def assert_gone(self) -> None:
        """Nothing refers to the connection any more."""
        self.assertTrue(self.stream.closed)
        self.assertEqual((0, 0, []), (self.interest, len(self.hub), self.reactor.readers))
        self.assertEqual([], self.reactor.getDelayedCalls())


class WriteTests(StreamCase):
    """What is written is sent at once, or in order as soon as it can be."""

    def test_at_once(self) -> None:
        """What the kernel takes is sent within C{write}, and nobody waits to write."""
        self.stream.write(b"hello")
        self.stream.write(b" world")
        self.assertEqual(b"hello world", drain(self.peer))
        self.assertEqual(READ, self.interest)
        self.assertEqual((11, 0), (self.stream.bytes_out, self.stream.buffered))

    def test_nothing(self) -> None:
        """Nothing is nothing."""
        self.stream.write(b"")
        self.assertEqual((0, 0, READ), (self.stream.bytes_out, self.stream.buffered, self.interest))

    def test_partly(self) -> None:
        """What the kernel did not take follows, before all that is written later."""
        self.start(self.unix(little=True))
        data = os.urandom(100 * KIB)
        self.stream.write(data[: 60 * KIB])
        taken = self.stream.bytes_out
        self.assertTrue(0 < taken < 60 * KIB, taken)
        self.assertEqual((60 * KIB - taken, READ | WRITE), (self.stream.buffered, self.interest))
        self.stream.write(data[60 * KIB :])
        self.assertEqual((taken, 100 * KIB - taken), (self.stream.bytes_out, self.stream.buffered))
        got = drain(self.peer)
        self.settle()
        self.assertTrue(taken < self.stream.bytes_out < len(data))
        while self.stream.buffered:
            got += drain(self.peer)
            self.settle()
        got += drain(self.peer)
        self.assertTrue(data == got)
        self.assertEqual((len(data), 0, READ), (self.stream.bytes_out, self.stream.buffered, self.interest))

    def test_full(self) -> None:
        """A kernel that takes nothing at all loses nothing."""
        self.start(self.unix(little=True))
        before = self.fill()
        self.stream.write(b"0123456789")
        self.settle()
        self.assertEqual(11, self.stream.buffered)
        got = drain(self.peer)
        self.settle()
        self.assertEqual(b"." * before + b"0123456789", got + drain(self.peer))

    def test_large(self) -> None:
        """More than is sent at a time arrives in order, through a kernel of little room."""
        self.start(self.unix(little=True))
        data = os.urandom(300 * KIB)
        for start in range(0, len(data), 50 * KIB):
            self.stream.write(data[start : start + 50 * KIB])
        got = b""
        while len(got) < len(data):
            got += drain(self.peer, 7_001)
            self.settle()
        self.assertTrue(data == got)

    def test_error(self) -> None:
        """
        A write that finds the connection broken is noted, and ends it in the hub's own turn, not within C{write}.
        """
        self.stream.pause()
        self.peer.close()
        self.settle()
        self.stream.write(b"x")
        self.stream.write(b"y")
        self.assertEqual(("EPIPE", False, []), (self.stream.errno, self.stream.closed, self.reader.events))
        self.settle()
        self.assertEqual((["lost"], 0), (self.reader.events, self.stream.bytes_out))
        self.assert_gone()

    def test_error_then_eof(self) -> None:
        """
        After a failed write the kernel has told its error and reads end like an orderly end, which it is not.
        """
        self.peer.close()
        self.stream.write(b"x")
        self.settle()
        self.assertEqual((["lost"], "EPIPE"), (self.reader.events, self.stream.errno))

    def test_error_in_buffer(self) -> None:
        """The same for what was buffered."""
        self.start(self.unix(little=True))
        self.stream.pause()
        self.fill()
        self.peer.close()
        self.settle()
        self.assertEqual((["lost"], "EPIPE"), (self.reader.events, self.stream.errno))
        self.assert_gone()

    def test_error_at_end(self) -> None:
        """And for the end of what we say, which finds nobody to hear it."""
        self.start(self.tcp())
        self.stream.pause()
        reset(self.peer)
        self.stream.end()
        self.until(lambda: self.stream.closed)
        self.assertEqual((["lost"], "ECONNRESET"), (self.reader.events, self.stream.errno))

    def test_error_at_end_of_new(self) -> None:
        """Also where nobody has read it yet, or will."""
        stream, peer = self.tcp()
        stream.attach(reader := Recorder())
        reset(peer)
        self.assertTrue(select.select([stream.fileno()], [], [], 10)[0])
        stream.end()
        self.until(lambda: stream.closed)
        self.assertEqual(["lost"], reader.events)

    def test_error_found_by_hang_up(self) -> None:
        """An error that was noted is told as soon as anything is, if it is but that the peer hung up."""
        self.stream.pause()
        self.stream.errno = "EPIPE"
        self.stream.hung_up()
        self.assertEqual((["lost"], "EPIPE"), (self.reader.events, self.stream.errno))

    def test_after_end(self) -> None:
        """What is written to a closed connection is dropped, whatever else is asked of it."""
        self.stream.abort()
        self.stream.write(b"x")
        self.stream.end()
        self.stream.close()
        self.stream.abort()
        self.stream.pause()
        self.stream.resume()
        self.stream.divert_reading(lambda: None)
        self.stream.divert_writing(lambda: None)
        self.stream.divert_writing(None)
        self.settle()
        self.assertEqual((["lost"], 0), (self.reader.events, self.stream.buffered))
        self.assert_gone()


class PaceTests(StreamCase):
    """A slow peer pauses whoever writes."""

    def setUp(self) -> None:
        super().setUp()
        self.start(self.unix(little=True))

    def test_high_water(self) -> None:
        """Paused once more than 64 KiB wait for the kernel, resumed once it took all."""
        self.fill()
        self.stream.write(bytes(HIGH_WATER - 1))
        self.assertEqual((64 * KIB, []), (self.stream.buffered, self.reader.events))
        self.stream.write(b"x")
        self.stream.write(b"x")
        self.assertEqual(["pause"], self.reader.events)
        drain(self.peer)
        self.settle()
        self.assertEqual(["pause"], self.reader.events)
        while self.stream.buffered:
            drain(self.peer)
            self.settle()
        self.assertEqual(["pause", "resume"], self.reader.events)

    def test_read_size(self) -> None:
        """How much is read at once is 64 KiB, or up to whoever has the stream."""
        self.peer.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 64 * KIB + 3:
                sent += self.peer.send(bytes(64 * KIB + 3 - sent))
        self.assertEqual(64 * KIB, self.stream.read_size)
        for size in (1, 5):
            self.stream.read_size = size
            before = self.stream.bytes_in
            self.stream.readable()
            self.assertEqual(size, self.stream.bytes_in - before)

    def test_any_high_water(self) -> None:
        """How much may wait is up to whoever has the stream: nothing, say."""
        self.stream.high_water = 0
        self.fill()
        self.assertEqual(["pause"], self.reader.events)
        drain(self.peer)
        self.settle()
        self.assertEqual(["pause", "resume"], self.reader.events)
        self.fill()
        self.assertEqual(["pause", "resume", "pause"], self.reader.events)

    def test_attached_late(self) -> None:
        """A reader that is attached when there is too much already is paused at once, before it is told of bytes."""
        self.stream.write(bytes(200 * KIB))
        late = Recorder()
        self.stream.attach(late, b"prefix")
        self.assertEqual(["pause", b"prefix"], late.events)
        while self.stream.buffered:
            drain(self.peer)
            self.settle()
        self.assertEqual((["pause", b"prefix", "resume"], ["pause"]), (late.events, self.reader.events))

    def test_attached_in_time(self) -> None:
        """One that comes when less than that waits is not, whatever its predecessor was told."""
        self.stream.write(bytes(80 * KIB))
        while self.stream.buffered > HIGH_WATER:
            drain(self.peer)
            self.hub.serve()
        self.assertGreater(self.stream.buffered, 0)
        late = Recorder()
        self.stream.attach(late)
        while self.stream.buffered:
            drain(self.peer)
            self.settle()
        self.assertEqual(([], ["pause"]), (late.events, self.reader.events))

    def test_writes_when_resumed(self) -> None:
        """One that writes when it is resumed may be paused again."""
        more = [bytes(100 * KIB)] * 3
        self.reader.then["resume"] = lambda: self.stream.write(more.pop()) if more else None
        self.stream.write(bytes(100 * KIB))
        got = 0
        while self.stream.buffered:
            got += len(drain(self.peer))
            self.settle()
        self.assertEqual(["pause", "resume"] * 4, self.reader.events)
        self.assertEqual(400 * KIB, got + len(drain(self.peer)))


class ReadTests(StreamCase):
    """What is read goes to the reader, and the end is told for what it is."""

    def test_read(self) -> None:
        """Bytes arrive and are counted."""
        self.peer.send(b"hello")
        self.settle()
        self.assertEqual(([b"hello"], 5), (self.reader.events, self.stream.bytes_in))

    def test_pieces(self) -> None:
        """64 KiB at most at a time."""
        data = os.urandom(150 * KIB)
        self.peer.send(data)
        self.settle()
        self.assertTrue(data == self.reader.heard)
        self.assertLessEqual(max(map(len, self.reader.events)), 64 * KIB)

    def test_spurious(self) -> None:
        """Being told of bytes that are not there, of room that is not asked for or of no hang-up is harmless."""
        self.stream.readable()
        self.stream.writable()
        self.stream.hung_up()
        self.assertEqual(([], READ), (self.reader.events, self.interest))

    def test_half_close(self) -> None:
        """A reader goes on writing after the peer has said all, as it likes."""
        self.peer.shutdown(socket.SHUT_WR)
        self.settle()
        self.stream.write(b"answer")
        self.assertEqual((["eof"], b"answer"), (self.reader.events, drain(self.peer)))
        self.stream.close()
        self.assertEqual((["eof", "lost"], b""), (self.reader.events, self.peer.recv(1)))
        self.assertEqual("", self.stream.errno)

    def test_end_is_found_again(self) -> None:
        """The end is told once, unless somebody reads on, who is told again."""
        self.peer.send(b"all")
        self.peer.shutdown(socket.SHUT_WR)
        self.settle()
        self.assertEqual(([b"all", "eof"], WATCH), (self.reader.events, self.interest))
        other = Recorder()
        self.stream.attach(other)
        self.stream.resume()
        self.settle()
        self.assertEqual((["eof"], WATCH), (other.events, self.interest))

    def test_end_is_handed_on(self) -> None:
        """Whoever is told of the end may give the stream to another there and then, who reads on and finds it."""
        other = Recorder()

        def hand_on() -> None:
            self.stream.attach(other)
            self.stream.resume()

        self.reader.then["eof"] = hand_on
        self.peer.shutdown(socket.SHUT_WR)
        self.settle()
        self.assertEqual((["eof"], ["eof"], WATCH), (self.reader.events, other.events, self.interest))

    def test_whole_close(self) -> None:
        """A reader may close at once."""
        self.reader.then["eof"] = self.stream.close
        self.peer.shutdown(socket.SHUT_WR)
        self.settle()
        self.assertEqual((["eof", "lost"], ""), (self.reader.events, self.stream.errno))
        self.assert_gone()

    def test_reset(self) -> None:
        """A reset is told with its symbol."""
        self.start(self.tcp())
        reset(self.peer)
        self.until(lambda: self.stream.closed)
        self.assertEqual((["lost"], "ECONNRESET"), (self.reader.events, self.stream.errno))

    def test_unknown_error(self) -> None:
        """An error that has no symbol counts as one all the same."""
        self.stream.failed(OSError(99999, "?"))
        self.assertEqual((["lost"], "EIO"), (self.reader.events, self.stream.errno))

    def test_paused(self) -> None:
        """Paused, nothing is read, until it is resumed."""
        self.stream.pause()
        self.peer.send(b"x")
        self.settle()
        self.assertEqual([], self.reader.events)
        self.stream.resume()
        self.settle()
        self.assertEqual([b"x"], self.reader.events)

    def test_new(self) -> None:
        """A new stream does not read by itself, and the hub knows nothing of it."""
        stream, peer = self.unix()
        reader = Recorder()
        stream.attach(reader)
        peer.send(b"x")
        self.settle()
        self.assertEqual(([], 0), (reader.events, stream._descriptor.interest))
        stream.resume()
        self.settle()
        self.assertEqual([b"x"], reader.events)

    def test_paused_reset(self) -> None:
        """Paused, a reset is noticed nevertheless."""
        self.start(self.tcp())
        self.stream.pause()
        reset(self.peer)
        self.until(lambda: self.stream.closed)
        self.assertEqual((["lost"], "ECONNRESET"), (self.reader.events, self.stream.errno))

    def test_paused_hang_up(self) -> None:
        """An orderly end while paused is not told before somebody reads, and keeps nobody awake."""
        self.stream.pause()
        self.peer.close()
        self.settle()
        self.assertEqual([], self.reader.events)
        self.stream.resume()
        self.settle()
        self.assertEqual(["eof"], self.reader.events)

    def test_delivered(self) -> None:
        """Of what the kernel took, what the peer's has not got is not delivered; once closed nobody can tell."""
        self.start(self.tcp())
        self.stream.write(bytes(16 * 1024 * KIB))
        before = self.stream.delivered()
        self.assertTrue(0 <= before < self.stream.bytes_out, before)
        for _ in range(1000):
            drain(self.peer)
            select.select([self.peer], [], [], 0.01)
            if self.stream.delivered() > before:
                break
        self.assertGreater(self.stream.delivered(), before)
        self.stream.abort()
        self.assertEqual(self.stream.bytes_out, self.stream.delivered())

    def test_silent(self) -> None:
        """Whether the peer has said anything is asked without taking it; nothing is silent that has ended."""
        self.assertTrue(self.stream.silent())
        self.peer.send(b"x")
        self.assertFalse(self.stream.silent())
        self.settle()
        self.assertEqual([b"x"], self.reader.events)
        self.assertTrue(self.stream.silent())
        self.peer.shutdown(socket.SHUT_WR)
        self.assertFalse(self.stream.silent())
        self.stream.close()
        self.assertFalse(self.stream.silent())

    def test_silent_reset(self) -> None:
        """Nor is one that broke; that is told in the hub's own turn, as what it is, paused or not."""
        for paused in (False, True):
            self.start(self.unix())
            if paused:
                self.stream.pause()
            self.stream.write(b"unread")
            self.peer.close()
            self.assertFalse(self.stream.silent())
            self.assertFalse(self.stream.closed)
            self.settle()
            self.assertEqual((["lost"], "ECONNRESET"), (self.reader.events, self.stream.errno))


class EndTests(StreamCase):
    """There are several ways to end a connection."""

    def test_close(self) -> None:
        """Where all was sent the end comes at once, and once."""
        self.stream.write(b"abc")
        self.stream.close()
        self.assertEqual((["lost"], ""), (self.reader.events, self.stream.errno))
        self.assertEqual((b"abc", b""), (self.peer.recv(10), self.peer.recv(10)))
        self.stream.close()
        self.settle()
        self.assertEqual(["lost"], self.reader.events)
        self.assert_gone()

    def test_close_later(self) -> None:
        """Where something is left to be sent, it comes after that; nothing more is read or written meanwhile."""
        self.start(self.unix(little=True))
        written = self.fill()
        self.stream.write(b"last")
        self.stream.close()
        self.stream.close()
        self.stream.write(b"dropped")
        self.stream.pause()
        self.stream.resume()
        self.peer.send(b"unheard")
        self.settle()
        self.assertEqual(([], 5, False), (self.reader.events, self.stream.buffered, self.stream.closed))
        got = drain(self.peer)
        self.settle()
        self.assertEqual((["lost"], ""), (self.reader.events, self.stream.errno))
        self.assertEqual(b"." * written + b"last", got + self.peer.recv(10))
        self.assert_gone()

    def test_close_later_broken(self) -> None:
        """A peer that goes away meanwhile ends it."""
        self.start(self.unix(little=True))
        self.fill()
        self.stream.close()
        self.peer.close()
        self.settle()
        self.assertEqual((["lost"], "EPIPE"), (self.reader.events, self.stream.errno))
        self.assert_gone()

    def test_abort(self) -> None:
        """An abort is a reset, at once, and nothing is read or sent any more."""
        self.start(self.tcp())
        self.peer.send(b"y")
        self.stream.abort()
        self.assertEqual((["lost"], "ECONNABORTED"), (self.reader.events, self.stream.errno))
        self.stream.abort()
        self.assertEqual(["lost"], self.reader.events)
        self.assert_gone()
        self.peer.setblocking(True)
        self.assertRaises(ConnectionResetError, self.peer.recv, 1)

    def test_abort_drops(self) -> None:
        """What waits is dropped, a close that waits for it included."""
        self.start(self.unix(little=True))
        written = self.fill()
        self.stream.close()
        self.stream.abort()
        self.assertEqual((["lost"], "ECONNABORTED", 0), (self.reader.events, self.stream.errno, self.stream.buffered))
        self.assertEqual(written - 1, len(drain(self.peer)))
        self.assert_gone()

    def test_abort_after_error(self) -> None:
        """The first error is the one that is told."""
        self.peer.close()
        self.stream.write(b"x")
        self.stream.abort()
        self.assertEqual("EPIPE", self.stream.errno)

    def test_abort_without_reader(self) -> None:
        """A connection that nobody has got yet can be given up."""
        stream, peer = self.unix()
        stream.abort()
        self.assertEqual((True, b""), (stream.closed, peer.recv(1)))

    def test_half_close(self) -> None:
        """The end of what we say is said at once, where all was sent; the peer may go on."""
        self.stream.write(b"all")
        self.stream.end()
        self.assertEqual((b"all", b""), (self.peer.recv(10), self.peer.recv(10)))
        self.stream.end()
        self.stream.write(b"dropped")
        self.peer.send(b"more")
        self.settle()
        self.assertEqual(([b"more"], b""), (self.reader.events, self.peer.recv(10)))

    def test_half_close_later(self) -> None:
        """Or once all was sent; what is written after it was asked for is dropped."""
        self.start(self.unix(little=True))
        written = self.fill()
        self.stream.end()
        self.stream.write(b"dropped")
        got = drain(self.peer)
        self.assertRaises(BlockingIOError, self.peer.recv, 1)
        self.settle()
        self.assertEqual((written, READ), (len(got) + len(self.peer.recv(10)), self.interest))
        self.assertEqual((b"", []), (self.peer.recv(10), self.reader.events))

    def test_half_closed_then_closed(self) -> None:
        """Then the rest can be ended, too."""
        self.stream.end()
        self.stream.close()
        self.assertEqual(["lost"], self.reader.events)
        self.assert_gone()

    def test_half_close_then_close_later(self) -> None:
        """Also while something is left to be sent."""
        self.start(self.unix(little=True))
        written = self.fill()
        self.stream.end()
        self.stream.close()
        got = drain(self.peer)
        self.settle()
        self.assertEqual((["lost"], written), (self.reader.events, len(got + drain(self.peer))))
        self.assert_gone()

    def test_closed_amid_reading(self) -> None:
        """A reader that closes when it is told of bytes is told of the end before that returns, and of nothing else."""
        for close in (SocketStream.close, SocketStream.abort):
            self.start(self.unix())
            self.reader.then["data"] = partial(close, self.stream)
            self.peer.send(b"abc")
            self.peer.shutdown(socket.SHUT_WR)
            self.settle()
            self.assertEqual([b"abc", "lost"], self.reader.events)
            self.assert_gone()

    def test_closed_amid_pausing(self) -> None:
        """So may one that is told to pause."""
        self.start(self.unix(little=True))
        self.reader.then["pause"] = self.stream.abort
        self.stream.write(bytes(100 * KIB))
        self.assertEqual(["pause", "lost"], self.reader.events)
        self.assert_gone()

    def test_told_once(self) -> None:
        """Whoever wants to know of the close is told once, before the reader, with every count at its last."""
        seen: list[Any] = []
        counter = TransportCounter()
        reader = Recorder()
        here, there = socket.socketpair()
        self.addCleanup(there.close)
        here.setblocking(False)

        def released() -> None:
            seen.append((list(reader.events), dict(counter.closed), here.fileno()))

        stream = SocketStream(here, self.hub, Conn(("", 0), ("", 0)), released)
        stream.counted(counter)
        stream.attach(reader)
        stream.resume()
        there.send(b"abc")
        self.settle()
        self.reactor.advance(1.5)
        stream.failed(OSError(errno.ECONNRESET, "reset"))
        stream.abort()
        stream.shut_down()
        self.assertEqual([([b"abc"], {"ECONNRESET": 1}, -1)], seen)
        self.assertEqual((1, {}, 3, 0), (counter.opened, counter.live, counter.read_bytes, counter.write_bytes))
        self.assertEqual((1.5, [b"abc", "lost"]), (counter.duration.total, reader.events))

    def test_counted_late(self) -> None:
        """Whenever it is counted, everything since the beginning is."""
        self.peer.send(b"abc")
        self.settle()
        self.stream.write(b"defg")
        self.reactor.advance(2)
        counter = TransportCounter()
        self.stream.counted(counter)
        self.assertEqual((3, 4), counter.totals())
        self.stream.abort()
        self.assertEqual(2, counter.duration.total)

    def test_counted_once(self) -> None:
        """It belongs to whoever counted it first: what is found inside of it later is no other connection."""
        first, second = TransportCounter(), TransportCounter()
        self.stream.counted(first)
        self.stream.counted(second)
        self.stream.abort()
        self.assertEqual((1, {}, 0, {}), (first.opened, first.live, second.opened, second.live))

    def test_reactor_ends(self) -> None:
        """With the reactor all connections are closed."""
        self.stream.shut_down()
        self.assertEqual((["lost"], ""), (self.reader.events, self.stream.errno))
        self.assert_gone()


class AttachTests(StreamCase):
    """A connection passes from hand to hand without a byte lost or out of order."""

    def test_prefix(self) -> None:
        """What somebody else has read comes first, before C{attach} returns, then what follows."""
        self.peer.send(b"second")
        self.stream.attach(reader := Recorder(), b"first")
        self.assertEqual([b"first"], reader.events)
        self.settle()
        self.assertEqual(([b"first", b"second"], []), (reader.events, self.reader.events))

    def test_eof(self) -> None:
        """So does the end, where it was read already."""
        self.stream.attach(reader := Recorder(), b"all", eof=True)
        self.assertEqual([b"all", "eof"], reader.events)

    def test_eof_closes(self) -> None:
        """For a reader that does not go on it is the end of both."""
        reader = Recorder()
        reader.then["eof"] = self.stream.close
        self.stream.attach(reader, b"all", eof=True)
        self.assertEqual([b"all", "eof", "lost"], reader.events)

    def test_handed_on(self) -> None:
        """One that hands the connection on at once passes on what was read, and the end: it is told nothing more."""
        last, first = Recorder(), Recorder()
        first.then["data"] = lambda: self.stream.attach(last, b"rest", eof=True)
        self.stream.attach(first, b"first", eof=True)
        self.assertEqual(([b"first"], [b"rest", "eof"]), (first.events, last.events))
        self.stream.close()
        self.assertEqual(([b"first"], [b"rest", "eof", "lost"]), (first.events, last.events))

    def test_gone(self) -> None:
        """A reader that gets rid of the connection at once is not told of what was read."""
        self.start(self.unix(little=True))
        self.stream.write(bytes(100 * KIB))
        reader = Recorder()
        reader.then["pause"] = self.stream.abort
        self.stream.attach(reader, b"first", eof=True)
        self.assertEqual(["pause", "lost"], reader.events)

    def test_closed(self) -> None:
        """A reader that comes too late is told so at once, and of nothing else."""
        self.stream.close()
        self.stream.attach(reader := Recorder(), b"first", eof=True)
        self.assertEqual((["lost"], ["lost"]), (reader.events, self.reader.events))


class CrashTests(StreamCase):
    """An exception in a reader is told once and ends its connection, no other."""

    def test_everywhere(self) -> None:
        """Wherever it raises, and whatever."""
        for error in (ZeroDivisionError(), SystemExit(1), KeyboardInterrupt(), GeneratorExit()):
            for where, before in (("data", [b"x"]), ("eof", [b"x", "eof"]), ("lost", [b"x", "eof", "lost"])):
                self.crashes.clear()
                self.start(self.unix())
                self.reader.then[where] = error
                self.peer.send(b"x")
                self.settle()
                self.peer.shutdown(socket.SHUT_WR)
                self.settle()
                self.stream.close()
                self.assertEqual([type(error)], [failure.type for failure in self.crashes])
                self.assertEqual(before if where == "lost" else [*before, "lost"], self.reader.events)
                self.assertEqual("" if where == "lost" else "ECONNABORTED", self.stream.errno)
                self.assert_gone()

    def test_attached(self) -> None:
        """The same for what it is told while it is attached: C{attach} itself raises nothing."""
        for where, prefix, eof in (("data", b"x", False), ("eof", b"", True)):
            self.crashes.clear()
            self.start(self.unix())
            reader = Recorder()
            reader.then[where] = ZeroDivisionError()
            self.stream.attach(reader, prefix, eof)
            self.assertEqual([ZeroDivisionError], [failure.type for failure in self.crashes])
            self.assertEqual("lost", reader.events[-1])
            self.assert_gone()

    def test_attached_too_late(self) -> None:
        """Nor does it for a connection that is over, where it is logged, as nobody is told of it any more."""
        self.stream.close()
        reader = Recorder()
        reader.then["lost"] = ZeroDivisionError()
        self.stream.attach(reader)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_resumed(self) -> None:
        """The same where it is told that it may write on."""
        self.start(self.unix(little=True))
        self.reader.then["resume"] = ZeroDivisionError()
        self.stream.write(bytes(100 * KIB))
        while not self.stream.closed:
            drain(self.peer)
            self.settle()
        self.assertEqual([ZeroDivisionError], [failure.type for failure in self.crashes])
        self.assertEqual(["pause", "resume", "lost"], self.reader.events)

    def test_once(self) -> None:
        """What an exception brings on is not told again."""
        self.reader.then["lost"] = ZeroDivisionError()
        self.stream.crashed(Failure(ValueError()))
        self.assertEqual([ValueError], [failure.type for failure in self.crashes])
        self.stream.crashed(Failure(ValueError()))
        self.assertEqual(1, len(self.crashes))

    def test_nobody_told(self) -> None:
        """Where nobody wants to be told, it is logged."""
        self.stream.on_crash = None
        self.reader.then["data"] = ZeroDivisionError()
        self.peer.send(b"x")
        self.settle()
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assert_gone()

    def test_whoever_is_told_raises(self) -> None:
        """Whoever is told may be broken, too: the connection ends all the same."""

        def broken(failure: Failure) -> None:
            raise ValueError

        self.stream.on_crash = broken
        self.reader.then["data"] = ZeroDivisionError()
        self.peer.send(b"x")
        self.settle()
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
        self.assert_gone()


class RawTests(StreamCase):
    """Whoever has the kernel move bytes is told of readiness, and reads and writes by itself."""

    def setUp(self) -> None:
        super().setUp()
        self.calls: list[str] = []

    def note(self, what: str) -> Callable[[], None]:
        return lambda: self.calls.append(what)

    def test_raw(self) -> None:
        """What C{write} is given is what the socket carries."""
        self.assertIs(self.stream, self.stream.raw())
        self.assertEqual(self.stream._sock.fileno(), self.stream.fileno())

    def test_reading(self) -> None:
        """Readable, it is read by somebody else; paused, it is not; taken back, it is read as before."""
        self.stream.divert_reading(self.note("readable"))
        self.peer.send(b"x")
        self.hub.serve()
        self.stream.pause()
        self.hub.serve()
        self.stream.divert_reading(None)
        self.stream.resume()
        self.settle()
        self.assertEqual((["readable"], [b"x"]), (self.calls, self.reader.events))

    def test_read_on(self) -> None:
        """What has come after the last read is had without waiting for the hub; nothing is no end."""
        self.assertFalse(self.stream.read_on())
        self.peer.send(b"abc")
        self.assertTrue(self.stream.read_on())
        self.assertEqual([b"abc"], self.reader.events)

    def test_peek(self) -> None:
        """What waits is looked at, again and again; some of it is taken, and the rest read by whoever reads it."""
        self.stream.pause()
        self.assertRaises(BlockingIOError, self.stream.peek, 10)
        self.peer.sendall(b"first words")
        self.assertEqual([b"first", b"first words"], [self.stream.peek(5), self.stream.peek(100)])
        self.assertEqual(b"first ", self.stream.take(6))
        self.assertEqual((0, []), (self.stream.bytes_in, self.reader.events))
        self.stream.resume()
        self.settle()
        self.assertEqual((5, [b"words"]), (self.stream.bytes_in, self.reader.events))
        self.stream.pause()
        self.peer.close()
        self.assertEqual(b"", self.stream.peek(5))

    def test_low_water(self) -> None:
        """Who waits for so much is woken when it is there, once; or by the end; and is paused and read as always."""
        self.start(self.tcp())
        self.stream.low_water(5)
        self.peer.send(b"1234")
        self.assertFalse(self.ready(0.02))
        self.peer.send(b"5")
        self.until(lambda: self.reader.events)
        self.assertEqual([b"12345"], self.reader.events)
        self.peer.send(b"6")
        self.assertFalse(self.ready(0.02))
        self.stream.low_water(1)
        self.until(lambda: len(self.reader.events) == 2)
        self.stream.low_water(100)
        self.peer.send(b"7")
        self.peer.shutdown(socket.SHUT_WR)
        self.until(lambda: self.reader.events[-1] == "eof")
        self.assertEqual([b"12345", b"6", b"7", "eof"], self.reader.events)
        self.stream.abort()
        self.stream.low_water(5)

    def test_counts(self) -> None:
        """What the kernel moved is counted."""
        self.stream.moved_in(3)
        self.stream.moved_out(5)
        self.assertEqual((3, 5), (self.stream.bytes_in, self.stream.bytes_out))

    def test_read_ended(self) -> None:
        """An end that somebody else has read is told as always."""
        self.stream.read_ended()
        self.assertEqual((["eof"], WATCH), (self.reader.events, self.interest))

    def test_writing(self) -> None:
        """Writable, somebody else writes; what is written meanwhile waits, and is sent after that was taken back."""
        self.stream.divert_writing(self.note("writable"))
        self.stream.write(b"late")
        self.hub.serve()
        self.assertEqual((["writable"], b"", 4), (self.calls, drain(self.peer), self.stream.buffered))
        self.stream.divert_writing(None)
        self.settle()
        self.assertEqual((["writable"], b"late", READ), (self.calls, drain(self.peer), self.interest))

    def test_nothing_written(self) -> None:
        """Where nothing was, nobody waits to write any more."""
        self.stream.divert_writing(self.note("writable"))
        self.assertEqual(READ | WRITE, self.interest)
        self.stream.divert_writing(None)
        self.assertEqual((READ, 0), (self.interest, self.stream.buffered))
        self.stream.divert_writing(None)
        self.stream.write(b"x")
        self.assertEqual(b"x", drain(self.peer))

    def test_not_diverted(self) -> None:
        """To take back what was not asked for loses nothing: an error that waits to be told, say."""
        self.stream.pause()
        self.peer.close()
        self.stream.write(b"x")
        self.stream.divert_writing(None)
        self.settle()
        self.assertEqual((["lost"], "EPIPE"), (self.reader.events, self.stream.errno))

    def test_first(self) -> None:
        """What is given back goes before what waits."""
        for late in (b"", b"late"):
            self.stream.divert_writing(self.note("writable"))
            self.stream.write(late)
            self.stream.divert_writing(None, b"first ")
            self.settle()
            self.assertEqual(b"first " + late, drain(self.peer))

    def test_pace(self) -> None:
        """Whoever writes too much meanwhile is paused, and resumed when all that is sent."""
        self.stream.high_water = 3
        self.stream.divert_writing(self.note("writable"))
        self.stream.write(b"late")
        self.assertEqual(["pause"], self.reader.events)
        self.stream.divert_writing(None)
        self.assertEqual(["pause"], self.reader.events)
        self.settle()
        self.assertEqual(["pause", "resume"], self.reader.events)

    def test_end(self) -> None:
        """The end of what we say waits for it."""
        self.stream.divert_writing(self.note("writable"))
        self.stream.end()
        self.assertRaises(BlockingIOError, self.peer.recv, 1)
        self.stream.divert_writing(None)
        self.assertEqual((b"", []), (self.peer.recv(1), self.reader.events))

    def test_close(self) -> None:
        """So does a close, for what goes behind it, too."""
        for late in (b"", b"late"):
            self.start(self.unix())
            self.stream.divert_writing(self.note("writable"))
            self.stream.write(late)
            self.stream.close()
            self.hub.serve()
            self.assertEqual(([], "writable"), (self.reader.events, self.calls[-1]))
            self.stream.divert_writing(None)
            self.settle()
            self.assertEqual((["lost"], late), (self.reader.events, self.peer.recv(10)))
            self.assert_gone()

    def test_abort(self) -> None:
        """An abort does not, and nobody is called any more."""
        self.stream.divert_reading(self.note("readable"))
        self.stream.divert_writing(self.note("writable"))
        self.stream.abort()
        self.settle()
        self.stream.divert_writing(None)
        self.assertEqual(([], ["lost"]), (self.calls, self.reader.events))
        self.assert_gone()

    def test_exception(self) -> None:
        """What they raise ends the connection."""

        def crash() -> None:
            raise ZeroDivisionError

        self.stream.divert_writing(crash)
        self.settle()
        self.assertEqual([ZeroDivisionError], [failure.type for failure in self.crashes])
        self.assert_gone()


class Holder(Recorder):
    """A reader that holds its stream, as all of them do."""

    def __init__(self, stream: SocketStream) -> None:
        super().__init__()
        self.stream = stream


class CycleTests(SocketCase):
    """However a connection ends, nothing of it waits for the garbage collector."""

    def life(self, end: Callable[[SocketStream, socket.socket], object]) -> None:
        stream, peer = self.unix(little=True)
        self.streams.clear()
        reader = Holder(stream)
        # a cycle of the test's own, which only the stream's end can break
        stream.on_crash = reader.events.append
        stream.attach(reader)
        stream.resume()
        stream.divert_reading(None)
        end(stream, peer)
        peer.close()
        self.settle()
        self.assertTrue(stream.closed)

    def test_ends(self) -> None:
        """In any way."""
        self.enterContext(only_new())

        def ended(stream: SocketStream, peer: socket.socket) -> None:
            peer.close()
            self.settle()
            stream.close()

        def late(stream: SocketStream, peer: socket.socket) -> None:
            stream.write(bytes(100 * KIB))
            stream.close()
            drain(peer)

        def diverted(stream: SocketStream, peer: socket.socket) -> None:
            # as who moves the bytes holds the stream
            stream.divert_reading(stream.pause)
            stream.divert_writing(stream.pause)
            stream.abort()
            stream.divert_reading(stream.pause)
            stream.divert_writing(stream.pause)

        def crashed(stream: SocketStream, peer: socket.socket) -> None:
            stream.crashed(Failure(ValueError()))

        def failed(stream: SocketStream, peer: socket.socket) -> None:
            peer.close()
            stream.write(b"x")

        def shut_down(stream: SocketStream, peer: socket.socket) -> None:
            stream.shut_down()

        for end in (ended, late, diverted, crashed, failed, shut_down):
            with uncounted() as left:
                self.life(end)
            self.assertEqual([], left, end.__name__)

    def test_never_attached(self) -> None:
        """Also where nobody ever had it."""
        self.enterContext(only_new())
        with uncounted() as left:
            stream, peer = self.unix()
            self.streams.clear()
            stream.close()
            peer.close()
            del stream, peer
        self.assertEqual([], left)


class ShownTests(SocketCase):
    """What a person is shown of it."""

    def test_shown(self) -> None:
        """A stream says between whom it is, and how much has passed."""
        stream, _ = self.tcp()
        stream.moved_in(7)
        host, port = stream.conn.local
        self.assertEqual(f"<SocketStream ('{host}', {port}) to {stream.conn.peer} in=7 out=0>", repr(stream))
