# -*- test-case-name: tests.app.test_watchdog -*-
"""
Who holds the reactor: everybody waits while one callback runs, and none of them can say for whom.

A thread looks whether the reactor has turned lately. Where it has not it looks at what the reactor's thread is doing,
and has that written to the log once the reactor turns again. It costs nothing on the way of a request.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from lproxy.errors import Failed, Warned

#: seconds between two turns that are noted, and between two looks
INTERVAL = 0.1
#: seconds by which a turn may be late before somebody is named
LATE = 0.25
#: what a reactor is in while it waits for something to do
POLLS = ("doPoll", "doSelect", "doKEvent")
#: where lproxy's own protocols live
PROTOCOLS = "lproxy.protocols."


class Watchdog:
    """
    Watches a reactor's thread, the one that starts it.
    """

    def __init__(
        self,
        plugins: Mapping[str, str],
        tell: Warned,
        reactor: Any,
        at_once: Callable[[str], None] | None = None,
    ) -> None:
        """
        @param plugins: the names of third parties' plugins by the top-level package that each lives in
        @param tell: writes a log line; called in the reactor's thread
        @param at_once: told the same before the reactor turns, which it may never do; called in the watchdog's thread
        """
        self._plugins = plugins
        self._tell = tell
        self._reactor = reactor
        self._at_once = at_once
        self._turned = 0.0
        self._named = False
        self._timer: IDelayedCall | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._turn()
        watched = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, args=(watched,), name="lproxy-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; harmless where it has not begun."""
        self._end.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(1.0)
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _turn(self) -> None:
        self._turned = time.monotonic()
        self._named = False
        self._timer = self._reactor.callLater(INTERVAL, self._turn)

    def _watch(self, watched: int) -> None:
        while not self._end.wait(INTERVAL):
            self.look(time.monotonic(), sys._current_frames().get(watched))

    def look(self, now: float, frame: FrameType | None) -> None:
        """
        Is the reactor late? Called in the watchdog's own thread.

        @param now: seconds, of the monotonic clock
        @param frame: what the reactor's thread is in
        """
        late = now - self._turned - INTERVAL
        if late < LATE or self._named or frame is None:
            return
        self._named = True
        if frame.f_code.co_name in POLLS:
            # it is nobody's callback that takes so long
            who, where = "the machine", "which gave this process no time"
            text = (
                f"the reactor had no time to turn for more than {late:.1f} s: the machine is busy, or this was stopped"
            )
        else:
            who, where = self._holder(frame)
            text = f"the reactor was held for more than {late:.1f} s, by {who}: {where}"
        parts = Failed("reactor", who, f"held in {where}", late)
        self._reactor.callFromThread(self._tell, f"held-{where}", text, parts)
        if self._at_once is not None:
            self._at_once(f"held by {who}: {where}")

    def _holder(self, frame: FrameType) -> tuple[str, str]:
        """Whom the innermost call of a plugin's, or else of lproxy's, belongs to, and where that is."""
        ours: FrameType | None = None
        at: FrameType | None = frame
        while at is not None:
            module = str(at.f_globals.get("__name__", ""))
            top = module.partition(".")[0]
            if top in self._plugins:
                return f"plugin {self._plugins[top]}", _where(at)
            if module.startswith(PROTOCOLS):
                return f"protocol {module.removeprefix(PROTOCOLS).partition('.')[0]}", _where(at)
            if ours is None and top == "lproxy":
                ours = at
            at = at.f_back
        return ("lproxy", _where(ours)) if ours is not None else ("another service of this process", _where(frame))


def _where(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}, line {frame.f_lineno}"
