# -*- test-case-name: tests.transport.test_notify -*-
"""
Tell systemd how it goes (sd_notify(3)): ready, reloading, stopping, and still alive.

A datagram of text to the socket that C{NOTIFY_SOCKET} names; nothing where nobody asked. A few lines of our own: the
libraries for it wrap just this.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"

_log = Logger(__name__)


class Notify:
    """
    Tells whoever started this process.

    @ivar every: seconds between two signs of life: half of what is allowed; C{None} where none are wanted
    """

    def __init__(self, environ: Mapping[str, str], clock: IReactorTime) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        # an abstract one is written with an @, and begins with a null byte
        self._path = f"\0{path[1:]}" if path.startswith("@") else path
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self.every = _seconds(environ)

    def __repr__(self) -> str:
        return f"<Notify {self._path!r}>"

    def ready(self) -> None:
        """Serving: at first, and again after a reload. Signs of life follow, as long as the reactor turns."""
        self._tell(READY)
        if self.every is not None and self._timer is None:
            self._timer = self._clock.callLater(self.every, self._alive)

    def reloading(self) -> None:
        """About to read the configuration anew; L{ready} ends that."""
        # of the clock that systemd compares with
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Draining. It still turns, which may take longer than the watchdog waits."""
        self._tell(STOPPING)

    def over(self) -> None:
        """No more signs of life."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _alive(self) -> None:
        assert self.every is not None
        self._timer = self._clock.callLater(self.every, self._alive)
        self._tell(ALIVE)

    def _tell(self, state: str) -> None:
        if not self._path:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(state.encode(), self._path)
        except OSError as e:
            # whoever waits for it will say so; nothing of ours depends on it
            _log.debug("cannot notify {path}: {error}", path=self._path, error=e)


def _seconds(environ: Mapping[str, str]) -> float | None:
    """Half of WATCHDOG_USEC, where that is meant for this process."""
    text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not text.isdecimal() or not int(text) or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 2_000_000
