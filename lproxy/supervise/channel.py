# -*- test-case-name: tests.supervise.test_channel -*-
"""
Messages between processes on one machine: JSON, and descriptors with them, over a connected UNIX socket.

Each is its length and its number of descriptors, four bytes each, and a JSON object. Neither side ever waits for the
other to read: what it does not take yet is kept.
"""

from __future__ import annotations

import array
import errno
import json
import os
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

HEAD = struct.Struct("!II")
#: bytes of one read, and the descriptors that the kernel passes at once (SCM_MAX_FD)
READ, MOST = 65_536, 253
#: bytes of one message: no configuration is longer
LONGEST = 64 * 1024 * 1024


class Gone(Exception):
    """The other side has ended, or talks nonsense."""


class Message(NamedTuple):
    """
    One message.

    @ivar fds: descriptors, which are whose has it to close
    """

    values: dict[str, Any]
    fds: list[int]


class Channel:
    """
    One end.

    @ivar waiting: whether something is left to be sent
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._read = bytearray()
        self._received: deque[int] = deque()
        self._out: deque[tuple[memoryview, list[int]]] = deque()
        # a watchdog speaks while the thread of everything else is held
        self._lock = threading.Lock()
        self.closed = False

    def __repr__(self) -> str:
        return f"<Channel {'closed' if self.closed else self.fileno()}, {len(self._out)} waiting>"

    def fileno(self) -> int:
        """Of the socket; -1 once it is closed."""
        return self._sock.fileno()

    @property
    def waiting(self) -> bool:
        return bool(self._out)

    def peer(self) -> tuple[int, int]:
        """Process and user at the other end, as the kernel knows them."""
        return peer(self._sock)

    def send(self, values: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send C{values} now, or as soon as there is room; C{fds} are the caller's to close at once."""
        body = json.dumps(values, separators=(",", ":")).encode()
        with self._lock:
            if self.closed:
                return
            self._out.append((memoryview(HEAD.pack(len(body), len(fds)) + body), [os.dup(fd) for fd in fds]))
        self.flush()

    def flush(self) -> None:
        """Send of what waits as much as there is room for. A peer that is gone is found out by L{receive}."""
        with self._lock:
            while self._out:
                left, fds = self._out[0]
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
                try:
                    sent = self._sock.sendmsg([left], rights, socket.MSG_NOSIGNAL)
                except BlockingIOError:
                    return
                except OSError as e:
                    if e.errno == errno.ETOOMANYREFS:
                        return  # descriptors on their way to others: later
                    self._drop()
                    return
                _close(fds)
                if sent == len(left):
                    self._out.popleft()
                else:
                    self._out[0] = left[sent:], []

    def receive(self) -> Iterator[Message]:
        """
        What has come, message by message.

        @raise Gone: nothing will come any more
        """
        ended = False
        while not ended:
            try:
                data, rights, _, _ = self._sock.recvmsg(READ, socket.CMSG_SPACE(4 * MOST), socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                break
            except OSError:
                ended = True
                break
            for level, kind, content in rights:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    received = array.array("i")
                    received.frombytes(content[: len(content) - len(content) % received.itemsize])
                    self._received.extend(received)
            self._read += data
            ended = not data
        yield from self._messages()
        if ended:
            raise Gone

    def _messages(self) -> Iterator[Message]:
        while len(self._read) >= HEAD.size:
            size, count = HEAD.unpack_from(self._read)
            if size > LONGEST:
                raise Gone
            if len(self._read) < HEAD.size + size:
                return
            body = bytes(self._read[HEAD.size : HEAD.size + size])
            del self._read[: HEAD.size + size]
            # they came with the first byte of it
            fds = [self._received.popleft() for _ in range(min(count, len(self._received)))]
            try:
                values = json.loads(body)
            except ValueError:
                values = None
            if not isinstance(values, dict) or len(fds) != count:
                _close(fds)
                raise Gone
            yield Message(values, fds)

    def wait(self, seconds: float) -> bool:
        """Wait until there is something to read, sending meanwhile what is to be sent; whether there is."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | (select.POLLOUT if self.waiting else 0))
        found = poll.poll(max(0.0, seconds) * 1000)
        self.flush()
        return any(event & ~select.POLLOUT for _, event in found)

    def close(self) -> None:
        """Let go of it, and of all descriptors that nobody has; harmless to be told twice."""
        with self._lock:
            self._drop()
            self.closed = True
            _close(self._received)
            self._received.clear()
            self._sock.close()

    def _drop(self) -> None:
        for _, fds in self._out:
            _close(fds)
        self._out.clear()


def peer(sock: socket.socket) -> tuple[int, int]:
    """Process and user at the other end of a UNIX socket (SO_PEERCRED)."""
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def same_user(sock: socket.socket) -> bool:
    """Whether our own user is at the other end of a UNIX socket."""
    return peer(sock)[1] == os.geteuid()


def pair() -> tuple[Channel, socket.socket]:
    """A channel, and the other end for another process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Channel(ours), theirs


def connected(fd: int) -> Channel:
    """The end that another process has made, or another program in this one."""
    return Channel(socket.socket(fileno=fd))


def _close(fds: Sequence[int] | deque[int]) -> None:
    for fd in fds:
        os.close(fd)
