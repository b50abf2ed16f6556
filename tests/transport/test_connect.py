# -*- test-case-name: tests.transport.test_connect -*-
"""
Tests for L{lproxy.transport.connect} with a scripted kernel. With a real one: L{tests.integration.test_transport}.
"""

from __future__ import annotations

import errno
import os
import socket
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import explain
from lproxy.target import Endpoint
from lproxy.testing.wire import ScriptedReactor
from lproxy.transport import connect as module
from lproxy.transport.connect import ConnectFailed, Connector, ConnectTimedOut, LoopRefused
from lproxy.transport.socket import Stream

UPSTREAM = Endpoint("10.0.0.9", 9000)


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
        return self.address

    def setblocking(self, flag: bool) -> None:
        pass

    def fileno(self) -> int:
        return -1 if self.closed else 77

    recv = send = None

    def close(self) -> None:
        self.closed = True


class ConnectorTests(SynchronousTestCase):
    """One attempt, bounded in time, that leaves nothing behind."""

    def setUp(self) -> None:
        self.reactor = ScriptedReactor()
        self.connector = Connector(self.reactor, 1.0)
        self.code = errno.EINPROGRESS
        self.connected = False
        self.sockets: list[FakeSocket] = []
        names = {name: getattr(socket, name) for name in dir(socket) if name.isupper()}
        self.patch(module, "socket", SimpleNamespace(**names, socket=self.make))

    def make(self, family: int, kind: int) -> FakeSocket:
        self.assertTrue(kind & socket.SOCK_NONBLOCK)
        self.family = family
        sock = FakeSocket(self.code)
        sock.connected = self.connected
        self.sockets.append(sock)
        return sock

    @property
    def sock(self) -> FakeSocket:
        return self.sockets[-1]

    def connect(self) -> Deferred[Stream]:
        return self.connector.connect(UPSTREAM)

    def ready(self) -> None:
        """The kernel has an answer."""
        (attempt,) = self.reactor._writers
        attempt.doWrite()

    def assert_clean(self, closed: bool = True) -> None:
        """No timer, nobody waiting, and the socket closed where it should be."""
        self.assertEqual(([], {}), (self.reactor.getDelayedCalls(), self.reactor._writers))
        self.assertEqual(closed, self.sock.closed)

    def test_later(self) -> None:
        """Connected once the kernel says so, with both addresses, and nothing read yet."""
        d = self.connect()
        self.assertNoResult(d)
        self.sock.connected = True
        self.ready()
        stream = self.successResultOf(d)
        self.assertEqual((("10.0.0.9", 9000), ("10.0.0.2", 50000)), (stream.peer_address, stream.host_address))
        self.assertEqual((socket.AF_INET, ("10.0.0.9", 9000)), (self.family, self.sock.to))
        self.assertEqual([(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)], self.sock.options)
        self.assertEqual({}, self.reactor._readers)
        self.assert_clean(closed=False)

    def test_try(self) -> None:
        """What stands at once is had at once, without a Deferred."""
        self.connected = True
        stream = self.connector.try_connect(UPSTREAM)
        assert stream is not None
        self.assertEqual((("10.0.0.9", 9000), False), (stream.peer_address, self.sock.closed))

    def test_try_in_vain(self) -> None:
        """What is only on its way, is refused, or is we ourselves, is nobody's: no socket and no timer stay behind."""
        self.assertIsNone(self.connector.try_connect(UPSTREAM))
        self.code = errno.ECONNREFUSED
        self.assertIsNone(self.connector.try_connect(UPSTREAM))
        self.connected, self.code = True, errno.EINPROGRESS
        self.connector.is_own = lambda host, port: True
        self.assertIsNone(self.connector.try_connect(UPSTREAM))
        self.assertEqual([True, True], [sock.closed for sock in self.sockets])
        self.assertEqual(([], []), (list(self.reactor._writers), self.reactor.getDelayedCalls()))

    def test_try_itself(self) -> None:
        """One that is connected to itself is closed."""
        self.connected = True
        self.patch(FakeSocket, "getsockname", lambda sock: ("10.0.0.9", 9000))
        self.assertIsNone(self.connector.try_connect(UPSTREAM))
        self.assertTrue(self.sock.closed)

    def test_at_once(self) -> None:
        """A peer next door is connected without a timer or a turn, whatever the kernel calls it."""
        self.connected = True
        for self.code in (0, errno.EINPROGRESS):
            self.assertIsInstance(self.successResultOf(self.connect()), Stream)
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
        self.reactor.advance(0.99)
        self.assertNoResult(d)
        self.reactor.advance(0.01)
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
        self.patch(FakeSocket, "getsockname", lambda sock: sock.to)
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
        self.assertEqual("EMFILE", self.failureResultOf(self.connect(), ConnectFailed).value.errno)

    def test_no_descriptors(self) -> None:
        """Out of descriptors: a failure, no exception."""

        def make(family: int, kind: int) -> Any:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        module.socket.socket = make  # type: ignore[misc, assignment]
        self.assertEqual("EMFILE", self.failureResultOf(self.connect(), ConnectFailed).value.errno)

    def test_ipv6(self) -> None:
        """An IPv6 address wants its own kind of socket."""
        d = self.connector.connect(Endpoint("::1", 9000))
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual(socket.AF_INET6, self.family)

    def test_reactor_ends(self) -> None:
        """A reactor that goes down fails what was under way."""
        d = self.connect()
        (attempt,) = self.reactor._writers
        self.assertEqual("connect", attempt.logPrefix())
        attempt.connectionLost(Failure(ConnectionLost()))
        self.assertIn("shutting down", explain(self.failureResultOf(d, ConnectFailed).value))
        self.assert_clean()
