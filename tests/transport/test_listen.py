# -*- test-case-name: tests.transport.test_listen -*-
"""
Tests for L{lproxy.transport.listen} with a scripted kernel. With a real one: L{tests.integration.test_transport}.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing.garbage import only_new, uncounted
from lproxy.transport.hub import READ
from lproxy.transport.keepalive import Keepalive
from lproxy.transport.listen import BACKLOG, BATCH, PAUSE, Bound, ConnectionLimit, Listener, bind
from lproxy.transport.socket import SocketStream
from lproxy.transport.stream import Conn
from tests.transport.sockets import ScriptedHub

OURS = ("10.0.0.2", 80)


class Accepted:
    """
    An accepted socket.

    @ivar name: what it has as its own address; C{None}: it is gone
    @ivar ended: C{""}, C{closed} or C{reset}
    """

    def __init__(self) -> None:
        self.name: Any = OURS
        self.blocking = True
        self.linger: Any = None
        self.ended = ""
        #: what the kernel says of where it was going
        self.original = b""

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        return self.original[:size]

    def fileno(self) -> int:
        return 78

    def setblocking(self, flag: bool) -> None:
        self.blocking = flag

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER)
        self.linger = value

    def getsockname(self) -> Any:
        if self.name is None:
            raise OSError(errno.ENOTCONN, "gone")
        return self.name

    def close(self) -> None:
        self.ended = "closed" if self.linger is None else "reset"


class FakeSocket:
    """
    A listening socket.

    @ivar queue: what is accepted: a connection, or an OSError
    @ivar needs: to accept fails with EMFILE while this is true
    """

    def __init__(self, address: Any = OURS, family: int = socket.AF_INET) -> None:
        self.address = address
        self.family = family
        self.type = socket.SOCK_STREAM
        self.proto = 0
        self.queue: list[Accepted | OSError] = []
        self.needs: Callable[[], bool] = lambda: False
        self.accepts = 0
        self.options: list[tuple[int, int, int]] = []
        self.closed = False
        self.backlogs: list[int] = []
        #: whether the kernel has it listen, or what it says instead
        self.listens: int | OSError = 1

    def fileno(self) -> int:
        return 77

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def listen(self, backlog: int) -> None:
        self.backlogs.append(backlog)

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)  # type: ignore[arg-type]

    def getsockopt(self, *option: int) -> int:
        assert option == (socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if isinstance(self.listens, OSError):
            raise self.listens
        return self.listens

    def getsockname(self) -> Any:
        return self.address

    def _accept(self) -> tuple[Accepted, Any]:
        assert not self.closed
        self.accepts += 1
        # as Linux does: before it looks whether there is anybody
        if self.needs():
            raise OSError(errno.EMFILE, "too many open files")
        if not self.queue:
            raise BlockingIOError(errno.EAGAIN, "nobody")
        first = self.queue.pop(0)
        if isinstance(first, OSError):
            raise first
        return first, ("10.0.0.1", 40000)

    def close(self) -> None:
        self.closed = True


class ListenerMixin(SynchronousTestCase):
    """A listener."""

    limit = 1000

    def setUp(self) -> None:
        self.hub = ScriptedHub()
        self.sock = FakeSocket()
        self.streams: list[SocketStream] = []
        self.refused: list[str] = []
        self.open = ConnectionLimit(self.limit)
        self.descriptors: set[int] = set()
        self.free = 1_000
        self.patch(os, "open", self.os_open)
        self.patch(os, "close", self.os_close)
        # what stands for a descriptor here is what stands for a socket, too
        self.patch(socket, "SocketType", lambda family, kind, proto, accepted: accepted)
        self.listen(self.sock)

    def listen(self, sock: FakeSocket, **options: Any) -> None:
        """Start a listener on C{sock}."""
        self.sock = sock
        bound = Bound(sock, sock.close)  # type: ignore[arg-type]
        self.listener = Listener(bound, self.hub, self.open, self.accepted, self.refused.append, **options)
        self.listener.start()

    def accepted(self, stream: SocketStream) -> None:
        self.streams.append(stream)

    # the reserve's descriptor

    def os_open(self, path: str, flags: int) -> int:
        assert path == os.devnull and flags & os.O_CLOEXEC
        if not self.free:
            raise OSError(errno.EMFILE, "too many open files")
        self.free -= 1
        fd = 5_000 + len(self.descriptors)
        self.descriptors.add(fd)
        return fd

    def os_close(self, fd: int | Accepted) -> None:
        if isinstance(fd, Accepted):
            fd.close()
            return
        self.descriptors.remove(fd)
        self.free += 1

    def arrive(self, n: int = 1) -> list[Accepted]:
        """So many connect."""
        peers = [Accepted() for _ in range(n)]
        self.sock.queue += peers
        return peers

    @property
    def reading(self) -> bool:
        return list(self.hub.wanted.values()) == [READ]


class AcceptTests(ListenerMixin):
    """Connections are accepted in batches."""

    def test_accept(self) -> None:
        """With the addresses of both sides, TCP_NODELAY inherited; it does not block, and nobody reads it yet."""
        (peer,) = self.arrive()
        self.listener.readable()
        (stream,) = self.streams
        self.assertEqual(Conn(("10.0.0.1", 40000), OURS), stream.conn)
        self.assertIn((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), self.sock.options)
        self.assertEqual((1, False), (self.open.open, peer.blocking))

    def test_listens(self) -> None:
        """One that is bound and does not listen yet does so from the start; one that does is left alone."""
        self.assertEqual([], self.sock.backlogs)
        sock = FakeSocket()
        sock.listens = 0
        self.listen(sock)
        self.assertEqual([BACKLOG], sock.backlogs)

    def test_batch(self) -> None:
        """So many at a time, that those which are established are served in between."""
        self.arrive(BATCH + 1)
        self.listener.readable()
        self.assertEqual(BATCH, len(self.streams))
        self.listener.readable()
        self.assertEqual(BATCH + 1, len(self.streams))

    def test_gone(self) -> None:
        """Clients that gave up while they waited are nobody's trouble."""
        self.sock.queue.append(OSError(errno.ECONNABORTED, "gone"))
        self.arrive()
        self.sock.queue.append(OSError(errno.EPROTO, "gone"))
        self.listener.readable()
        self.assertEqual((1, []), (len(self.streams), self.refused))

    def test_gone_at_once(self) -> None:
        """Nor are those that gave up a moment later, where the socket is asked for its own address, being any."""
        self.listen(FakeSocket(("0.0.0.0", 80)))
        gone, here = self.arrive(2)
        gone.name, here.name = None, ("10.0.0.3", 80)
        self.listener.readable()
        self.assertEqual(("closed", "", 1), (gone.ended, here.ended, self.open.open))
        self.assertEqual([("10.0.0.3", 80)], [stream.conn.local for stream in self.streams])

    def test_exception(self) -> None:
        """Whatever goes wrong with one connection, it alone is closed: the listener goes on."""
        bad, worse, good = self.arrive(3)
        errors: list[BaseException] = [SystemExit(1), ZeroDivisionError()]

        def crash(stream: SocketStream) -> None:
            if errors:
                raise errors.pop()
            self.streams.append(stream)

        self.listener.accepted = crash
        self.listener.readable()
        self.assertEqual(("reset", "reset", "", 1), (bad.ended, worse.ended, good.ended, self.open.open))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual(1, len(self.flushLoggedErrors(SystemExit)))

    def test_shown(self) -> None:
        """It says where it listens."""
        self.assertEqual("<Listener 10.0.0.2:80>", repr(self.listener))
        self.assertEqual(OURS, self.listener.address)

    def test_own_trouble(self) -> None:
        """A mistake of its own is logged, and it goes on."""
        self.listener.writable()
        self.listener.hung_up()
        self.listener.crashed(Failure(ZeroDivisionError()))
        self.assertEqual((1, True), (len(self.flushLoggedErrors(ZeroDivisionError)), self.reading))

    def test_redirected(self) -> None:
        """Where it was going before it was redirected here is asked of the kernel, where that is wanted."""
        self.listen(self.sock, redirected=True)
        (peer,) = self.arrive()
        peer.original = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 80, socket.inet_aton("10.9.9.9"))
        self.listener.readable()
        self.assertEqual(("10.9.9.9", 80), self.streams[0].conn.original_dst)

    def test_keepalive(self) -> None:
        """Accepted sockets inherit when their peers are asked whether they are there, if they are; that may change."""
        option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        self.listen(FakeSocket(), keepalive=Keepalive(30, 10))
        self.assertIn((*option, 1), self.sock.options)
        self.listener.keep_alive(None)
        self.assertEqual((*option, 0), self.sock.options[-1])
        self.listen(FakeSocket("/run/socket", socket.AF_UNIX), keepalive=Keepalive(30, 10))
        self.assertEqual([], self.sock.options)


class StopTests(ListenerMixin):
    """A listener that stops loses nobody."""

    def test_trouble(self) -> None:
        """Whether anybody can connect, in truth: not where the socket is closed or nobody looks at it."""
        self.assertEqual("", self.listener.trouble())
        for answer in (0, OSError(errno.EBADF, "closed")):
            self.sock.listens = answer
            self.assertEqual("its socket is closed", self.listener.trouble())
        self.sock.listens = 1
        self.hub.wanted.clear()
        self.assertEqual("it is not served any more", self.listener.trouble())

    def test_pausing(self) -> None:
        """Out of descriptors for a moment is no such trouble."""
        self.sock.needs = lambda: True
        self.arrive()
        self.listener.readable()
        self.assertFalse(self.reading)
        self.assertEqual("", self.listener.trouble())

    def test_shut_down(self) -> None:
        """A reactor that lets go of all has closed it as well."""
        self.listener.shut_down()
        self.assertEqual("its socket is closed", self.listener.trouble())

    def test_drain(self) -> None:
        """Whoever waits in the kernel's queue has been told that he is connected, and is accepted before the close."""
        self.arrive(3 * BATCH + 1)
        self.listener.stop()
        self.assertEqual(3 * BATCH + 1, len(self.streams))
        self.assertEqual((True, False), (self.sock.closed, self.reading))
        self.assertEqual(set(), self.descriptors)

    def test_give(self) -> None:
        """Where another process has the socket, those that wait are its own, and our copy of it is closed."""
        self.arrive(3)
        self.listener.give()
        self.assertEqual(([], True, False), (self.streams, self.sock.closed, self.reading))
        self.sock.closed = False
        self.listener.stop()
        self.assertFalse(self.sock.closed)

    def test_bounded(self) -> None:
        """Clients that come faster than they are accepted do not keep it open for ever."""
        self.open.limit = 2 * BACKLOG
        self.arrive(BACKLOG + BATCH)
        self.listener.stop()
        self.assertEqual((BACKLOG, True), (len(self.streams), self.sock.closed))

    def test_exhausted(self) -> None:
        """Where there are no descriptors to accept with, they are closed, and the listener is."""
        self.sock.needs = lambda: bool(self.descriptors)
        peers = self.arrive(3)
        self.listener.stop()
        self.assertEqual(["closed"] * 3, [peer.ended for peer in peers])
        self.assertEqual((set(), [], True), (self.descriptors, self.hub.getDelayedCalls(), self.sock.closed))

    def test_twice(self) -> None:
        """The second time there is nothing to accept from, and nothing to let go of."""
        self.listener.stop()
        self.sock.closed = False
        self.listener.stop()
        self.assertFalse(self.sock.closed)

    def test_never_started(self) -> None:
        """One that never listened accepts nobody."""
        fresh = FakeSocket()
        fresh.queue.append(Accepted())
        bound = Bound(fresh, fresh.close)  # type: ignore[arg-type]
        Listener(bound, self.hub, self.open, self.accepted, self.refused.append).stop()
        self.assertEqual(([], True), (self.streams, fresh.closed))

    def test_reactor_ends(self) -> None:
        """With the reactor gone, nobody would be served."""
        self.arrive()
        self.listener.shut_down()
        self.assertEqual(([], True, set()), (self.streams, self.sock.closed, self.descriptors))

    def test_no_cycle(self) -> None:
        """Nothing of one that stopped waits for the garbage collector."""
        self.enterContext(only_new())
        with uncounted() as left:
            self.listen(FakeSocket())
            self.listener.stop()
            del self.listener
        self.assertEqual([], left)


class LimitTests(ListenerMixin):
    """Over the limit, a connection is accepted and closed."""

    limit = 2

    def test_limit(self) -> None:
        """It learns at once, and is counted; as soon as one ends, another may come."""
        peers = self.arrive(3)
        self.listener.readable()
        self.assertEqual((2, ["limit"], "closed"), (len(self.streams), self.refused, peers[2].ended))
        self.streams[0].abort()
        self.assertEqual(1, self.open.open)
        self.streams[0].abort()
        self.assertEqual(1, self.open.open)
        self.arrive()
        self.listener.readable()
        self.assertEqual((3, ["limit"], 2), (len(self.streams), self.refused, self.open.open))


class ExhaustedTests(ListenerMixin):
    """Out of descriptors, a reserve is given up for a moment, to accept with and close."""

    def test_shed(self) -> None:
        """Everybody who waits is closed and counted, the reserve taken back, and nothing spins."""
        # the last descriptor there is is the reserve
        self.sock.needs = lambda: bool(self.descriptors)
        peers = self.arrive(3)
        self.listener.readable()
        self.assertEqual(["EMFILE"] * 3, self.refused)
        self.assertEqual(["closed"] * 3, [peer.ended for peer in peers])
        self.assertEqual(1, len(self.descriptors))
        self.assertTrue(self.reading)
        # two for each, and two that found nobody
        self.assertEqual(5, self.sock.accepts)

    def test_batch(self) -> None:
        """Not even then are others kept waiting for ever."""
        self.sock.needs = lambda: bool(self.descriptors)
        self.arrive(2 * BATCH)
        self.listener.readable()
        self.assertEqual(BATCH, len(self.refused))

    def test_pause(self) -> None:
        """Where not even that helps, it looks again in a moment, and recovers by itself."""
        self.sock.needs = lambda: True
        self.arrive()
        self.listener.readable()
        self.listener.readable()
        self.assertEqual(([], False, 1), (self.refused, self.reading, len(self.hub.getDelayedCalls())))
        self.sock.needs = lambda: False
        self.hub.advance(PAUSE)
        self.assertTrue(self.reading)
        self.listener.readable()
        self.assertEqual(1, len(self.streams))

    def test_reserve_lost(self) -> None:
        """A reserve that somebody else got is taken again later."""
        self.sock.needs = lambda: True
        self.free = -1  # so that giving it up frees nothing
        self.arrive()
        self.listener.readable()
        self.assertEqual(set(), self.descriptors)
        self.free = 1
        self.hub.advance(PAUSE)
        self.assertEqual(1, len(self.descriptors))

    def test_stopped_while_paused(self) -> None:
        """A pause does not outlive the listener."""
        self.sock.needs = lambda: True
        self.arrive()
        self.listener.readable()
        self.listener.stop()
        self.assertEqual(([], set()), (self.hub.getDelayedCalls(), self.descriptors))

    def test_other_shortages(self) -> None:
        """Nor does a shortage of the machine, or of memory, spin."""
        for code in (errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            (peer,) = self.arrive()
            self.sock.queue.insert(0, OSError(code, "none left"))
            self.listener.readable()
            self.assertEqual((errno.errorcode[code], "closed"), (self.refused[-1], peer.ended))


class BindTests(SynchronousTestCase):
    """Only sockets whose bytes are what they seem are listened on."""

    def test_wrapped(self) -> None:
        """An endpoint that wraps its connections is refused, by its own words, and closed."""
        reactor = MemoryReactorClock()
        failure = self.failureResultOf(bind("haproxy:tcp:8080", reactor), ValueError)
        self.assertIn("'haproxy:tcp:8080' is not an endpoint of a plain stream socket", str(failure.value))

    def test_unknown(self) -> None:
        """What is neither an address nor an endpoint is an error."""
        self.failureResultOf(bind("nonsense", MemoryReactorClock()), ValueError)
        self.failureResultOf(bind("127.0.0.1:http", MemoryReactorClock()), ValueError)
