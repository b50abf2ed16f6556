# -*- test-case-name: tests.app.test_watch -*-
"""
The configuration's file, looked at every second where C{watch = true}: what has changed is read anew by itself.

Not at once: a file that is being written is not whole, and a part of it may well be a configuration, with services
missing. So nothing is read before two looks in a row have seen the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lproxy.stamp import Stamp, stamp

#: seconds between two looks
INTERVAL: Final = 1.0


class FileWatch:
    """
    Looks at one file.

    @ivar _known: what was there when C{changed} was called last, or when the file was read first
    @ivar _last: what the latest look has seen
    """

    def __init__(
        self,
        path: str,
        changed: Callable[[], object],
        clock: IReactorTime,
        known: Stamp | None = None,
        look: Callable[[str], Stamp | None] = stamp,
    ) -> None:
        """
        @param changed: called when the file is another
        @param known: what was there before the file was read; C{None}: what is there when it begins
        """
        self._path = path
        self._changed = changed
        self._clock = clock
        self._look = look
        self._known = known
        self._last: Stamp | None = None
        self._timer: IDelayedCall | None = None

    def set(self, on: bool) -> None:
        """Look from now on, or no more; harmless to be told twice."""
        if on and self._timer is None:
            self._last = self._look(self._path)
            self._known = self._known or self._last
            self._later()
        elif not on and self._timer is not None:
            self._timer.cancel()
            self._timer = self._known = None

    def _later(self) -> None:
        self._timer = self._clock.callLater(INTERVAL, self._again)

    def _again(self) -> None:
        self._later()
        before, self._last = self._last, self._look(self._path)
        # one that is gone is about to come back, or else what is live stays so
        if self._last is not None and self._last == before and self._last != self._known:
            self._known = self._last
            self._changed()
