# -*- test-case-name: tests.transport.test_relay -*-
"""
Tests for L{lproxy.transport.relay} and L{lproxy.transport.splice} without sockets.

With sockets: L{tests.integration.test_relay}.
"""

from __future__ import annotations

import errno
import os
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
        self.assertEqual((["FIN", "close"], ["FIN", "close"]), (self.a.calls, self.b.calls))
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
