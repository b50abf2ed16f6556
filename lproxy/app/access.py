# -*- test-case-name: tests.app.test_access -*-
"""
The access log: one line for each request or connection.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from os import write
from time import time
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lproxy.app.log import log
from lproxy.logformat import Line
from lproxy.metrics.accesslog import AccessLines

#: seconds that a line may stay in memory
FLUSH = 1.0
#: bytes that are written without waiting for that
BATCH = 64 * 1024
#: bytes that are kept for a pipe whose reader is slow, and seconds until it is tried again
KEPT = 4 * 1024 * 1024
RETRY = 0.01
#: standard output. twistd and twist have put the log in the place of sys.stdout
STDOUT = 1
#: who can read it: as any other file of a daemon's, by umask
MODE = 0o666


class AccessLog:
    """
    Appends to a file, C{-} being standard output.

    Lines are buffered for up to a second, and L{BATCH} bytes. Whoever renames the file makes us C{reopen} it (SIGHUP).

    A disk that is full, or a pipe that is not read for long, costs lines, never connections: lost lines are counted,
    that is said once, and when there is room again it goes on. A line that was written in part is completed first.
    """

    def __init__(
        self, path: str, line: Line, counts: AccessLines, clock: IReactorTime, now: Callable[[], float] = time
    ) -> None:
        """
        @param line: the format
        @param clock: for timers; what it reads need not be the time of day
        @param now: the time of day, in seconds of the epoch
        @raise OSError: it cannot be opened
        """
        self._path = path
        self._line = line
        self._counts = counts
        self._clock = clock
        self._now = now
        self._lines: list[bytes] = []
        self._size = 0
        #: what the file is still to get: the end of a line, or what a pipe had no room for
        self._pending = b""
        #: whether the file ends in the middle of a line
        self._begun = False
        self._file = self._open()
        self._flusher: IDelayedCall | None = None
        self._closed = False
        #: lines lost since that was said
        self._lost = 0

    def __repr__(self) -> str:
        return f"<AccessLog {self._path}>"

    def __call__(self, row: dict[str, Any]) -> None:
        """Write one line. What peers put into C{row} is escaped."""
        if self._closed:
            return  # a session that ends after the proxy has closed
        if self._size + len(self._pending) > KEPT:
            self._lose(1, BlockingIOError())
            return
        line = self._line(row, self._now()).encode("utf-8", "backslashreplace") + b"\n"
        self._lines.append(line)
        self._size += len(line)
        if self._size >= BATCH and not self._pending:
            self._flush()
        elif self._flusher is None:
            self._flusher = self._clock.callLater(FLUSH, self._flush)

    def reopen(self) -> None:
        """Begin a new file under the same name, where the old one was moved away; go on with the old one if we must."""
        self._flush()
        if self._path == "-" or self._closed:
            return
        try:
            new = self._open()
        except OSError as e:
            log.error("access log {path} cannot be reopened: {error}", path=self._path, error=str(e))
            return
        os.close(self._file)
        self._file = new
        if self._begun:
            # the other half stays where it is
            self._begun = False
            self._pending = self._pending[self._pending.index(b"\n") + 1 :]
            self._counts.lost += 1

    def close(self) -> None:
        """Write what is left, and what cannot be written at once is lost."""
        if self._closed:
            return
        self._flush()
        self._counts.lost += self._pending.count(b"\n") + len(self._lines)
        self._closed = True
        if self._flusher is not None:
            self._flusher.cancel()
        os.close(self._file)

    def _open(self) -> int:
        flags = os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
        if self._path != "-":
            # nobody waits for a FIFO's reader, neither now nor later; with both of its ends it outlives one
            way = os.O_RDWR if _is_fifo(self._path) else os.O_WRONLY | os.O_CREAT
            return os.open(self._path, way | flags, MODE)
        try:
            # once more, so that nobody else with the same standard output finds that it does not block
            return os.open(f"/proc/self/fd/{STDOUT}", os.O_WRONLY | flags)
        except OSError:
            # a socket
            return os.dup(STDOUT)

    def _flush(self) -> None:
        if self._flusher is not None and self._flusher.active():
            self._flusher.cancel()
        self._flusher = None
        data = self._pending
        if len(data) <= BATCH:
            data += b"".join(self._lines)
            self._lines, self._size = [], 0
        written, error = self._write(data)
        self._counts.written += data.count(b"\n", 0, written)
        if written:
            self._begun = data[written - 1 : written] != b"\n"
        if error is None:
            self._pending = b""
            if self._lines:
                self._flush()
            elif self._lost and data:
                log.info("access log {path} is written again; {n} lines were lost", path=self._path, n=self._lost)
                self._lost = 0
            return
        left = data[written:]
        if isinstance(error, BlockingIOError):
            self._pending = left
            self._flusher = self._clock.callLater(RETRY, self._flush)
            return
        # of a line that was begun, its end
        kept = left.index(b"\n") + 1 if self._begun else 0
        self._pending = left[:kept]
        self._lose(left.count(b"\n", kept) + len(self._lines), error)
        self._lines, self._size = [], 0

    def _write(self, data: bytes) -> tuple[int, OSError | None]:
        """How much of C{data} was written, and why no more."""
        written = 0
        view = memoryview(data)
        while written < len(data):
            try:
                written += write(self._file, view[written:])
            except OSError as e:
                return written, e
        return written, None

    def _lose(self, lines: int, error: OSError) -> None:
        """So many cannot be written: said once, until it can be written to again."""
        if lines and not self._lost:
            why = "it is a pipe that is not read" if isinstance(error, BlockingIOError) else str(error)
            log.error("access log {path}: lines are lost: {error}", path=self._path, error=why)
        self._lost += lines
        self._counts.lost += lines


def _is_fifo(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False
