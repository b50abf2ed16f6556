# -*- test-case-name: tests.transport.test_pipe -*-
"""
Pipes through which the kernel moves bytes from one socket to another (C{os.splice}), and who has them.

A pipe is held only while bytes are in it, that is by directions whose sink takes no more. All others share the free
ones: a relay that has once been busy keeps no descriptors and no kernel memory.
"""

from __future__ import annotations

import errno
import os
from typing import Final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: what the kernel can do: it may still refuse for a kind of socket
AVAILABLE = hasattr(os, "splice") and hasattr(fcntl, "F_SETPIPE_SZ")
#: sizes to try, as an unprivileged user has 64 MiB in all. Below the last, copying is no worse
SIZES: Final = (1 << 20, 1 << 18, 1 << 16)
#: free pipes that are kept
KEPT: Final = 16

_FLAGS = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE if AVAILABLE else 0


class Pipe:
    """
    One pipe.

    @ivar held: bytes in it
    """

    __slots__ = ("held", "inlet", "outlet", "size")

    def __init__(self) -> None:
        self.held = 0
        self.outlet, self.inlet = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for size in SIZES:
            try:
                fcntl.fcntl(self.inlet, fcntl.F_SETPIPE_SZ, size)
                break
            except OSError:
                continue
        # a user who has too many gets 4 or 8 KiB from the start
        self.size = fcntl.fcntl(self.inlet, fcntl.F_GETPIPE_SZ)

    def __repr__(self) -> str:
        return f"<Pipe of {self.size}, {self.held} held>"

    def fill(self, fd: int, most: int) -> int:
        """
        Take from the socket C{fd} what it has and the pipe holds, C{most} bytes at most.

        @return: how many bytes; none at end of file
        @raise BlockingIOError: it has nothing
        @raise OSError: the connection broke
        """
        count = os.splice(fd, self.inlet, min(most, self.size), None, None, _FLAGS)
        self.held += count
        return count

    def drain(self, fd: int) -> int:
        """
        Give to the socket C{fd} what it takes: less than is held, when it takes no more for now.

        @return: how many bytes
        @raise OSError: the connection broke
        """
        try:
            count = os.splice(self.outlet, fd, self.held, None, None, _FLAGS)
        except BlockingIOError:
            return 0
        self.held -= count
        return count

    def empty(self) -> bytes:
        """What is in it, and is not any more."""
        data = os.read(self.outlet, self.held)
        self.held -= len(data)
        return data

    def close(self) -> None:
        """Drop what is in it."""
        os.close(self.inlet)
        os.close(self.outlet)


class Pipes:
    """
    The free pipes, all of them empty.

    @ivar users: relays that may ask for one; the last one to leave closes what is free
    """

    __slots__ = ("free", "users")

    def __init__(self) -> None:
        self.free: list[Pipe] = []
        self.users = 0

    def __repr__(self) -> str:
        return f"<Pipes: {len(self.free)} free, {self.users} users>"

    def enter(self) -> None:
        """One more that may ask."""
        self.users += 1

    def leave(self) -> None:
        """One fewer; it has given back, or closed, what it took."""
        self.users -= 1
        if not self.users:
            while self.free:
                self.free.pop().close()

    def take(self) -> Pipe | None:
        """An empty pipe, or None where the process or the user has too many."""
        if self.free:
            return self.free.pop()
        try:
            pipe = Pipe()
        except OSError:
            return None
        if pipe.size < SIZES[-1]:
            pipe.close()
            return None
        return pipe

    def give(self, pipe: Pipe) -> None:
        """Here it is again; kept if it is empty."""
        if pipe.held or len(self.free) >= KEPT:
            pipe.close()
        else:
            self.free.append(pipe)


#: shared by all relays of the process, as descriptors are
PIPES = Pipes()


def unsupported(error: OSError) -> bool:
    """Does C{error} speak of splicing as such, and not of the connection?"""
    return error.errno in (errno.EINVAL, errno.ENOSYS, errno.EPERM)
