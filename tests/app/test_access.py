# -*- test-case-name: tests.app.test_access -*-
"""
Tests for L{lproxy.app.access}.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import access
from lproxy.app.access import BATCH, FLUSH, RETRY, AccessLog
from lproxy.app.lines import lines
from lproxy.metrics.accesslog import AccessLines


class AccessLogTests(SynchronousTestCase):
    """One line each, whatever is in it and whatever becomes of the file."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = 1764000000.25
        self.path = Path(self.mktemp())
        self.errors: list[str] = []
        self.counts = AccessLines()
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: Any) -> None:
        if event.get("log_namespace") == "lproxy":
            self.errors.append(formatEvent(event))

    def open(self) -> AccessLog:
        log = AccessLog(str(self.path), lines("json"), self.counts, self.clock, self.clock.seconds)
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
        """A full disk costs lines, which are counted, never the connection that they are about; it is told once."""
        disk = self.limit()
        log = self.open()
        for _ in range(3):
            log({"n": 1})
            self.clock.advance(FLUSH)
        self.assertEqual([f"access log {self.path}: lines are lost: [Errno 28] No space left on device"], self.errors)
        self.assertEqual((0, 3), (self.counts.written, self.counts.lost))
        disk.room = 1_000
        log({"n": 2})
        self.clock.advance(FLUSH)
        self.assertEqual(([2], 1, 3), ([row["n"] for row in self.lines()], self.counts.written, self.counts.lost))
        self.assertEqual(f"access log {self.path} is written again; 3 lines were lost", self.errors[1])
        disk.room = 0
        log({"n": 3})
        log.close()
        self.assertEqual((3, 4), (len(self.errors), self.counts.lost))

    def test_disk_full_within_a_line(self) -> None:
        """A line that was begun is completed when there is room again: no two lines become one."""
        disk = self.limit(30)
        log = self.open()
        for n in range(3):
            log({"n": n})
        self.clock.advance(FLUSH)
        self.assertEqual((0, 2, 30), (self.counts.written, self.counts.lost, self.path.stat().st_size))
        log({"n": 3})
        self.clock.advance(FLUSH)
        self.assertEqual((0, 3, 30), (self.counts.written, self.counts.lost, self.path.stat().st_size))
        disk.room = 1_000
        log({"n": 4})
        log.close()
        self.assertEqual(([0, 4], 2, 3), ([row["n"] for row in self.lines()], self.counts.written, self.counts.lost))

    def test_reopened_within_a_line(self) -> None:
        """A new file begins with a line, whatever became of the last one of the old."""
        disk = self.limit(30)
        log = self.open()
        log({"n": 0})
        self.clock.advance(FLUSH)
        self.path.rename(self.path.with_suffix(".1"))
        log.reopen()
        disk.room = 1_000
        log({"n": 1})
        log.close()
        self.assertEqual(([1], 1, 1), ([row["n"] for row in self.lines()], self.counts.written, self.counts.lost))

    def limit(self, room: int = 0) -> Disk:
        """A disk with so much room for what is written from now on."""
        disk = Disk(room)
        self.patch(access, "write", disk.write)
        return disk

    def test_much(self) -> None:
        """What is much is written at once."""
        log = self.open()
        log({"n": "x" * BATCH})
        self.assertEqual((1, []), (len(self.lines()), self.clock.getDelayedCalls()))

    def test_slow_reader(self) -> None:
        """A pipe that is not read holds up nobody, and costs nothing at first; then lines, the newest."""
        os.mkfifo(self.path)
        log = self.open()
        line = {"n": "x" * 1_000}
        for _ in range(1_000):
            log(line)
        self.assertEqual(0, self.counts.lost)
        for _ in range(4_000):
            log(line)
            self.clock.advance(RETRY)
        self.assertEqual([f"access log {self.path}: lines are lost: it is a pipe that is not read"], self.errors)
        self.assertGreater(self.counts.lost, 500)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        read = b""
        for _ in range(200):
            try:
                read += os.read(reader, 1 << 20)
            except BlockingIOError:
                pass
            self.clock.advance(RETRY)
        self.assertEqual(5_000, len(read.splitlines()) + self.counts.lost)
        self.assertEqual({b'"}'}, {line[-2:] for line in read.splitlines()})
        self.assertIn("is written again", self.errors[-1])

    def test_standard_output(self) -> None:
        """C{-} is standard output, which is neither closed nor reopened, and blocks others as it did."""
        inlet, outlet = os.pipe()
        self.addCleanup(os.close, inlet)
        self.patch(access, "STDOUT", outlet)
        log = AccessLog("-", lines("json"), self.counts, self.clock)
        log({"n": 1})
        log.reopen()
        log({"n": 2})
        log.close()
        self.assertTrue(os.get_blocking(outlet))
        os.close(outlet)
        with open(inlet, closefd=False) as out:
            self.assertEqual([1, 2], [json.loads(line)["n"] for line in out.read().splitlines()])
        self.assertEqual("<AccessLog ->", repr(log))

    def test_socket(self) -> None:
        """Standard output may be a socket."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.patch(access, "STDOUT", ours.fileno())
        log = AccessLog("-", lines("{method}"), self.counts, self.clock)
        log({"method": "GET"})
        log.close()
        self.assertEqual(b"GET\n", theirs.recv(100))


class Disk:
    """
    In the place of C{os.write}.

    @ivar room: bytes that it has room for
    """

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, file: int, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(file, data[: self.room])
        self.room -= written
        return written
