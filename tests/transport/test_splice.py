# -*- test-case-name: tests.transport.test_splice -*-
"""
Tests for L{lproxy.transport.splice}, with the relay whose bytes it moves, on pairs of real sockets.

Over the network: L{tests.integration.test_relay}.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any
from unittest import skipUnless

from lproxy.testing.garbage import only_new, uncounted
from lproxy.transport.hub import WATCH
from lproxy.transport.pipe import AVAILABLE, SIZES, Pipes
from lproxy.transport.relay import BLOCKED, COPYING, ENDED, SPLICING, Direction, Flow, Relay
from lproxy.transport.splice import NEVER
from tests.transport.sockets import SocketCase, drain

KIB = 1024


def noise(size: int) -> bytes:
    """Bytes at random, none of them zero or a line's end."""
    return os.urandom(size).replace(b"\0", b"\1").replace(b"\n", b"\1")


class SplicedCase(SocketCase):
    """
    A client and an upstream, whose bytes are there as soon as they are sent, and a relay between them.

    @ivar heard: what the upstream has read
    @ivar done: how often the relay said that it was
    """

    splice_from = 1
    buffer = 64 * KIB

    def setUp(self) -> None:
        super().setUp()
        self.peers: list[socket.socket] = []
        self.descriptors = len(os.listdir("/proc/self/fd"))
        self._connect()

    def _connect(self) -> None:
        for stream in self.streams:
            stream.abort()
        self.streams.clear()
        for peer in self.peers:
            peer.close()
        self.a, self.client = self.unix()
        self.b, self.upstream = self.unix()
        self.peers = [self.client, self.upstream]
        self.heard = b""
        self.done = 0
        self.full = False
        self.pipes = Pipes()
        self.relay = self.make()

    def _clean_up(self) -> None:
        super()._clean_up()
        self.assertEqual((0, []), (self.pipes.users, self.pipes.free))
        for peer in self.peers:
            peer.close()
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), self.descriptors)

    def make(self) -> Relay:
        return Relay(self.a, self.count, self.buffer, self.splice_from, self.pipes)

    def count(self) -> None:
        self.done += 1

    def begin(self) -> None:
        """Join them."""
        self.relay.start()
        self.relay.join(self.b)

    def again(self, buffer: int) -> None:
        """The same with another buffer."""
        self.buffer = buffer
        self._connect()
        self.begin()

    @property
    def direction(self) -> Direction:
        """From the client to the upstream."""
        return self.relay.to_upstream

    @property
    def flow(self) -> Flow:
        return self.direction.flow

    def hear(self) -> bool:
        """Have the upstream read what is there; whether there was anything."""
        data = drain(self.upstream)
        self.heard += data.replace(b"\0", b"")
        return bool(data)

    def say(self, data: bytes) -> None:
        """Have the client send C{data}, at once where the sink is full, and the upstream read what comes of it."""
        if self.full:
            self.assertEqual(len(data), self.client.send(data))
            self.settle()
            return
        for start in range(0, len(data), 64 * KIB):
            self.client.send(data[start : start + 64 * KIB])
            self.settle()
            self.drain()

    def fill(self) -> None:
        """Have the kernel take nothing more for the upstream, until L{drain}; what fills it are zeros."""
        self.full = True
        with self.assertRaises(BlockingIOError):
            while True:
                os.write(self.b.fileno(), b"\0")

    def drain(self) -> None:
        """Have the upstream read all that comes."""
        self.full = False
        self.settle()
        while self.hear():
            self.settle()


@skipUnless(AVAILABLE, "needs splice")
class SpliceTests(SplicedCase):
    """Bytes are moved by the kernel."""

    def spliced(self) -> None:
        """It moves bytes."""
        self.begin()
        self.say(b"!")
        self.say(b"?")
        self.assertEqual((SPLICING, b"!?", 1), (self.flow, self.heard, len(self.pipes.free)))
        self.heard = b""

    def blocked(self) -> bytes:
        """A pipe holds all of what is returned."""
        self.spliced()
        data = noise(150_000)
        self.fill()
        self.say(data)
        self.assertEqual((BLOCKED, len(data) + 2, 0), (self.flow, self.a.bytes_in, len(self.pipes.free)))
        return data

    def test_bytes(self) -> None:
        """All of them, in order, and they are counted; the pipe is free, and used again."""
        self.spliced()
        data = noise(300_000)
        self.say(data)
        self.assertTrue(data == self.heard)
        self.assertEqual((300_002, 300_002), (self.a.bytes_in, self.b.bytes_out))
        self.assertEqual((SPLICING, 1), (self.flow, len(self.pipes.free)))

    def test_back(self) -> None:
        """The other direction by itself."""
        self.spliced()
        self.upstream.send(b"?")
        self.settle()
        self.upstream.send(b"back")
        self.settle()
        self.assertEqual((b"?back", SPLICING), (drain(self.client), self.relay.to_client.flow))

    def test_little(self) -> None:
        """What is too little is copied next time."""
        self.splice_from = 32 * KIB
        self.relay = self.make()
        self.begin()
        flows = []
        for size in (10, 50_000, 50_000, 10, 10):
            self.heard = b""
            self.say(b"x" * size)
            self.assertEqual(size, len(self.heard))
            flows.append(self.flow)
        self.assertEqual([COPYING, SPLICING, SPLICING, COPYING, COPYING], flows)

    def test_unsent(self) -> None:
        """Where something has to go before, that is sent first, by whoever has it."""
        self.again(buffer=1 << 20)
        self.say(b"!")
        self.fill()
        self.direction.send(b"ours ")
        self.say(b"theirs")
        self.drain()
        self.assertEqual(b"!ours theirs", self.heard)
        self.assertFalse(self.a.closed)

    def test_blocked(self) -> None:
        """A full sink has the source wait, unread, and wakes nobody; what a pipe holds goes first, then the rest."""
        data = self.blocked()
        more = b"more" * 10_000
        self.client.send(more)
        self.assertFalse(self.ready())
        self.assertEqual(WATCH, self.a._descriptor.interest)
        self.assertEqual((0, []), (self.b.buffered, self.pipes.free))
        self.drain()
        self.assertTrue(data + more == self.heard)
        self.assertEqual((SPLICING, 1), (self.flow, len(self.pipes.free)))
        self.assertEqual(self.a.bytes_in, self.b.bytes_out)

    def test_bounded(self) -> None:
        """A pipe holds so much, and no more, and the process nothing."""
        self.blocked()
        while True:
            try:
                self.client.send(b"x" * 10_000)
            except BlockingIOError:
                break
            self.settle()
        self.assertEqual(0, self.b.buffered)
        self.assertLessEqual(self.a.bytes_in, SIZES[0] + 2)

    def test_blocked_again(self) -> None:
        """However often it is full again."""
        self.spliced()
        data = b""
        for n in range(1, 20):
            self.fill()
            piece = bytes([n]) * 10_000 * n
            self.say(piece)
            data += piece
            if n % 3:
                self.hear()
                self.settle()
            else:
                self.drain()
        self.drain()
        self.assertTrue(data == self.heard)

    def test_eof(self) -> None:
        """The end is passed on behind what was moved, and found in the same turn."""
        self.spliced()
        self.client.send(b"last")
        self.client.shutdown(socket.SHUT_WR)
        self.settle()
        self.assertEqual((ENDED, b"last", b""), (self.flow, self.upstream.recv(10), self.upstream.recv(10)))
        self.upstream.send(b"answer")
        self.upstream.close()
        self.settle()
        self.assertEqual((b"answer", 1, ""), (drain(self.client), self.done, self.a.errno))

    def test_eof_while_blocked(self) -> None:
        """Or behind what a pipe holds; that is the end of both, where the other was said before."""
        for ended in (False, True):
            data = self.blocked()
            if ended:
                self.upstream.shutdown(socket.SHUT_WR)
                self.settle()
            self.client.shutdown(socket.SHUT_WR)
            self.settle()
            self.assertEqual((BLOCKED, 0), (self.flow, self.done))
            self.drain()
            self.assertTrue(data == self.heard)
            self.assertEqual((ENDED, b"", ended), (self.flow, self.upstream.recv(1), bool(self.done)))
            self._connect()

    def test_broken(self) -> None:
        """If the source breaks the sink is reset."""
        self.spliced()
        self.a.write(b"unread")
        self.client.close()
        self.settle()
        self.assertEqual((1, "ECONNRESET", "ECONNABORTED"), (self.done, self.a.errno, self.b.errno))

    def test_broken_while_blocked(self) -> None:
        """Also while a pipe holds bytes, which are lost."""
        self.blocked()
        self.a.failed(OSError(errno.ECONNRESET, "reset"))
        self.assertEqual((1, "ECONNABORTED"), (self.done, self.b.errno))

    def test_sink_broken(self) -> None:
        """If the sink breaks the source is reset."""
        self.spliced()
        self.b.pause()
        self.upstream.close()
        self.settle()
        self.client.send(b"x" * 1000)
        self.settle()
        self.assertEqual((1, "ECONNABORTED", "EPIPE"), (self.done, self.a.errno, self.b.errno))

    def test_sink_broken_while_blocked(self) -> None:
        """Also while a pipe holds bytes."""
        self.blocked()
        self.b.pause()
        self.upstream.close()
        self.settle()
        self.assertEqual((1, "ECONNABORTED", "EPIPE"), (self.done, self.a.errno, self.b.errno))

    def test_abort(self) -> None:
        """An abort drops them."""
        self.blocked()
        self.relay.abort()
        self.assertEqual((1, "ECONNABORTED", "ECONNABORTED"), (self.done, self.a.errno, self.b.errno))

    def test_close(self) -> None:
        """A close waits for them, and for what goes behind them, though the source is closed at once."""
        for late in (b"", b"late"):
            data = self.blocked()
            self.direction.send(late)
            self.relay.close()
            self.assertEqual((True, False, 0), (self.a.closed, self.b.closed, self.done))
            self.drain()
            self.assertTrue(data + late == self.heard)
            self.assertEqual((True, 1, ""), (self.b.closed, self.done, self.b.errno))
            self._connect()

    def test_close_idle(self) -> None:
        """There may be none."""
        self.spliced()
        self.relay.close()
        self.assertEqual((True, True, 1), (self.a.closed, self.b.closed, self.done))

    def test_hold(self) -> None:
        """A source that is held is not read, moving or not, until it is released."""
        self.spliced()
        self.direction.hold()
        self.client.send(b"x" * 1000)
        self.settle()
        self.assertEqual(b"", drain(self.upstream))
        self.direction.release()
        self.settle()
        self.assertEqual(b"x" * 1000, drain(self.upstream))

    def test_hold_while_blocked(self) -> None:
        """Held while a pipe holds bytes, it is not read when that is empty."""
        data = self.blocked()
        self.direction.hold()
        self.client.send(b"more")
        self.drain()
        self.assertEqual((COPYING, WATCH), (self.flow, self.a._descriptor.interest))
        self.assertTrue(data == self.heard)
        self.direction.release()
        self.drain()
        self.assertTrue(data + b"more" == self.heard)

    def test_released_while_blocked(self) -> None:
        """Released while a pipe holds bytes, it is read when that is empty, and not before."""
        data = self.blocked()
        self.direction.hold()
        self.direction.release()
        self.assertEqual((BLOCKED, WATCH), (self.flow, self.a._descriptor.interest))
        self.client.send(b"more")
        self.drain()
        self.assertTrue(data + b"more" == self.heard)

    def test_no_pipe(self) -> None:
        """Out of descriptors, bytes are copied until there are some again."""
        self.spliced()
        self.pipes.free.pop().close()

        def pipe2(flags: int) -> tuple[int, int]:
            raise OSError(errno.EMFILE, "too many")

        patch = self.patch(os, "pipe2", pipe2)
        self.say(b"copied")
        self.assertEqual([], self.pipes.free)
        patch.restore()
        self.say(b" spliced")
        self.say(b" again")
        self.assertEqual((b"copied spliced again", 1), (self.heard, len(self.pipes.free)))

    def test_kernel_refuses(self) -> None:
        """A kernel that does not splice this kind of socket is asked once."""
        asked: list[Any] = []

        def refuse(*args: Any) -> int:
            asked.append(args)
            raise OSError(errno.EINVAL, "no")

        self.patch(os, "splice", refuse)
        self.begin()
        for _ in range(3):
            self.say(b"x" * 40_000)
        self.assertEqual((1, 120_000, COPYING), (len(asked), len(self.heard), self.flow))
        self.assertEqual(NEVER, self.direction.splice_from)

    def test_cycles(self) -> None:
        """However it ends, nothing of it waits for the garbage collector, nor any descriptor."""
        self.enterContext(only_new())

        def moving() -> None:
            self.spliced()

        def blocked() -> None:
            self.blocked()

        def end(how: Callable[[], object]) -> None:
            how()
            self.settle()
            self.drain()

        for state in (moving, blocked):
            for how in ("close", "abort", "broken", "sink broken"):
                self._connect()
                with uncounted() as left:
                    state()
                    if how == "close":
                        end(self.relay.close)
                    elif how == "abort":
                        end(self.relay.abort)
                    elif how == "broken":
                        end(lambda: self.a.failed(OSError(errno.ECONNRESET, "reset")))
                    else:
                        end(lambda: self.b.failed(OSError(errno.EPIPE, "gone")))
                    self.assertEqual(1, self.done)
                    self.streams.clear()
                    del self.relay, self.a, self.b
                self.assertEqual([], left, f"{state.__name__} {how}")
