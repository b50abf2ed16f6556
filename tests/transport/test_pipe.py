# -*- test-case-name: tests.transport.test_pipe -*-
"""
Tests for L{lproxy.transport.pipe}.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.pipe import AVAILABLE, KEPT, SIZES, Pipe, Pipes, unsupported


@skipUnless(AVAILABLE, "needs splice")
class PipesTests(SynchronousTestCase):
    """Free pipes are shared, and are few."""

    def setUp(self) -> None:
        self.pipes = Pipes()
        self.pipes.enter()
        self.addCleanup(self.pipes.leave)

    def take(self) -> Pipe:
        pipe = self.pipes.take()
        assert pipe is not None
        return pipe

    def test_reuse(self) -> None:
        """An empty one is taken again."""
        pipe = self.take()
        self.assertGreaterEqual(pipe.size, SIZES[-1])
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
        for pipe in [self.take() for _ in range(KEPT + 2)]:
            self.pipes.give(pipe)
        self.assertEqual(KEPT, len(self.pipes.free))

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
        """A user with many pipes gets smaller ones; those of a page or two are of no use, and not kept."""
        limit, least = 1 << 16, 0
        made: list[int] = []
        real, real_pipe2 = fcntl.fcntl, os.pipe2

        def small(fd: int, command: int, argument: int = 0) -> int:
            if command == fcntl.F_SETPIPE_SZ and argument > limit:
                raise PermissionError(errno.EPERM, "enough")
            return least or real(fd, command, argument)

        def pipe2(flags: int) -> tuple[int, int]:
            made.extend(real_pipe2(flags))
            return made[-2], made[-1]

        self.patch(fcntl, "fcntl", small)
        pipe = self.take()
        self.assertEqual(1 << 16, pipe.size)
        self.pipes.give(pipe)
        self.pipes.free.pop().close()
        self.patch(os, "pipe2", pipe2)
        limit, least = 0, 8192
        self.assertIsNone(self.pipes.take())
        for fd in made:
            self.assertRaises(OSError, os.fstat, fd)

    def test_moves(self) -> None:
        """It takes from one socket what there is, and gives to another what that takes; none is the end."""
        one, two = (self.sockets(), self.sockets())
        pipe = self.take()
        self.assertRaises(BlockingIOError, pipe.fill, one[1].fileno(), 100)
        one[0].send(b"0123456789")
        self.assertEqual((4, 4), (pipe.fill(one[1].fileno(), 4), pipe.held))
        self.assertEqual((6, 10), (pipe.fill(one[1].fileno(), 100), pipe.held))
        self.assertEqual((10, 0), (pipe.drain(two[0].fileno()), pipe.held))
        self.assertEqual(b"0123456789", two[1].recv(100))
        one[0].shutdown(socket.SHUT_WR)
        self.assertEqual(0, pipe.fill(one[1].fileno(), 100))
        self.pipes.give(pipe)

    def test_full(self) -> None:
        """A socket that takes nothing leaves all in it."""
        here, there = self.sockets()
        here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with self.assertRaises(BlockingIOError):
            while True:
                here.send(b".")
        pipe = self.take()
        pipe.held = os.write(pipe.inlet, b"held")
        self.assertEqual((0, 4), (pipe.drain(here.fileno()), pipe.held))
        there.close()
        self.assertRaises(BrokenPipeError, pipe.drain, here.fileno())
        self.pipes.give(pipe)

    def sockets(self) -> tuple[socket.socket, socket.socket]:
        pair = socket.socketpair()
        for sock in pair:
            sock.setblocking(False)
            self.addCleanup(sock.close)
        return pair

    def test_shown(self) -> None:
        """They show what they have."""
        pipe = self.take()
        self.assertEqual(f"<Pipe of {pipe.size}, 0 held>", repr(pipe))
        self.pipes.give(pipe)
        self.assertEqual("<Pipes: 1 free, 1 users>", repr(self.pipes))

    def test_unsupported(self) -> None:
        """What the kernel refuses as such is told from a broken connection."""
        self.assertTrue(unsupported(OSError(errno.EINVAL, "no")))
        self.assertFalse(unsupported(OSError(errno.ECONNRESET, "reset")))
