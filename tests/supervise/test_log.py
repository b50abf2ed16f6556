# -*- test-case-name: tests.supervise.test_log -*-
"""
L{lproxy.supervise.log}: the supervisor's log lines, and the file of all.
"""

from __future__ import annotations

import json
import os
import syslog
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise import log as module
from lproxy.supervise.log import Log

NOW = 1_800_000_000.25


class LogTests(SynchronousTestCase):
    """Lines, and the file."""

    def setUp(self) -> None:
        self.written: list[bytes] = []
        self.patch(module.os, "write", lambda fd, data: self.written.append(data))

    def log(self, **more: Any) -> Log:
        return Log(now=lambda: NOW, **more)

    def test_text(self) -> None:
        """Lines look like those of a worker."""
        self.log().say("warn", "worker 1 hangs")
        self.assertRegex(
            self.written[0].decode(), r"^2027-01-1\dT\d\d:\d\d:00[+-]\d{4} \[lproxy#warn\] worker 1 hangs\n$"
        )

    def test_json(self) -> None:
        """Or they are JSON, with the keys of a worker's."""
        self.log(as_json="lproxy").say("error", 'a "b"')
        line = json.loads(self.written[0])
        self.assertEqual(
            {"time": "2027-01-15T08:00:00.250+00:00", "level": "error", "logger": "lproxy", "message": 'a "b"'}, line
        )

    def test_twist(self) -> None:
        """Or they are events such as twist writes."""
        self.log(as_json="twist").say("error", "x")
        line = self.written[0].decode()
        self.assertEqual("\x1e", line[0])
        event = json.loads(line[1:])
        self.assertEqual((NOW, "error", "x"), (event["log_time"], event["log_level"]["name"], event["text"]))

    def test_level(self) -> None:
        """What is less than the level is not written; a level that there is not is info."""
        for level, count in (("error", 1), ("info", 2), ("", 2), ("loud", 2), ("debug", 3)):
            self.written.clear()
            log = self.log(level=level)
            for one in ("debug", "info", "error"):
                log.say(one, "x")
            self.assertEqual(count, len(self.written), level)

    def test_full_disk(self) -> None:
        """A line that cannot be written is lost, and nothing else is."""

        def full(fd: int, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        self.patch(module.os, "write", full)
        self.log().say("info", "x")

    def test_syslog(self) -> None:
        """Or syslog has them, under a name."""
        told: list[Any] = []
        self.patch(syslog, "openlog", lambda *args: told.append(args))
        self.patch(syslog, "syslog", lambda *args: told.append(args))
        self.log(ident="web").say("error", "x")
        self.assertEqual([("web", syslog.LOG_PID), (syslog.LOG_ERR, "x")], told)
        self.assertEqual([], self.written)

    def test_rotate(self) -> None:
        """Files are put away as twistd does; one that is not there costs a line."""
        path = Path(tempfile.mkdtemp()) / "lproxy.log"
        for number, text in enumerate(("now", "before", "long ago")):
            Path(f"{path}.{number}" if number else path).write_text(text)
        log = self.log(path=str(path))
        log.rotate()
        self.assertEqual(["now", "before", "long ago"], [Path(f"{path}.{number}").read_text() for number in (1, 2, 3)])
        self.assertFalse(path.exists())
        log.rotate()
        self.assertIn(b"cannot be put away", self.written[-1])


class FileTests(SynchronousTestCase):
    """Standard output becomes the file."""

    def test_open(self) -> None:
        """Whatever is written there is appended to it, and it is known when there is a lot of it."""
        path = Path(tempfile.mkdtemp()) / "lproxy.log"
        path.write_text("before\n")
        saved = [os.dup(number) for number in (1, 2)]
        try:
            log = Log(str(path))
            log.open()
            log.say("info", "after")
            few = log.full()
            os.write(1, b"x" * module.ROTATE)
            many = log.full()
        finally:
            for number, fd in zip((1, 2), saved, strict=True):
                os.dup2(fd, number)
                os.close(fd)
        self.assertRegex(path.read_text(), r"^before\n.* after\nx+$")
        self.assertEqual((False, True), (few, many))
        self.assertFalse(Log().full())
