# -*- test-case-name: tests.transport.test_listen -*-
"""
Tests for L{lproxy.transport.listen} with a scripted kernel. With a real one: L{tests.integration.test_transport}.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing.wire import Peer, ScriptedReactor
from lproxy.transport import listen as module
from lproxy.transport.listen import BATCH, PAUSE, Bound, ConnectionLimit, Listener, bind
from lproxy.transport.socket import Stream

OURS = ("10.0.0.2", 80)


class Accepted(Peer):
    """An accepted socket."""

    def getsockname(self) -> Any:
        return OURS


class FakeSocket:
    """
    A listening socket.

    @ivar queue: what C{accept} gives: a connection, or an OSError
    @ivar needs: C{accept} fails with EMFILE while this is true
    """

    family = socket.AF_INET

    def __init__(self) -> None:
        self.queue: list[Accepted | OSError] = []
        self.needs: Callable[[], bool] = lambda: False
        self.accepts = 0
        self.options: list[tuple[int, int, int]] = []
        self.closed = False

    def fileno(self) -> int:
        return 77

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)  # type: ignore[arg-type]

    def getsockname(self) -> Any:
        return OURS

    def accept(self) -> tuple[Accepted, Any]:
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
        self.reactor = ScriptedReactor()
        self.sock = FakeSocket()
        self.streams: list[Stream] = []
        self.refused: list[str] = []
        self.open = ConnectionLimit(self.limit)
        bound = Bound(self.sock, self.sock.close)  # type: ignore[arg-type]
        self.listener = Listener(bound, self.reactor, self.open, self.accepted, self.refused.append)
        self.descriptors: set[int] = set()
        self.free = 1_000
        self.patch(module.os, "open", self.os_open)
        self.patch(module.os, "close", self.os_close)
        self.listener.startListening()

    def accepted(self, stream: Stream) -> None:
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

    def os_close(self, fd: int) -> None:
        self.descriptors.remove(fd)
        self.free += 1

    def arrive(self, n: int = 1) -> list[Accepted]:
        """So many connect."""
        peers = [Accepted() for _ in range(n)]
        self.sock.queue += peers
        return peers

    @property
    def reading(self) -> bool:
        return self.listener in self.reactor._readers


class AcceptTests(ListenerMixin):
    """Connections are accepted in batches."""

    def test_accept(self) -> None:
        """With the addresses of both sides, TCP_NODELAY inherited."""
        self.arrive()
        self.listener.doRead()
        (stream,) = self.streams
        self.assertEqual((("10.0.0.1", 40000), OURS), (stream.peer_address, stream.host_address))
        self.assertEqual([(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)], self.sock.options)
        self.assertEqual(1, self.open.open)

    def test_batch(self) -> None:
        """So many at a time, that those which are established are served in between."""
        self.arrive(BATCH + 1)
        self.listener.doRead()
        self.assertEqual(BATCH, len(self.streams))
        self.listener.doRead()
        self.assertEqual(BATCH + 1, len(self.streams))

    def test_gone(self) -> None:
        """Clients that gave up while they waited are nobody's trouble."""
        self.sock.queue.append(OSError(errno.ECONNABORTED, "gone"))
        self.arrive()
        self.sock.queue.append(OSError(errno.EPROTO, "gone"))
        self.listener.doRead()
        self.assertEqual((1, []), (len(self.streams), self.refused))

    def test_gone_at_once(self) -> None:
        """Nor are those that gave up a moment later."""
        (peer,) = self.arrive()

        def getsockname() -> Any:
            raise OSError(errno.ENOTCONN, "gone")

        peer.getsockname = getsockname  # type: ignore[method-assign]
        self.listener.doRead()
        self.assertEqual(([], "closed", 0), (self.streams, peer.ended, self.open.open))

    def test_exception(self) -> None:
        """Whatever goes wrong with one connection, it alone is closed: the listener goes on."""
        bad, good = self.arrive(2)
        accepted: list[Stream] = []

        def crash(stream: Stream) -> None:
            if not accepted:
                accepted.append(stream)
                raise ZeroDivisionError
            self.streams.append(stream)

        self.listener._accepted = crash
        self.listener.doRead()
        self.reactor.advance(0)
        self.assertEqual(("reset", "", 1), (bad.ended, good.ended, self.open.open))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_shown(self) -> None:
        """It says where it listens."""
        self.assertEqual("<Listener 10.0.0.2:80>", repr(self.listener))
        self.assertEqual(IPv4Address("TCP", *OURS), self.listener.getHost())
        self.assertEqual("listen", self.listener.logPrefix())


class StopTests(ListenerMixin):
    """A listener that stops loses nobody."""

    def test_drain(self) -> None:
        """Whoever waits in the kernel's queue has been told that he is connected, and is accepted before the close."""
        self.arrive(3 * BATCH + 1)
        self.listener.stopListening()
        self.assertEqual(3 * BATCH + 1, len(self.streams))
        self.assertEqual((True, False), (self.sock.closed, self.reading))
        self.assertEqual(set(), self.descriptors)

    def test_bounded(self) -> None:
        """Clients that come faster than they are accepted do not keep it open for ever."""
        self.patch(module, "BACKLOG", 2 * BATCH)
        self.arrive(3 * BATCH)
        self.listener.stopListening()
        self.assertEqual((2 * BATCH, True), (len(self.streams), self.sock.closed))

    def test_exhausted(self) -> None:
        """Where there are no descriptors to accept with, they are closed, and the listener is."""
        self.sock.needs = lambda: bool(self.descriptors)
        peers = self.arrive(3)
        self.listener.stopListening()
        self.assertEqual(["closed"] * 3, [peer.ended for peer in peers])
        self.assertEqual((set(), [], True), (self.descriptors, self.reactor.getDelayedCalls(), self.sock.closed))

    def test_twice(self) -> None:
        """The second time there is nothing to accept from."""
        self.listener.stopListening()
        self.listener.stopListening()

    def test_never_started(self) -> None:
        """One that never listened accepts nobody."""
        fresh = FakeSocket()
        fresh.queue.append(Accepted())
        bound = Bound(fresh, fresh.close)  # type: ignore[arg-type]
        Listener(bound, self.reactor, self.open, self.accepted, self.refused.append).stopListening()
        self.assertEqual(([], True), (self.streams, fresh.closed))

    def test_reactor_ends(self) -> None:
        """With the reactor gone, nobody would be served."""
        self.arrive()
        self.listener.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(([], True), (self.streams, self.sock.closed))


class LimitTests(ListenerMixin):
    """Over the limit, a connection is accepted and closed."""

    limit = 2

    def test_limit(self) -> None:
        """It learns at once, and is counted; as soon as one ends, another may come."""
        peers = self.arrive(3)
        self.listener.doRead()
        self.assertEqual((2, ["limit"], "closed"), (len(self.streams), self.refused, peers[2].ended))
        self.streams[0].abortConnection()
        self.reactor.advance(0)
        self.assertEqual(1, self.open.open)
        self.arrive()
        self.listener.doRead()
        self.assertEqual((3, ["limit"], 2), (len(self.streams), self.refused, self.open.open))


class ExhaustedTests(ListenerMixin):
    """Out of descriptors, a reserve is given up for a moment, to accept with and close."""

    def test_shed(self) -> None:
        """Everybody who waits is closed and counted, the reserve taken back, and nothing spins."""
        # the last descriptor there is is the reserve
        self.sock.needs = lambda: bool(self.descriptors)
        peers = self.arrive(3)
        self.listener.doRead()
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
        self.listener.doRead()
        self.assertEqual(BATCH, len(self.refused))

    def test_pause(self) -> None:
        """Where not even that helps, it looks again in a moment, and recovers by itself."""
        self.sock.needs = lambda: True
        self.arrive()
        self.listener.doRead()
        self.listener.doRead()
        self.assertEqual(([], False, 1), (self.refused, self.reading, len(self.reactor.getDelayedCalls())))
        self.sock.needs = lambda: False
        self.reactor.advance(PAUSE)
        self.assertTrue(self.reading)
        self.listener.doRead()
        self.assertEqual(1, len(self.streams))

    def test_reserve_lost(self) -> None:
        """A reserve that somebody else got is taken again later."""
        self.sock.needs = lambda: True
        self.free = -1  # so that giving it up frees nothing
        self.arrive()
        self.listener.doRead()
        self.assertEqual(set(), self.descriptors)
        self.free = 1
        self.reactor.advance(PAUSE)
        self.assertEqual(1, len(self.descriptors))

    def test_stopped_while_paused(self) -> None:
        """A pause does not outlive the listener."""
        self.sock.needs = lambda: True
        self.arrive()
        self.listener.doRead()
        self.listener.stopListening()
        self.assertEqual(([], set()), (self.reactor.getDelayedCalls(), self.descriptors))

    def test_other_shortages(self) -> None:
        """Nor does a shortage of the machine, or of memory, spin."""
        for code in (errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            (peer,) = self.arrive()
            self.sock.queue.insert(0, OSError(code, "none left"))
            self.listener.doRead()
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
