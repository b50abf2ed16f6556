# -*- test-case-name: tests.integration.test_relay -*-
"""
L{lproxy.transport.relay} between real TCP connections, copying and splicing.
"""

from __future__ import annotations

import errno
import gc
import os
import random
import socket
from collections.abc import Callable
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lproxy.transport import pipe
from lproxy.transport.hub import READ, Hub, hub
from lproxy.transport.relay import BLOCKED, COPYING, SPLICING, Relay
from lproxy.transport.socket import SocketStream
from lproxy.transport.splice import NEVER
from lproxy.transport.stream import Conn

MIB = 1 << 20
#: bytes of a direction that the process may hold
BUFFER = 65536
#: a few KiB would be less than a segment of the loopback device, for which TCP waits 200 ms each time
KERNEL_BUFFER = 32768


class Wakes:
    """
    A reactor that knows how often it woke a hub.

    @ivar wakes: how often
    """

    def __init__(self) -> None:
        self.wakes = 0
        self._serve: Callable[[], None] | None = None
        self.seconds = reactor.seconds  # type: ignore[attr-defined]
        self.callLater = reactor.callLater  # type: ignore[attr-defined]
        self.removeReader = reactor.removeReader  # type: ignore[attr-defined]

    def addReader(self, door: Any) -> None:
        if self._serve is None:
            self._serve, door.doRead = door.doRead, self._woken
        reactor.addReader(door)  # type: ignore[attr-defined]

    def _woken(self) -> None:
        assert self._serve is not None
        self.wakes += 1
        self._serve()


class Peer:
    """The far end of a relayed connection."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self.heard = bytearray()
        self.eof = False
        self.lost = False
        stream.attach(self)
        stream.resume()

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def eof_received(self) -> None:
        self.eof = True

    def connection_lost(self) -> None:
        self.lost = True

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


def stream(sock: socket.socket, served: Hub, released: Callable[[], None] | None = None) -> SocketStream:
    """A stream on C{sock}."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return SocketStream(sock, served, Conn(sock.getpeername(), sock.getsockname()), released)


def connection(kernel_buffer: int = 0) -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if kernel_buffer:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                server.setsockopt(socket.SOL_SOCKET, option, kernel_buffer)
        there = socket.create_connection(server.getsockname())
        here, _ = server.accept()
    if kernel_buffer:
        there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kernel_buffer)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_buffer)
    return here, there


def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


class RelayMixin:
    """
    What holds for both ways of moving bytes.

    C{a} and C{b} are joined, C{client} and C{server} talk through them.
    """

    splice_from: int
    timeout = 15

    async def setUp(self) -> None:
        gc.collect()
        self.streams: list[SocketStream] = []
        # a reactor that runs has more
        await deferLater(reactor, 0)
        self.before = descriptors()
        self.reactor = Wakes()
        self.hub: Any = hub(self.reactor)
        self.outside: Any = hub(reactor)
        self.done = 0
        self.closed = 0
        self.pipes = pipe.Pipes()
        self.relays: list[Relay] = []

    async def tearDown(self) -> None:
        for joined in self.relays:
            joined.abort()
        for each in self.streams:
            each.abort()
        self.assertEqual(len(self.relays), self.done)
        # once each, whatever happened
        self.assertEqual(len(self.streams) // 2, self.closed)
        self.assertEqual((0, 0), (len(self.hub), len(self.outside)))
        self.assertEqual([0, []], [self.pipes.users, self.pipes.free])
        for served in (self.hub, self.outside):
            served.close()
        # another test's process or thread may hold one for a moment; what leaks does so again and again
        self.assertLessEqual(descriptors(), self.before + 3)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for C{condition}; trial's timeout is its bound."""
        while not condition():
            await deferLater(reactor, 0.0005)

    def pair(self, kernel_buffer: int = 0) -> tuple[SocketStream, SocketStream]:
        def released() -> None:
            self.closed += 1

        here, there = connection(kernel_buffer)
        self.streams += [stream(here, self.hub, released), stream(there, self.outside)]
        return self.streams[-2], self.streams[-1]

    def connect(self, kernel_buffer: int = 0) -> None:
        self.a, client = self.pair(kernel_buffer)
        self.b, server = self.pair(kernel_buffer)
        self.client, self.server = Peer(client), Peer(server)

    def join(self) -> Relay:
        def done() -> None:
            self.assertTrue(self.a.closed and (self.b.closed or not joined.joined))
            self.done += 1

        joined = Relay(self.a, done, BUFFER, self.splice_from, self.pipes)
        self.relays.append(joined)
        joined.start()
        joined.join(self.b)
        return joined

    async def warm(self, joined: Relay) -> None:
        """Have two bytes go each way, after which a direction moves bytes as it will."""
        for _ in range(2):
            self.client.stream.write(b"!")
            self.server.stream.write(b"!")
            await self.until(lambda: bool(self.client.heard and self.server.heard))
            self.client.heard.clear()
            self.server.heard.clear()
        flow = COPYING if self.splice_from == NEVER else SPLICING
        self.assertEqual([flow, flow], [joined.to_upstream.flow, joined.to_client.flow])

    async def block(self, joined: Relay) -> bytes:
        """Have the server not listen, until the client's bytes fill everything."""
        self.server.stream.pause()
        sent = random.randbytes(8 * MIB)
        self.client.stream.write(sent)
        await self.until(lambda: joined.to_upstream.flow is BLOCKED)
        # until it is really full: the kernel may yet make room, now and then
        still = 0
        while still < 5:
            last = self.a.bytes_in
            await deferLater(reactor, 0.02)
            still = still + 1 if joined.to_upstream.flow is BLOCKED and last == self.a.bytes_in else 0
        return sent

    # bytes

    async def test_exact(self) -> None:
        """16 MiB each way at once arrive as they were sent, and are counted."""
        self.connect()
        self.join()
        there, back = random.randbytes(16 * MIB), random.randbytes(16 * MIB)
        self.client.stream.write(there)
        self.server.stream.write(back)
        self.client.stream.end()
        self.server.stream.end()
        await self.until(lambda: self.done == 1)
        await self.until(lambda: self.client.eof and self.server.eof)
        self.assertTrue(there == self.server.heard)
        self.assertTrue(back == self.client.heard)
        for stream in (self.a, self.b):
            self.assertEqual((16 * MIB, 16 * MIB, ""), (stream.bytes_in, stream.bytes_out, stream.errno))

    async def test_small_kernel_buffers(self) -> None:
        """Sinks that take little at a time get everything in order."""
        self.connect(kernel_buffer=KERNEL_BUFFER)
        self.join()
        there, back = random.randbytes(MIB + 7), random.randbytes(MIB + 11)
        self.client.stream.write(there)
        self.server.stream.write(back)
        self.client.stream.end()
        await self.until(lambda: self.server.eof and len(self.client.heard) == len(back))
        self.assertTrue(there == self.server.heard)
        self.assertTrue(back == self.client.heard)

    async def test_dialogue(self) -> None:
        """Messages of all sizes back and forth, whatever changes of state that brings."""
        self.connect()
        self.join()
        for size in (1, 100_000, 3, 40_000, 70_000, 5, 300_000, 1):
            message = random.randbytes(size)
            for one, other in ((self.client, self.server), (self.server, self.client)):
                one.stream.write(message)
                await self.until(lambda other=other, size=size: len(other.heard) == size)
                self.assertTrue(message == other.heard)
                other.heard.clear()

    async def test_prefix(self) -> None:
        """What was written to a connection before is sent before, though its kernel did not take it at once."""
        self.connect(kernel_buffer=KERNEL_BUFFER)
        prefix, rest = random.randbytes(MIB), random.randbytes(MIB)
        self.client.stream.write(rest)
        self.b.write(prefix)
        self.assertGreater(self.b.buffered, 0)
        joined = self.join()
        self.assertIs(BLOCKED, joined.to_upstream.flow)
        await self.until(lambda: len(self.server.heard) == 2 * MIB)
        self.assertTrue(prefix + rest == self.server.heard)
        self.assertEqual(2 * MIB, self.b.bytes_out)

    async def test_joined_late(self) -> None:
        """What the client says before there is an upstream is kept so far and no further, and arrives."""
        self.connect(kernel_buffer=KERNEL_BUFFER)
        joined = Relay(self.a, self._done, BUFFER, self.splice_from, self.pipes)
        self.relays.append(joined)
        joined.start()
        data = random.randbytes(MIB)
        self.client.stream.write(data)
        self.client.stream.end()
        await self.until(lambda: len(joined.to_upstream.kept) >= BUFFER)
        self.assertLess(len(joined.to_upstream.kept), 2 * BUFFER)
        joined.join(self.b)
        await self.until(lambda: self.server.eof)
        self.assertTrue(data == self.server.heard)

    async def test_client_gone_before(self) -> None:
        """A client that breaks before there is an upstream is noticed, read or not."""
        for number, size in enumerate((10, MIB), 1):
            self.connect(kernel_buffer=KERNEL_BUFFER)
            joined = Relay(self.a, self._done, BUFFER, self.splice_from, self.pipes)
            self.relays.append(joined)
            joined.start()
            self.client.stream.write(bytes(size))
            await self.until(lambda joined=joined, size=size: len(joined.to_upstream.kept) >= min(size, BUFFER))
            self.client.stream.abort()
            await self.until(lambda number=number: self.done == number)
            joined.join(self.b)
            self.assertTrue(self.b.closed)
            await self.until(lambda: self.server.lost)

    def _done(self) -> None:
        self.done += 1

    # ends

    async def test_half_close(self) -> None:
        """Each side can end first, and is told everything that the other says after it."""
        for first in (0, 1):
            self.connect()
            joined = self.join()
            await self.warm(joined)
            one, other = ((self.client, self.server), (self.server, self.client))[first]
            one.stream.write(b"question")
            one.stream.end()
            await self.until(lambda other=other: other.eof)
            self.assertEqual(b"question", other.heard)
            self.assertIn("ended", repr(joined))
            answer = random.randbytes(MIB)
            other.stream.write(answer)
            await self.until(lambda one=one: len(one.heard) == MIB)
            self.assertTrue(answer == one.heard)
            self.assertFalse(one.eof)
            other.stream.end()
            await self.until(lambda first=first: self.done == first + 1)
            await self.until(lambda one=one: one.eof)
            self.assertEqual(("", ""), (self.a.errno, self.b.errno))

    async def test_end_before(self) -> None:
        """An end of file that somebody else has read already is found again."""
        for who in (0, 1):
            self.connect()
            one, other = ((self.client, self.server), (self.server, self.client))[who]
            before = Peer((self.a, self.b)[who])
            one.stream.end()
            await self.until(lambda before=before: before.eof)
            self.join()
            await self.until(lambda other=other: other.eof)
            other.stream.write(b"answer")
            await self.until(lambda one=one: one.heard == b"answer")
            other.stream.end()
            await self.until(lambda who=who: self.done == who + 1)

    async def test_end_of_blocked(self) -> None:
        """An end of file behind bytes that nobody takes waits for them."""
        self.connect(kernel_buffer=KERNEL_BUFFER)
        joined = self.join()
        await self.warm(joined)
        sent = await self.block(joined)
        self.client.stream.end()
        self.server.stream.resume()
        await self.until(lambda: self.server.eof)
        self.assertTrue(sent == self.server.heard)

    async def test_reset(self) -> None:
        """A reset is passed on as one, and the two are told apart."""
        for who in (0, 1):
            self.connect()
            joined = self.join()
            await self.warm(joined)
            one, other = ((self.client, self.server), (self.server, self.client))[who]
            broken, aborted = ((self.a, self.b), (self.b, self.a))[who]
            other.stream.write(random.randbytes(MIB))
            await self.until(lambda one=one: bool(one.heard))
            one.stream.abort()
            await self.until(lambda who=who: self.done == who + 1)
            await self.until(lambda other=other: other.lost)
            self.assertEqual("ECONNRESET", other.stream.errno)
            self.assertIn(broken.errno, ("ECONNRESET", "EPIPE"))
            self.assertEqual("ECONNABORTED", aborted.errno)

    async def test_reset_while_blocked(self) -> None:
        """A reset is noticed on either side of a direction that moves nothing."""
        for who in (0, 1):
            self.connect(kernel_buffer=KERNEL_BUFFER)
            joined = self.join()
            await self.warm(joined)
            await self.block(joined)
            one, other = ((self.client, self.server), (self.server, self.client))[who]
            one.stream.abort()
            await self.until(lambda who=who: self.done == who + 1)
            other.stream.resume()
            await self.until(lambda other=other: other.lost)
            self.assertEqual("ECONNRESET", other.stream.errno)
            self.assertEqual("ECONNRESET", (self.a, self.b)[who].errno)

    async def test_reset_after_end(self) -> None:
        """A side that has said all, and then breaks, is noticed though it is not read any more."""
        self.connect()
        joined = self.join()
        await self.warm(joined)
        self.client.stream.end()
        await self.until(lambda: self.server.eof)
        self.client.stream.abort()
        await self.until(lambda: self.done == 1)
        await self.until(lambda: self.server.lost)
        # so the kernel calls a reset after an end of file
        self.assertEqual("EPIPE", self.a.errno)
        self.assertEqual("EPIPE", self.server.stream.errno)

    async def test_abort(self) -> None:
        """Aborting ends it in each state: fresh, moving, half-closed, blocked, and once it has ended."""
        for number, state in enumerate(("fresh", "warm", "half", "blocked", "ended"), 1):
            self.connect(kernel_buffer=KERNEL_BUFFER)
            joined = self.join()
            if state != "fresh":
                await self.warm(joined)
            if state in ("half", "ended"):
                self.server.stream.end()
                await self.until(lambda: self.client.eof)
            if state == "ended":
                self.client.stream.end()
                await self.until(lambda number=number: self.done == number)
            if state == "blocked":
                await self.block(joined)
            joined.abort()
            joined.abort()
            await self.until(lambda number=number: self.done == number)
            self.assertTrue(repr(joined))

    async def test_abort_stream(self) -> None:
        """Whoever aborts one of the connections, as at the end of draining, ends the other, too."""
        for number, which in enumerate(("a", "b"), 1):
            self.connect(kernel_buffer=KERNEL_BUFFER)
            joined = self.join()
            await self.warm(joined)
            await self.block(joined)
            (self.a if which == "a" else self.b).abort()
            await self.until(lambda number=number: self.done == number)

    async def test_closed_before(self) -> None:
        """A connection that ended before it was joined ends the other."""
        for number, which in enumerate(("a", "b"), 1):
            self.connect()
            (self.a if which == "a" else self.b).abort()
            self.join()
            await self.until(lambda number=number: self.done == number)

    # cost

    async def test_blocked_is_bounded_and_idle(self) -> None:
        """A side that does not read has the other wait, holds little memory, and wakes nobody."""
        self.connect(kernel_buffer=KERNEL_BUFFER)
        joined = self.join()
        await self.warm(joined)
        sent = await self.block(joined)
        self.assertLessEqual(self.b.buffered, BUFFER)
        # a pipe may hold as much
        self.assertLessEqual(self.a.bytes_in - self.b.bytes_out, pipe.SIZES[0])
        self.assertGreater(self.client.stream.buffered, 0)
        self.assertFalse(self.a._descriptor.interest & READ)
        wakes = self.reactor.wakes
        # the sender ends, too: the state in which an endless hang-up would spin
        self.client.stream.end()
        await deferLater(reactor, 0.2)
        # the kernel's last buffers may yet move; a spin would be thousands
        self.assertLessEqual(self.reactor.wakes - wakes, 20)
        # the other direction is not concerned
        self.server.stream.write(b"hello")
        await self.until(lambda: self.client.heard == b"hello")
        self.server.stream.resume()
        await self.until(lambda: self.server.eof)
        self.assertTrue(sent == self.server.heard)

    async def test_hang_up_does_not_spin(self) -> None:
        """A paused connection of which both sides said their end is a hang-up for ever, and wakes nobody."""
        self.connect(kernel_buffer=KERNEL_BUFFER)
        joined = self.join()
        await self.warm(joined)
        self.server.stream.end()
        await self.until(lambda: self.client.eof)
        sent = await self.block(joined)
        self.client.stream.end()
        await deferLater(reactor, 0.05)
        wakes = self.reactor.wakes
        await deferLater(reactor, 0.2)
        self.assertLessEqual(self.reactor.wakes - wakes, 20)
        self.server.stream.resume()
        await self.until(lambda: self.done == 1)
        await self.until(lambda: self.server.eof)
        self.assertTrue(sent == self.server.heard)

    async def test_many(self) -> None:
        """A thousand connections, ended in three ways, leave nothing."""
        message = bytes(range(256)) * 20
        for number in range(1, 1001):
            self.connect()
            joined = self.join()
            self.client.stream.write(message)
            if number % 3 == 0:
                await self.until(lambda: self.server.heard == message)
                self.client.stream.abort()
            elif number % 3 == 1:
                joined.abort()
            else:
                self.client.stream.end()
                self.server.stream.end()
            await self.until(lambda number=number: self.done == number)
            self.client.stream.abort()
            self.server.stream.abort()


@skipUnless(os.path.isdir("/proc/self/fd"), "counts descriptors by /proc")
class CopyTests(RelayMixin, TestCase):
    """Bytes are copied through the process."""

    splice_from = NEVER


@skipUnless(pipe.AVAILABLE, "needs splice")
class SpliceTests(RelayMixin, TestCase):
    """Bytes are moved by the kernel."""

    splice_from = 1

    async def test_pipes_shared(self) -> None:
        """A direction that is not blocked holds no pipe."""
        self.connect()
        joined = self.join()
        await self.warm(joined)
        self.assertEqual([SPLICING] * 2, [joined.to_upstream.flow, joined.to_client.flow])
        self.assertEqual(1, len(self.pipes.free))

    async def test_no_pipe(self) -> None:
        """Out of descriptors, bytes are copied until there are some again."""
        self.connect()
        joined = self.join()
        await self.warm(joined)
        self.pipes.free.pop().close()

        def pipe2(flags: int) -> tuple[int, int]:
            raise OSError(errno.EMFILE, "too many")

        patch = self.patch(os, "pipe2", pipe2)
        sent = random.randbytes(MIB)
        self.client.stream.write(sent)
        await self.until(lambda: len(self.server.heard) == MIB)
        patch.restore()
        self.client.stream.write(sent)
        await self.until(lambda: len(self.server.heard) == 2 * MIB)
        self.assertTrue(sent + sent == self.server.heard)
        self.assertEqual(1, len(self.pipes.free))

    async def test_kernel_refuses(self) -> None:
        """A kernel that does not splice this kind of socket is asked once."""
        self.connect()
        joined = self.join()
        asked = []

        def refuse(*args: Any) -> int:
            asked.append(args)
            raise OSError(errno.EINVAL, "no")

        self.patch(os, "splice", refuse)
        for _ in range(3):
            self.client.stream.write(b"x" * 70000)
            await self.until(lambda: len(self.server.heard) == 70000)
            self.server.heard.clear()
        self.assertEqual(1, len(asked))
        self.assertIs(COPYING, joined.to_upstream.flow)


@skipUnless(pipe.AVAILABLE, "needs splice")
class AdaptiveTests(RelayMixin, TestCase):
    """Bytes are moved in whichever way suits what comes."""

    splice_from = 32768

    async def warm(self, joined: Relay) -> None:
        """It copies until it is busy."""

    async def test_there_and_back(self) -> None:
        """Large pieces are spliced, small ones copied, on one connection."""
        self.connect()
        joined = self.join()
        flows = []
        for size in (10, 1 << 20, 10, 10):
            self.client.stream.write(bytes(size))
            await self.until(lambda size=size: len(self.server.heard) == size)
            self.server.heard.clear()
            flows.append(joined.to_upstream.flow)
        self.assertEqual([COPYING, SPLICING, COPYING, COPYING], flows)
