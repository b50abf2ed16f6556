# -*- test-case-name: tests.app.test_access -*-
"""
The access log: one line of JSON for each request or connection.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lproxy.app.log import log

#: seconds that a line may stay in memory
FLUSH = 1.0


def _now() -> datetime:
    return datetime.now(UTC)


class AccessLog:
    """
    Appends to a file, C{-} being standard output.

    Lines are buffered for up to a second. Whoever renames the file makes us C{reopen} it (SIGHUP). A disk that is full
    costs lines, never connections.
    """

    def __init__(self, path: str, clock: IReactorTime, now: Callable[[], datetime] = _now) -> None:
        """
        @param clock: for timers; what it reads need not be the time of day
        @param now: the time of day
        """
        self._path = path
        self._clock = clock
        self._now = now
        self._file = self._open()
        self._flusher: IDelayedCall | None = None
        self._failing = False

    def __repr__(self) -> str:
        return f"<AccessLog {self._path}>"

    def __call__(self, row: dict[str, Any]) -> None:
        """Write one line. What peers put into C{row} is escaped."""
        at = self._now().isoformat(timespec="milliseconds")
        line = json.dumps({"time": at, **row}) + "\n"
        if self._file.closed:
            return  # a session that ends after the proxy has closed
        try:
            self._file.write(line)
        except OSError as e:
            self._failed(e)
        if self._flusher is None:
            self._flusher = self._clock.callLater(FLUSH, self._flush)

    def reopen(self) -> None:
        """Begin a new file under the same name, where the old one was moved away; go on with the old one if we must."""
        self._flush()
        if self._path == "-":
            return
        try:
            new = self._open()
        except OSError as e:
            log.error("access log {path} cannot be reopened: {error}", path=self._path, error=str(e))
            return
        self._close_file()
        self._file = new

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        if self._path != "-":
            self._close_file()

    def _open(self) -> IO[str]:
        # json.dumps gives ASCII; the file is open as long as the proxy runs
        return _stdout() if self._path == "-" else open(self._path, "a", encoding="ascii")

    def _flush(self) -> None:
        if self._flusher is not None and self._flusher.active():
            self._flusher.cancel()
        self._flusher = None
        if self._file.closed:
            return
        try:
            self._file.flush()
            self._failing = False
        except OSError as e:
            self._failed(e)

    def _close_file(self) -> None:
        try:
            self._file.close()
        except OSError as e:
            self._failed(e)

    def _failed(self, error: OSError) -> None:
        # once, until it can be written to again
        if not self._failing:
            self._failing = True
            log.error("access log {path}: lines are lost: {error}", path=self._path, error=str(error))


def _stdout() -> IO[str]:
    # twistd and twist have put the log in the place of sys.stdout
    return sys.__stdout__ or sys.stdout
