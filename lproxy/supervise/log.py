# -*- test-case-name: tests.supervise.test_log -*-
"""
The supervisor's own log lines, in the manner of its workers', and the file that all of them write to.

The file is opened to be appended to, so that several processes may; workers have it as their standard output.
"""

from __future__ import annotations

import json
import os
import syslog
import time
from collections.abc import Callable

#: the ways in which a log is JSON
OWN, TWIST = "lproxy", "twist"
#: bytes after which a file is put away, as twistd does
ROTATE = 1_000_000

PRIORITIES = {"debug": syslog.LOG_DEBUG, "info": syslog.LOG_INFO, "warn": syslog.LOG_WARNING, "error": syslog.LOG_ERR}
LEVELS = (*PRIORITIES, "critical")


class Log:
    """
    Where lines go.

    @ivar path: the file that is written; empty: standard output, whatever that is
    @ivar level: below it nothing is said
    """

    def __init__(
        self,
        path: str = "",
        as_json: str = "",
        ident: str | None = None,
        level: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        @param as_json: lines of JSON: C{lproxy}'s own, or as C{twist} writes its events (RFC 7464); empty: text
        @param ident: what syslog, which is written to then, calls us
        @param now: seconds of the epoch
        """
        self.path = path
        self._json = as_json
        self._syslog = ident is not None
        self._now = now
        self.level = level if level in LEVELS else "info"
        if ident is not None:
            syslog.openlog(ident, syslog.LOG_PID)

    def open(self) -> None:
        """Have standard output and error be the file, where there is one; raises OSError."""
        if self.path:
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            os.close(fd)

    def say(self, level: str, text: str) -> None:
        """Write a line. Where the disk is full that is all that is lost."""
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        if self._syslog:
            syslog.syslog(PRIORITIES[level], text)
            return
        now = self._now()
        try:
            os.write(1, (self._as_json(now, level, text) if self._json else _as_text(now, level, text)).encode())
        except OSError:
            pass

    def full(self) -> bool:
        """Whether the file is so long that it should be put away, or it was by somebody else."""
        if not self.path:
            return False
        try:
            return os.fstat(1).st_size >= ROTATE
        except OSError:
            return False

    def rotate(self) -> None:
        """Put the file away, as FILE.1, the one before as FILE.2 and so on; L{open} begins anew."""
        last = 1
        while os.path.exists(f"{self.path}.{last}"):
            last += 1
        try:
            for number in range(last, 1, -1):
                os.rename(f"{self.path}.{number - 1}", f"{self.path}.{number}")
            os.rename(self.path, f"{self.path}.1")
        except OSError as e:
            self.say("warn", f"the log cannot be put away: {e}")

    def _as_json(self, now: float, level: str, text: str) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}+00:00"
        if self._json == TWIST:
            event = {"log_time": now, "log_level": {"name": level}, "log_namespace": "lproxy"}
            return "\x1e" + json.dumps({**event, "log_format": "{text}", "text": text}) + "\n"
        return json.dumps({"time": stamp, "level": level, "logger": "lproxy", "message": text}) + "\n"


def _as_text(now: float, level: str, text: str) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S%z', time.localtime(now))} [lproxy#{level}] {text}\n"
