# -*- test-case-name: tests.app.test_access -*-
"""
Tests for L{lproxy.app.access}.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.access import FLUSH, AccessLog


class AccessLogTests(SynchronousTestCase):
    """One line of JSON each, whatever is in it and whatever becomes of the file."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = 1764000000.25
        self.path = Path(self.mktemp())
        self.errors: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.seconds(), UTC)

    def observe(self, event: Any) -> None:
        if event.get("log_namespace") == "lproxy":
            self.errors.append(formatEvent(event))

    def open(self) -> AccessLog:
        log = AccessLog(str(self.path), self.clock, self.now)
        self.addCleanup(log.close)
        return log

    def lines(self, path: Path | None = None) -> list[Any]:
        return [json.loads(line) for line in (path or self.path).read_text().splitlines()]

    def test_line(self) -> None:
        """A line with its time, written within a second, by one timer for all."""
        log = self.open()
        log({"kind": "connection", "bytes_in": 3})
        log({"kind": "connection", "bytes_in": 4})
        self.assertEqual(([], 1), (self.lines(), len(self.clock.getDelayedCalls())))
        self.clock.advance(FLUSH)
        self.assertEqual(
            [
                {"time": "2025-11-24T16:00:00.250+00:00", "kind": "connection", "bytes_in": 3},
                {"time": "2025-11-24T16:00:00.250+00:00", "kind": "connection", "bytes_in": 4},
            ],
            self.lines(),
        )
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_hostile(self) -> None:
        """What a peer sends stays inside its quotes, on its line."""
        log = self.open()
        row = {"path": '/"}\n{"forged": "line"}\r\u2028\udc80\x00', "host": "b\u00fccher"}
        log(row)
        log.close()
        (line,) = self.lines()
        self.assertEqual(row, {key: line[key] for key in row})

    def test_append(self) -> None:
        """What was there stays."""
        self.path.write_text('{"old": 1}\n')
        log = self.open()
        log({})
        log.close()
        self.assertEqual(2, len(self.lines()))

    def test_close(self) -> None:
        """Closing writes what is left; a line after that is no error."""
        log = self.open()
        log({"n": 1})
        log.close()
        log({"n": 2})
        log.close()
        self.assertEqual([1], [line["n"] for line in self.lines()])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_reopen(self) -> None:
        """After its file was moved away, it begins a new one, and no line is lost."""
        log = self.open()
        log({"n": 1})
        old = self.path.with_suffix(".1")
        self.path.rename(old)
        log({"n": 2})
        log.reopen()
        log({"n": 3})
        self.clock.advance(FLUSH)
        self.assertEqual(([1, 2], [3]), ([r["n"] for r in self.lines(old)], [r["n"] for r in self.lines()]))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_cannot_reopen(self) -> None:
        """Where it cannot begin a new one (its user may not), it goes on with the old one, and says so."""
        self.path = Path(self.mktemp()) / "access.log"
        self.path.parent.mkdir()
        log = self.open()
        moved = self.path.parent.with_suffix(".moved")
        self.path.parent.rename(moved)
        log.reopen()
        log({"n": 1})
        log.close()
        self.assertEqual([1], [line["n"] for line in self.lines(moved / "access.log")])
        (error,) = self.errors
        self.assertIn(f"access log {self.path} cannot be reopened: [Errno 2] No such file", error)

    def test_disk_full(self) -> None:
        """A full disk costs lines, never the connection that they are about, and is told once until it is over."""
        log = self.open()

        class Full(io.StringIO):
            full = True

            def flush(self) -> None:
                if self.full:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            def write(self, text: str) -> int:
                self.flush()
                return super().write(text)

            def close(self) -> None:
                self.flush()

        log._file.close()
        log._file = full = Full()
        for _ in range(3):
            log({"n": 1})
            self.clock.advance(FLUSH)
        self.assertEqual([f"access log {self.path}: lines are lost: [Errno 28] No space left on device"], self.errors)
        full.full = False
        log({"n": 2})
        self.clock.advance(FLUSH)
        self.assertIn('"n": 2', full.getvalue())
        full.full = True
        log({"n": 3})
        log.close()
        self.assertEqual(2, len(self.errors))

    def test_standard_output(self) -> None:
        """C{-} is standard output, which is neither closed nor reopened."""
        out = io.StringIO()
        self.patch(sys, "__stdout__", out)
        log = AccessLog("-", self.clock)
        log({"n": 1})
        log.reopen()
        log({"n": 2})
        log.close()
        self.assertEqual([1, 2], [json.loads(line)["n"] for line in out.getvalue().splitlines()])
        self.assertFalse(out.closed)
        self.assertEqual("<AccessLog ->", repr(log))
