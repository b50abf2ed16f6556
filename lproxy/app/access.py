# -*- test-case-name: tests.app.test_access -*-
"""
The access log: one line of JSON for each request or connection.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import IO, Any

from twisted.internet.interfaces import IReactorTime

#: seconds that a line may stay in memory
FLUSH = 1.0


class AccessLog:
    """
    Appends to a file, C{-} being standard output.

    Lines are buffered for up to a second. Whoever renames the file makes us C{reopen} it (SIGHUP).
    """

    def __init__(self, path: str, clock: IReactorTime) -> None:
        self._path = path
        self._clock = clock
        self._file = self._open()
        self._flusher: Any = None

    def __call__(self, row: dict[str, Any]) -> None:
        """Write one line. Whatever peers put into C{row} stays inside its quotes."""
        at = datetime.fromtimestamp(self._clock.seconds(), UTC).isoformat(timespec="milliseconds")
        self._file.write(json.dumps({"time": at, **row}) + "\n")
        if self._flusher is None:
            self._flusher = self._clock.callLater(FLUSH, self._flush)

    def reopen(self) -> None:
        """Begin a new file under the same name, where the old one was moved away."""
        self._file.flush()
        if self._path != "-":
            self._file.close()
            self._file = self._open()

    def close(self) -> None:
        """Write what is left."""
        if self._flusher is not None:
            self._flusher.cancel()
            self._flusher = None
        self._file.flush()
        if self._path != "-":
            self._file.close()

    def _open(self) -> IO[str]:
        # json.dumps gives ASCII; the file is open as long as the proxy runs
        return sys.stdout if self._path == "-" else open(self._path, "a", encoding="ascii")

    def _flush(self) -> None:
        self._flusher = None
        self._file.flush()
