# -*- test-case-name: tests.transport.test_notify -*-
"""
Tell systemd how it goes (sd_notify(3)): ready, reloading, stopping, and still alive.

By way of the socket that C{NOTIFY_SOCKET} names; nothing where nobody asked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from lproxy.supervise import systemd
from lproxy.supervise.systemd import ALIVE, READY, STOPPING

_log = Logger(__name__)


class Notify:
    """
    Tells whoever started this process.

    @ivar every: seconds between two signs of life: half of what is allowed; C{None} where none are wanted
    """

    def __init__(self, environ: Mapping[str, str], clock: IReactorTime) -> None:
        self._path = environ.get("NOTIFY_SOCKET", "")
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
        self._tell(systemd.reloading())

    def taken(self, pid: int) -> None:
        """The process C{pid} is the service from now on, and says so itself."""
        self.over()
        self._tell(systemd.main_pid(pid))

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
        error = systemd.tell(self._path, state)
        if error is not None:
            # whoever waits for it will say so; nothing of ours depends on it
            _log.debug("cannot notify {path}: {error}", path=self._path, error=error)


def _seconds(environ: Mapping[str, str]) -> float | None:
    """Half of WATCHDOG_USEC, where that is meant for this process."""
    text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not text.isdecimal() or not int(text) or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 2_000_000
