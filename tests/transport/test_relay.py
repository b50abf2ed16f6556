# -*- test-case-name: tests.transport.test_relay -*-
"""
Tests for L{lproxy.transport.relay} and L{lproxy.transport.splice} without sockets.

With sockets: L{tests.integration.test_relay}.
"""

from __future__ import annotations

import errno
import os
from typing import Any
from unittest import skipUnless

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport import splice
from lproxy.transport.relay import NEVER, Relay, State, relay


class FakeStream:
    """
    A transport that is no socket.

    @ivar room: bytes that its kernel takes before it is full
    @ivar calls: what was asked of it, but for writes
    """

    plain = False
    bufferSize = 65536

    def __init__(self, port: int, room: int = 1 << 30) -> None:
        self.peer_address = ("10.0.0.1", port)
        self.room = room
        self.sent = b""
        self.pending = b""
        self.unread = b""
        self.calls: list[str] = []
        self.reading = False
        self.disconnected = False
        self.producer = None
        self.protocol = None

    def attach(self, protocol, prefix=b""):
        self.protocol = protocol
        protocol.makeConnection(self)
        if prefix:
            protocol.dataReceived(prefix)

    def take_unread(self):
        unread, self.unread = self.unread, b""
        return unread

    @property
    def buffered(self):
        return len(self.pending)

    def write(self, data):
        self.pending += data
        self.flush()
        if self.producer and self.buffered > self.bufferSize:
            self.producer.pauseProducing()

    def flush(self, room=0):
        self.room += room
        self.sent += self.pending[: self.room]
        taken, self.pending = self.pending[: self.room], self.pending[self.room :]
        self.room -= len(taken)
        if room and not self.pending and self.producer:
            self.producer.resumeProducing()

    def registerProducer(self, producer, streaming):
        assert self.producer is None and streaming
        self.producer = producer
        if self.buffered > self.bufferSize:
            producer.pauseProducing()

    def unregisterProducer(self):
        self.producer = None

    def pauseProducing(self):
        self.reading = False

    def resumeProducing(self):
        self.reading = True

    def loseWriteConnection(self):
        self.calls.append("FIN")

    def loseConnection(self):
        self.calls.append("close")

    def finish(self):
        self.calls.append("close")

    def abortConnection(self):
        self.calls.append("RST")

    def closed(self, reason=None):
        """The reactor closed it."""
        self.disconnected = True
        self.protocol.connectionLost(Failure(reason or ConnectionDone()))


class RelayTests(SynchronousTestCase):
    """The two directions, between transports of any kind."""

    def setUp(self) -> None:
        self.a, self.b = FakeStream(1), FakeStream(2)
        self.done = 0
        self.pipes = splice.Pipes()

    def relay(self) -> Relay:
        def done() -> None:
            self.done += 1

        return relay(self.a, self.b, done, pipes=self.pipes)

    def test_bytes(self) -> None:
        """What one says the other hears."""
        self.relay()
        self.assertEqual((True, True), (self.a.reading, self.b.reading))
        self.a.protocol.dataReceived(b"ping")
        self.b.protocol.dataReceived(b"pong")
        self.assertEqual((b"ping", b"pong"), (self.b.sent, self.a.sent))

    def test_half_close(self) -> None:
        """An end of file is passed on, and the other direction goes on to its own; then both are closed."""
        self.relay()
        self.a.protocol.readConnectionLost()
        self.assertEqual(([], ["FIN"]), (self.a.calls, self.b.calls))
        self.b.protocol.dataReceived(b"late")
        self.assertEqual(b"late", self.a.sent)
        self.b.protocol.readConnectionLost()
        self.assertEqual((["close"], ["FIN", "close"]), (self.a.calls, self.b.calls))
        self.a.closed()
        self.assertEqual(0, self.done)
        self.b.closed()
        self.assertEqual(1, self.done)
        self.assertEqual(["FIN", "close"], self.b.calls)

    def test_broken(self) -> None:
        """If one breaks the other is reset, in whatever state."""
        for half_closed in (False, True):
            for broken in (0, 1):
                self.setUp()
                self.relay()
                if half_closed:
                    self.a.protocol.readConnectionLost()
                one, other = ((self.a, self.b), (self.b, self.a))[broken]
                one.closed(ConnectionLost())
                self.assertEqual("RST", other.calls[-1])
                self.assertEqual(0, self.done)
                other.closed(ConnectionAborted())
                self.assertEqual(1, self.done)
                self.assertNotIn("RST", one.calls)

    def test_abort(self) -> None:
        """Both are reset, and done is called once both are closed."""
        joined = self.relay()
        joined.abort()
        self.assertEqual((["RST"], ["RST"]), (self.a.calls, self.b.calls))
        self.b.closed(ConnectionAborted())
        self.a.closed(ConnectionAborted())
        self.assertEqual(1, self.done)

    def test_blocked(self) -> None:
        """A sink that does not take all stops the source, and only that one, until it has."""
        joined = self.relay()
        self.b.room = 3
        self.a.protocol.dataReceived(b"abcdefg")
        self.assertEqual((False, True), (self.a.reading, self.b.reading))
        self.assertIn("10.0.0.1:1 to 10.0.0.1:2 blocked, 10.0.0.1:2 to 10.0.0.1:1 copying", repr(joined))
        self.b.flush(2)
        self.assertFalse(self.a.reading)
        self.b.flush(100)
        self.assertTrue(self.a.reading)
        self.assertEqual(b"abcdefg", self.b.sent)

    def test_end_while_blocked(self) -> None:
        """An end of file that is told while the sink is full is passed on behind the bytes, and nothing resumes."""
        self.relay()
        self.b.room = 0
        self.a.protocol.dataReceived(b"abc")
        self.a.protocol.readConnectionLost()
        self.assertEqual(["FIN"], self.b.calls)
        self.b.flush(100)
        self.assertFalse(self.a.reading)

    def test_full_before(self) -> None:
        """What others wrote goes first; before it is taken, the source is not read."""
        self.b.room = 0
        self.b.write(b"prefix")
        self.a.unread = b" unread"
        self.relay()
        self.assertEqual((False, True), (self.a.reading, self.b.reading))
        self.b.flush(100)
        self.assertTrue(self.a.reading)
        self.a.protocol.dataReceived(b" rest")
        self.assertEqual(b"prefix unread rest", self.b.sent)

    def test_other_producer(self) -> None:
        """The producers that the connections had are forgotten."""
        self.a.producer = self.b.producer = object()
        self.relay()
        self.assertIs(self.b.producer, self.a.protocol)
        self.assertIs(self.a.producer, self.b.protocol)

    def test_closed_before(self) -> None:
        """A connection that is closed already is one that broke."""
        for closed in (0, 1):
            self.setUp()
            one, other = ((self.a, self.b), (self.b, self.a))[closed]
            one.disconnected = True
            self.relay()
            self.assertEqual(["RST"], other.calls)
            self.assertEqual(0, self.done)
            other.closed(ConnectionAborted())
            self.assertEqual(1, self.done)

    def test_not_spliced(self) -> None:
        """What is no plain socket is copied, however busy."""
        joined = self.relay()
        self.a.protocol.dataReceived(bytes(1 << 20))
        self.assertIs(State.COPYING, joined.forth.state)
        self.assertEqual(NEVER, joined.forth._splice_from)
        self.assertNotIn("doRead", vars(self.a))


class Lines:
    """
    A tap of lines: those in capitals pass, C{drop} vanishes, C{end} is the end; C{large} is followed by many bytes.

    @ivar seen: what it was given, and how much it was told of otherwise
    """

    def __init__(self, last: bool = False) -> None:
        self.last = last
        self.over = False
        self.unseen = 0
        self.kept = b""
        self.speaks = b""
        self.seen: list[bytes | int] = []

    def feed(self, data: bytes) -> bytes:
        self.seen.append(data)
        passed, data = data[: self.unseen], data[self.unseen :]
        self.unseen -= len(passed)
        out = passed + (b"" if self.unseen else self.speaks)
        if not self.unseen:
            self.speaks = b""
        *lines, self.kept = (self.kept + data).split(b"\n")
        for line in lines:
            self.over = self.over or line == b"end"
            if line.startswith(b"LARGE"):
                self.unseen = LARGE - len(self.kept)
                out, self.kept = out + line + b"\n" + self.kept, b""
            elif line != b"drop" and not self.over:
                out += line + b"\n"
        return out

    def skip(self, count: int) -> None:
        self.seen.append(count)
        self.unseen -= count

    def end(self) -> bytes:
        kept, self.kept = self.kept, b""
        return kept


#: bytes that follow a large line
LARGE = 200_000


class PlainStream(FakeStream):
    """
    A transport whose socket is one, as far as pipes can tell.

    @ivar incoming: what its peer has sent
    @ivar room: bytes that its peer takes
    """

    plain = True

    def __init__(self, port: int, room: int = 1 << 30) -> None:
        super().__init__(port, room)
        self.incoming = b""
        self.hung_up = False
        self.bytes_in = self.bytes_out = 0
        self.errno = ""
        self.disconnecting = False
        self.writing = False

    def fileno(self):
        return self

    def doRead(self):
        data, self.incoming = self.incoming[:65536], self.incoming[65536:]
        self.protocol.dataReceived(data)

    def doWrite(self):
        self.flush(0)

    def startWriting(self):
        self.writing = True

    def stopWriting(self):
        self.writing = False

    def loseConnection(self):
        super().loseConnection()
        self.disconnecting = True


class PlainPipe:
    """A pipe between two of them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = b""
        self.closed = False

    @property
    def held(self) -> int:
        return len(self.data)

    def fill(self, source: PlainStream, most: int) -> int:
        data = source.incoming[: min(most, self.size)]
        if not data and not source.hung_up:
            raise BlockingIOError
        source.incoming = source.incoming[len(data) :]
        self.data += data
        return len(data)

    def drain(self, sink: PlainStream) -> int:
        data = self.data[: sink.room]
        self.data = self.data[len(data) :]
        sink.room -= len(data)
        sink.sent += data
        return len(data)

    def empty(self) -> bytes:
        data, self.data = self.data, b""
        return data

    def close(self) -> None:
        self.closed = True


class PlainPipes(splice.Pipes):
    """All of them."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[PlainPipe] = []

    def take(self):
        self.made.append(PlainPipe(1 << 20))
        return self.made[-1]

    def give(self, pipe):
        assert not pipe.held


class TappedTests(SynchronousTestCase):
    """A relay with somebody who looks at what passes."""

    def setUp(self) -> None:
        self.a, self.b = PlainStream(1), PlainStream(2)
        self.forth, self.back = Lines(), Lines(last=True)
        self.done = 0
        self.pipes = PlainPipes()

        def done() -> None:
            self.done += 1

        self.joined: Any = relay(self.a, self.b, done, pipes=self.pipes, taps=(self.forth, self.back))

    def from_a(self, data: bytes) -> None:
        """It is there to be read, as long as somebody does."""
        self.a.incoming += data
        while self.a.reading and self.a.incoming:
            self.a.doRead()

    def take(self, room: int) -> None:
        """C{b} takes so many bytes more."""
        self.b.room += room
        if self.b.writing:
            self.b.doWrite()
        else:
            self.b.flush(0)
        if not self.b.pending and self.b.producer and self.joined.forth._pipe is None:
            self.b.producer.resumeProducing()
        self.from_a(b"")

    def test_feed(self) -> None:
        """Each direction has its own, which lets pass, keeps and drops."""
        self.a.protocol.dataReceived(b"ON")
        self.assertEqual(b"", self.b.sent)
        self.a.protocol.dataReceived(b"E\ndrop\nTWO\nTH")
        self.b.protocol.dataReceived(b"drop\nFOUR\n")
        self.assertEqual((b"ONE\nTWO\n", b"FOUR\n"), (self.b.sent, self.a.sent))
        self.assertEqual([b"ON", b"E\ndrop\nTWO\nTH"], self.forth.seen)

    def test_end(self) -> None:
        """What is kept when the source has said all goes before the end, which is passed on; the other goes on."""
        self.a.protocol.dataReceived(b"ONE\nTW")
        self.a.protocol.readConnectionLost()
        self.assertEqual((b"ONE\nTW", ["FIN"], []), (self.b.sent, self.b.calls, self.a.calls))
        self.b.protocol.dataReceived(b"LATE\n")
        self.assertEqual(b"LATE\n", self.a.sent)

    def test_last(self) -> None:
        """The end of one that is the last is the end of both, after what was kept of it."""
        self.b.protocol.dataReceived(b"BYE")
        self.b.protocol.readConnectionLost()
        self.assertEqual((b"BYE", ["close"], ["close"]), (self.a.sent, self.a.calls, self.b.calls))
        self.assertEqual((None, None), (self.a.producer, self.b.producer))
        self.a.closed()
        self.b.closed()
        self.assertEqual((1, 0), (self.done, self.pipes.users))
        self.assertNotIn("RST", self.a.calls + self.b.calls)

    def test_over(self) -> None:
        """When it has seen enough, both are closed behind what it let pass; what came after that does not."""
        self.b.room = 2
        self.a.protocol.dataReceived(b"ONE\nend\nTWO\n")
        self.assertEqual((["close"], ["close"]), (self.a.calls, self.b.calls))
        self.b.flush(100)
        self.assertEqual(b"ONE\n", self.b.sent)
        self.a.closed()
        self.assertEqual(["close"], self.b.calls)

    def test_over_at_the_end(self) -> None:
        """Also where it finds out when there is nothing more."""
        self.forth.over = True
        self.a.protocol.readConnectionLost()
        self.assertIn("close", self.a.calls)
        self.assertIn("close", self.b.calls)

    def test_hold(self) -> None:
        """A source that is held is not read, whatever its sink takes, until it is released."""
        self.joined.forth.hold()
        self.assertEqual((False, True), (self.a.reading, self.b.reading))
        self.joined.forth.resumeProducing()
        self.assertFalse(self.a.reading)
        self.joined.forth.release()
        self.assertTrue(self.a.reading)

    def test_hold_while_blocked(self) -> None:
        """Released while its sink takes nothing, it is read when that does; held, it is not even then."""
        for release in (False, True):
            self.setUp()
            self.b.room = 0
            self.a.protocol.dataReceived(b"ONE\n")
            self.joined.forth.hold()
            if release:
                self.joined.forth.release()
            self.assertFalse(self.a.reading)
            self.b.flush(100)
            self.assertEqual(release, self.a.reading)

    def test_pump(self) -> None:
        """It may say something of its own, although nothing has come; but nothing any more once its source is gone."""
        self.forth.speaks = b"OURS\n"
        self.joined.forth.pump()
        self.assertEqual(b"OURS\n", self.b.sent)
        self.a.closed(ConnectionLost())
        self.forth.over = True
        self.joined.forth.pump()
        self.assertEqual(["RST"], self.b.calls)

    def test_spliced(self) -> None:
        """What it need not see goes by the kernel, to the very byte; what comes next is given to it."""
        tail = bytes(LARGE - 100_000)
        self.from_a(b"LARGE\n" + bytes(100_000))
        self.assertIs(State.SPLICING, self.joined.forth.state)
        self.from_a(tail + b"NEXT\n" * 3)
        self.assertEqual(b"LARGE\n" + bytes(LARGE) + b"NEXT\n" * 3, self.b.sent)
        self.assertIs(State.COPYING, self.joined.forth.state)
        self.assertEqual(b"NEXT\n" * 3, self.forth.seen[-1])
        self.assertGreater(sum(one for one in self.forth.seen if isinstance(one, int)), 50_000)
        self.assertEqual(self.a.bytes_in, self.b.bytes_out)

    def test_not_spliced(self) -> None:
        """Where little is left to pass unseen, a large read is copied on."""
        self.from_a(b"X" * 60_000 + b"\n" + b"Y" * 60_000 + b"\n")
        self.assertIs(State.COPYING, self.joined.forth.state)
        self.assertEqual([], self.pipes.made)

    def blocked(self) -> None:
        """A pipe holds the rest of what may pass unseen."""
        self.b.room = 65_536
        self.from_a(b"LARGE\n" + bytes(LARGE - 1))
        self.assertIs(State.BLOCKED, self.joined.forth.state)
        self.assertIsNotNone(self.joined.forth._pipe)

    def test_late(self) -> None:
        """What it says while a pipe still holds bytes goes behind them, and before all that comes after."""
        self.b.room = 65_536
        self.from_a(b"LARGE\n" + bytes(65_530))
        self.forth.speaks = b"OURS\n"
        self.from_a(bytes(LARGE - 65_530) + b"NEXT\n")
        self.assertEqual((b"OURS\n", State.BLOCKED), (self.joined.forth._late, self.joined.forth.state))
        self.take(1000)
        self.assertEqual(LARGE + 6, len(self.b.sent) + self.joined.forth._pipe.held)
        self.take(1 << 20)
        self.assertEqual(b"LARGE\n" + bytes(LARGE) + b"OURS\nNEXT\n", self.b.sent)
        self.assertEqual((b"", State.COPYING), (self.joined.forth._late, self.joined.forth.state))

    def test_close_while_blocked(self) -> None:
        """A close waits for what a pipe holds and for what goes behind it, though the source is closed meanwhile."""
        self.blocked()
        held = self.joined.forth._pipe.held
        self.joined.forth._late = b"LATE\n"
        self.joined.close()
        self.assertEqual((["close"], ["close"]), (self.a.calls, self.b.calls))
        self.assertEqual((None, held + 5), (self.joined.forth._pipe, self.b.buffered))
        self.assertNotIn("doWrite", vars(self.b))
        self.a.closed()
        self.assertEqual(["close"], self.b.calls)
        self.b.flush(1 << 20)
        self.assertTrue(self.b.sent.endswith(bytes(held) + b"LATE\n"))
        self.b.closed()
        self.assertEqual((1, 0), (self.done, self.pipes.users))

    def test_broken_while_blocked(self) -> None:
        """If the source breaks, the pipe is closed and the sink reset, as without a tap."""
        self.blocked()
        pipe = self.joined.forth._pipe
        self.a.closed(ConnectionLost())
        self.assertEqual((True, ["RST"]), (pipe.closed, self.b.calls))

    def test_held_while_blocked(self) -> None:
        """A source that is held while a pipe holds bytes is not read when that is empty."""
        self.blocked()
        self.joined.forth.hold()
        self.a.incoming += b"..."
        self.take(1 << 20)
        self.assertEqual(
            (None, False, State.COPYING), (self.joined.forth._pipe, self.a.reading, self.joined.forth.state)
        )
        self.joined.forth.release()
        self.assertTrue(self.a.reading)


@skipUnless(splice.AVAILABLE, "needs splice")
class PipesTests(SynchronousTestCase):
    """Free pipes are shared, and are few."""

    def setUp(self) -> None:
        self.pipes = splice.Pipes()
        self.pipes.enter()
        self.addCleanup(self.pipes.leave)

    def take(self) -> splice.Pipe:
        pipe = self.pipes.take()
        assert pipe is not None
        return pipe

    def test_reuse(self) -> None:
        """An empty one is taken again."""
        pipe = self.take()
        self.assertGreaterEqual(pipe.size, splice.SIZES[-1])
        self.pipes.give(pipe)
        self.assertIs(pipe, self.take())
        self.pipes.give(pipe)

    def test_dirty(self) -> None:
        """One that holds bytes never is: they belong to somebody else."""
        pipe = self.take()
        pipe.held = 1
        self.pipes.give(pipe)
        self.assertEqual([], self.pipes.free)
        self.assertRaises(OSError, os.fstat, pipe.inlet)

    def test_bounded(self) -> None:
        """No more than a few are kept."""
        for pipe in [self.take() for _ in range(splice.KEPT + 2)]:
            self.pipes.give(pipe)
        self.assertEqual(splice.KEPT, len(self.pipes.free))

    def test_last_user(self) -> None:
        """When nobody is left to ask, none is kept."""
        self.pipes.enter()
        pipe = self.take()
        self.pipes.give(pipe)
        self.pipes.leave()
        self.assertEqual([pipe], self.pipes.free)
        self.pipes.leave()
        self.assertEqual([], self.pipes.free)
        self.assertRaises(OSError, os.fstat, pipe.outlet)
        self.pipes.enter()

    def test_empty(self) -> None:
        """What one holds can be had back, and then it holds nothing."""
        pipe = self.take()
        pipe.held = os.write(pipe.inlet, b"held" * 20_000)
        self.assertEqual((b"held" * 20_000, 0), (pipe.empty(), pipe.held))
        self.pipes.give(pipe)

    def test_none_left(self) -> None:
        """Out of descriptors: no pipe, no error."""

        def pipe2(flags: int) -> tuple[int, int]:
            raise OSError(errno.EMFILE, "too many")

        self.patch(os, "pipe2", pipe2)
        self.assertIsNone(self.pipes.take())

    def test_smaller(self) -> None:
        """A user with many pipes gets smaller ones; those of a page or two are of no use."""
        limit = 1 << 16
        real = splice.fcntl.fcntl

        def fcntl(fd: int, command: int, argument: int = 0) -> int:
            if command == splice.fcntl.F_SETPIPE_SZ and argument > limit:
                raise PermissionError(errno.EPERM, "enough")
            return real(fd, command, argument)

        self.patch(splice.fcntl, "fcntl", fcntl)
        pipe = self.take()
        self.assertEqual(1 << 16, pipe.size)
        self.pipes.give(pipe)
        self.pipes.free.pop().close()
        self.patch(splice.Pipe, "__init__", _tiny)
        self.assertIsNone(self.pipes.take())

    def test_unsupported(self) -> None:
        """What the kernel refuses as such is told from a broken connection."""
        self.assertTrue(splice.unsupported(OSError(errno.EINVAL, "no")))
        self.assertFalse(splice.unsupported(OSError(errno.ECONNRESET, "reset")))


def _tiny(pipe: splice.Pipe) -> None:
    pipe.held, pipe.size = 0, 8192
    pipe.outlet, pipe.inlet = os.pipe()
