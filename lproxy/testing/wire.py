# -*- test-case-name: tests.testing.test_wire -*-
"""
Connections in memory: a real L{Stream} on a socket that is none, under a reactor that is a clock.

A test holds the L{Peer} of each, the other side: what it says is read in the reactor's next turn.
"""

from __future__ import annotations

import errno
import os
from itertools import count
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lproxy.transport.socket import Stream

#: turns after which whatever keeps a reactor busy will never come to rest
FOR_EVER = 100_000


class Peer:
    """
    The other side of a connection: its socket as the proxy sees it, and its owner as the test does.

    @ivar heard: all that the proxy has sent
    @ivar ended: how the proxy has ended the connection: C{""} not at all, C{"eof"} for its own direction alone,
        C{"closed"} or C{"reset"}
    @ivar room: how many bytes it still takes, C{None} for any number
    """

    _numbers = count(1_000_000)

    def __init__(self) -> None:
        self.heard = b""
        self.ended = ""
        self.room: int | None = None
        self._said = b""
        self._eof = False
        self._broken = 0
        self._number = next(self._numbers)

    def __repr__(self) -> str:
        return f"<Peer heard {len(self.heard)} bytes, {self.ended or 'open'}>"

    # the test's side

    def say(self, data: bytes) -> None:
        """Send C{data} to the proxy."""
        self._said += data

    def hang_up(self) -> None:
        """Say nothing more: FIN."""
        self._eof = True

    def reset(self) -> None:
        """RST."""
        self._broken = errno.ECONNRESET
        self._said = b""

    @property
    def unread(self) -> int:
        """Bytes that were said and the proxy has not read."""
        return len(self._said)

    # what a reactor asks of a file descriptor

    def readable(self) -> bool:
        """Would C{recv} return?"""
        return bool(self._said or self._eof or self._broken)

    def writable(self) -> bool:
        """Would C{send} return?"""
        return self.room != 0 or bool(self._broken)

    def broken(self) -> bool:
        """Was it reset?"""
        return bool(self._broken)

    # what a Stream asks of a socket

    def setblocking(self, flag: bool) -> None:
        """Never blocks."""

    def fileno(self) -> int:
        """A number that no file has."""
        return self._number

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As of a socket; the only flag is MSG_PEEK."""
        self._check()
        if not self._said:
            if self._eof:
                return b""
            raise BlockingIOError(errno.EAGAIN, "nothing to read")
        data = self._said[:size]
        if not flags:
            self._said = self._said[size:]
        return data

    def send(self, data: Any) -> int:
        """As of a socket."""
        self._check()
        if self.room == 0:
            raise BlockingIOError(errno.EAGAIN, "no room")
        taken = bytes(data[: self.room])
        self.heard += taken
        if self.room is not None:
            self.room -= len(taken)
        return len(taken)

    def shutdown(self, how: int) -> None:
        """The proxy says nothing more."""
        self.ended = self.ended or "eof"

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """The only option with a structure for its value is SO_LINGER, by which a connection is reset."""
        if isinstance(value, bytes):
            self.ended = "reset"

    def getsockopt(self, level: int, option: int) -> int:
        """The only option that is asked for is SO_ERROR."""
        return self._broken

    def close(self) -> None:
        """The proxy is done with it."""
        if self.ended != "reset":
            self.ended = "closed"

    def _check(self) -> None:
        if self._broken:
            raise OSError(self._broken, os.strerror(self._broken))


class ScriptedReactor(Clock):
    """
    A L{Hub<lproxy.transport.hub.Reactor>} without a kernel: time passes when the test says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self._readers: dict[Any, None] = {}
        self._writers: dict[Any, None] = {}
        self._watched: dict[Any, None] = {}

    def stream(self, peer: Peer, peer_address: tuple[str, int], host_address: tuple[str, int]) -> Stream:
        """The proxy's side of a connection with C{peer}."""
        stream = Stream(peer, self, peer_address, host_address)  # type: ignore[arg-type]
        stream.plain = False  # no kernel, no splice
        return stream

    def settle(self, seconds: float = 0.0) -> None:
        """
        Let C{seconds} pass and everything be read and written, until nothing more happens by itself.

        @raise AssertionError: that is never
        """
        self.advance(seconds)
        for _ in range(FOR_EVER):
            due = any(call.getTime() <= self.seconds() for call in self.getDelayedCalls())
            if not self.turn() and not due:
                return
            self.advance(0)
        raise AssertionError(f"never comes to rest: {list(self._readers)}, {list(self._writers)}")

    def turn(self) -> bool:
        """Serve what is ready, once; whether there was anything."""
        served = False
        for stream in [*self._watched, *self._readers, *self._writers]:
            if stream.disconnected:
                continue
            peer = stream.getHandle()
            if stream in self._readers and peer.readable():
                self._ended(stream, stream.doRead(), True)
            elif stream in self._writers and peer.writable():
                self._ended(stream, stream.doWrite(), False)
            elif stream in self._watched and peer.broken():
                self._ended(stream, stream.hung_up(), False)
            else:
                continue
            served = True
        return served

    def _ended(self, stream: Any, why: BaseException | None, reading: bool) -> None:
        if why is None:
            return
        self.removeReader(stream)
        if reading and isinstance(why, ConnectionDone):
            stream.readConnectionLost(Failure(why))
        else:
            stream.connectionLost(Failure(why))

    def callLater(self, delay: float, f: Any, *args: Any, **kw: Any) -> Any:  # type: ignore[override]
        """As of the clock."""
        return super().callLater(delay, f, *args, **kw)

    # IReactorFDSet

    def addReader(self, reader: Any) -> None:
        """Serve it when it can be read."""
        self._watched.pop(reader, None)
        self._readers[reader] = None

    def removeReader(self, reader: Any) -> None:
        """Do not."""
        self._watched.pop(reader, None)
        self._readers.pop(reader, None)

    def addWriter(self, writer: Any) -> None:
        """Serve it when it can be written."""
        self._writers[writer] = None

    def removeWriter(self, writer: Any) -> None:
        """Do not."""
        self._writers.pop(writer, None)

    def watch(self, reader: Any) -> None:
        """Do not read, but notice a reset."""
        self._readers.pop(reader, None)
        self._watched[reader] = None

    def forget(self, descriptor: Any) -> None:
        """It is closed."""
        self.removeReader(descriptor)
        self.removeWriter(descriptor)
