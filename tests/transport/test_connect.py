# -*- test-case-name: tests.transport.test_connect -*-
"""
Tests for L{lproxy.transport.connect} with a scripted kernel. With a real one: L{tests.integration.test_transport}.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import explain
from lproxy.target import UNKNOWN, Endpoint
from lproxy.testing.garbage import only_new, uncounted
from lproxy.transport.connect import ConnectFailed, ConnectTimedOut, LoopRefused, OutOfDescriptors, SocketConnector
from lproxy.transport.hub import WRITE, Events
from lproxy.transport.keepalive import SETTLED, Keepalive
from lproxy.transport.stream import Conn, Stream
from tests.transport.sockets import ScriptedHub

UPSTREAM = Endpoint("10.0.0.9", 9000)
KEEPALIVE = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class FakeSocket:
    """
    A socket that connects as the test says.

    @ivar code: what C{connect_ex} returns
    @ivar connected: whether it has a peer
    @ivar error: what SO_ERROR says
    """

    def __init__(self, code: int) -> None:
        self.code = code
        self.connected = False
        self.error = 0
        self.closed = False
        #: whether the kernel has given it the very address that it connects to
        self.itself = False
        self.options: list[Any] = []
        self.address: Any = ("10.0.0.2", 50000)
        self.to: Any = None

    def setsockopt(self, *option: Any) -> None:
        self.options.append(option)

    def getsockopt(self, level: int, option: int) -> int:
        assert option == socket.SO_ERROR
        error, self.error = self.error, 0
        return error

    def connect_ex(self, address: Any) -> int:
        self.to = address
        return self.code

    def getpeername(self) -> Any:
        if not self.connected:
            raise OSError(errno.ENOTCONN, "not connected")
        return self.to

    def getsockname(self) -> Any:
        return self.to if self.itself else self.address

    def setblocking(self, flag: bool) -> None:
        pass

    def fileno(self) -> int:
        return -1 if self.closed else 77

    def close(self) -> None:
        self.closed = True


class ConnectorTests(SynchronousTestCase):
    """One attempt, bounded in time, that leaves nothing behind."""

    def setUp(self) -> None:
        self.hub = ScriptedHub()
        self.connector = SocketConnector(self.hub, 1.0)
        self.code = errno.EINPROGRESS
        self.connected = False
        self.itself = False
        self.sockets: list[FakeSocket] = []
        self.patch(socket, "SocketType", self.make)

    def make(self, family: int, kind: int) -> FakeSocket:
        self.assertTrue(kind & socket.SOCK_NONBLOCK)
        self.family = family
        sock = FakeSocket(self.code)
        sock.connected = self.connected
        sock.itself = self.itself
        self.sockets.append(sock)
        return sock

    @property
    def sock(self) -> FakeSocket:
        return self.sockets[-1]

    def connect(self) -> Deferred[Stream]:
        return self.connector.connect(UPSTREAM, UNKNOWN)

    def ready(self) -> None:
        """The kernel has an answer."""
        self.events.writable()

    @property
    def events(self) -> Events:
        """Who waits for the kernel's answer."""
        ((descriptor, interest),) = self.hub.wanted.items()
        assert descriptor.events is not None and interest == WRITE
        return descriptor.events

    def assert_clean(self, closed: bool = True) -> None:
        """No timer, nobody waiting, and the socket closed where it should be."""
        self.assertEqual(([], {}), (self.hub.getDelayedCalls(), self.hub.wanted))
        self.assertEqual(closed, self.sock.closed)

    def test_later(self) -> None:
        """Connected once the kernel says so, with both addresses, and nothing read yet."""
        d = self.connect()
        self.assertNoResult(d)
        self.sock.connected = True
        self.ready()
        stream = self.successResultOf(d)
        self.assertEqual(Conn(("10.0.0.9", 9000), ("10.0.0.2", 50000)), stream.conn)
        self.assertEqual((socket.AF_INET, ("10.0.0.9", 9000)), (self.family, self.sock.to))
        self.assertEqual([(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)], self.sock.options)
        self.assert_clean(closed=False)

    def test_try(self) -> None:
        """What stands at once is had at once, without a Deferred."""
        self.connected = True
        stream = self.connector.try_connect(UPSTREAM, UNKNOWN)
        assert stream is not None
        self.assertEqual((("10.0.0.9", 9000), False), (stream.conn.peer, self.sock.closed))

    def test_try_in_vain(self) -> None:
        """What is only on its way, is refused, or is we ourselves, is nobody's: no socket and no timer stay behind."""
        self.assertIsNone(self.connector.try_connect(UPSTREAM, UNKNOWN))
        self.code = errno.ECONNREFUSED
        self.assertIsNone(self.connector.try_connect(UPSTREAM, UNKNOWN))
        self.connected, self.code = True, errno.EINPROGRESS
        self.connector.is_own = lambda host, port: True
        self.assertIsNone(self.connector.try_connect(UPSTREAM, UNKNOWN))
        self.assertEqual([True, True], [sock.closed for sock in self.sockets])
        self.assertEqual(({}, []), (self.hub.wanted, self.hub.getDelayedCalls()))

    def test_try_itself(self) -> None:
        """One that is connected to itself is closed."""
        self.connected = True
        self.itself = True
        self.assertIsNone(self.connector.try_connect(UPSTREAM, UNKNOWN))
        self.assertTrue(self.sock.closed)

    def test_at_once(self) -> None:
        """A peer next door is connected without a timer or a turn, whatever the kernel calls it."""
        self.connected = True
        for self.code in (0, errno.EINPROGRESS):
            self.assertEqual(UPSTREAM.host, self.successResultOf(self.connect()).conn.peer[0])
            self.assert_clean(closed=False)

    def test_refused(self) -> None:
        """Refused, at once or later."""
        self.code = errno.ECONNREFUSED
        error = self.failureResultOf(self.connect(), ConnectFailed).value
        self.assertEqual("connect: 10.0.0.9:9000 refused: [Errno 111] Connection refused", explain(error))
        self.assert_clean()
        self.code = errno.EINPROGRESS
        d = self.connect()
        self.sock.error = errno.EHOSTUNREACH
        self.ready()
        error = self.failureResultOf(d, ConnectFailed).value
        self.assertEqual(("EHOSTUNREACH", UPSTREAM), (error.errno, error.target))
        self.assertIn("10.0.0.9:9000 EHOSTUNREACH: ", explain(error))
        self.assert_clean()

    def test_timed_out(self) -> None:
        """At its deadline, and not before."""
        d = self.connect()
        self.hub.advance(0.99)
        self.assertNoResult(d)
        self.hub.advance(0.01)
        error = self.failureResultOf(d, ConnectTimedOut).value
        self.assertEqual("connect: 10.0.0.9:9000 did not answer within 1 s", explain(error))
        self.assert_clean()

    def test_cancelled(self) -> None:
        """Cancelling closes the socket."""
        d = self.connect()
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assert_clean()

    def test_spurious(self) -> None:
        """
        An event for whoever had the descriptor's number before is no connection: who believes it would write into
        nothing, and tell a refusal for a reset.
        """
        d = self.connect()
        self.ready()
        self.assertNoResult(d)
        self.sock.error = errno.ECONNREFUSED
        self.ready()
        self.assertEqual("ECONNREFUSED", self.failureResultOf(d, ConnectFailed).value.errno)
        self.assert_clean()

    def test_itself(self) -> None:
        """
        A connection that was given the very port it goes to has met itself: nobody listens there.
        """
        self.connected = True
        self.itself = True
        self.assertEqual("ECONNREFUSED", self.failureResultOf(self.connect(), ConnectFailed).value.errno)
        self.assert_clean()
        self.connected = False
        d = self.connect()
        self.sock.connected = True
        self.ready()
        self.failureResultOf(d, ConnectFailed)
        self.assert_clean()

    def test_loop(self) -> None:
        """An address of our own is refused before there is a socket."""
        self.connector.is_own = lambda host, port: (host, port) == ("10.0.0.9", 9000)
        error = self.failureResultOf(self.connect(), LoopRefused).value
        self.assertEqual("connect: 10.0.0.9:9000 is this proxy itself: refused to loop", explain(error))
        self.assertEqual([], self.sockets)

    def test_loop_unknown(self) -> None:
        """Where that cannot be told, for want of descriptors, there is no connection either, and no exception."""

        def is_own(host: str, port: int) -> bool:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.connector.is_own = is_own
        self.assertEqual("EMFILE", self.failureResultOf(self.connect(), OutOfDescriptors).value.errno)

    def test_no_descriptors(self) -> None:
        """Out of descriptors: a failure, no exception, and none of the endpoint's."""

        def make(family: int, kind: int) -> Any:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(socket, "SocketType", make)
        self.assertEqual("EMFILE", self.failureResultOf(self.connect(), OutOfDescriptors).value.errno)

    def test_ipv6(self) -> None:
        """An IPv6 address wants its own kind of socket."""
        d = self.connector.connect(Endpoint("::1", 9000), UNKNOWN)
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual(socket.AF_INET6, self.family)

    def test_reactor_ends(self) -> None:
        """A reactor that goes down fails what was under way."""
        d = self.connect()
        self.events.shut_down()
        self.assertIn("shutting down", explain(self.failureResultOf(d, ConnectFailed).value))
        self.assert_clean()

    def test_found_broken(self) -> None:
        """A reactor that finds out by itself that it failed changes nothing; nor does one that is wrong about that."""
        d = self.connect()
        self.events.readable()
        self.events.hung_up()
        self.assertNoResult(d)
        self.sock.error = errno.ECONNREFUSED
        self.events.hung_up()
        self.assertEqual("ECONNREFUSED", self.failureResultOf(d, ConnectFailed).value.errno)
        self.assert_clean()

    def test_crashed(self) -> None:
        """A mistake in here is told to who waits."""
        d = self.connect()
        self.events.crashed(Failure(ZeroDivisionError()))
        self.failureResultOf(d, ZeroDivisionError)
        self.assert_clean()

    def test_keepalive(self) -> None:
        """Upstreams are asked whether they are there, where that is wanted."""
        self.connector = SocketConnector(self.hub, 1.0, keepalive=Keepalive(30, 10))
        self.connected = True
        self.successResultOf(self.connect())
        self.hub.advance(SETTLED)
        self.assertIn(KEEPALIVE, self.sock.options)
        self.assert_clean(closed=False)

    def test_keepalive_later(self) -> None:
        """One that was waited for, and one whose proxy is closed before it has been open for long, are asked, too."""
        self.connector = SocketConnector(self.hub, 1.0, keepalive=Keepalive(30, 10))
        d = self.connect()
        self.sock.connected = True
        self.ready()
        self.successResultOf(d)
        self.connector.close()
        self.assertIn(KEEPALIVE, self.sock.options)
        self.assert_clean(closed=False)

    def test_no_cycles(self) -> None:
        """However an attempt ends, nothing of it waits for the garbage collector."""
        self.enterContext(only_new())

        def connected(d: Deferred[Stream]) -> None:
            self.sock.connected = True
            self.ready()
            self.successResultOf(d).abort()

        def refused(d: Deferred[Stream]) -> None:
            self.sock.error = errno.ECONNREFUSED
            self.ready()
            d.addErrback(lambda failure: None)

        def cancelled(d: Deferred[Stream]) -> None:
            d.addErrback(lambda failure: None).cancel()

        def timed_out(d: Deferred[Stream]) -> None:
            d.addErrback(lambda failure: None)
            self.hub.advance(1)

        for end in (connected, refused, cancelled, timed_out):
            with uncounted() as left:
                end(self.connect())
                self.sockets.clear()
            self.assertEqual([], left, end.__name__)
