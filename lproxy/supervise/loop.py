# -*- test-case-name: tests.supervise.test_loop -*-
"""
The supervisor's loop: descriptors, signals, and a look at the clock several times a second.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

#: seconds between two looks at the clock
TICK = 0.1


class Watched(Protocol):
    """A descriptor that is looked at."""

    @property
    def waiting(self) -> bool:
        """Whether something is to be written, once there is room."""

    def fileno(self) -> int:
        """Its number."""

    def flush(self) -> None:
        """There is room."""


class Loop:
    """Looks until it is told to stop."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._selector = selectors.DefaultSelector()
        self._watched: dict[Watched, Callable[[], None]] = {}
        self._signals: deque[int] = deque()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._running = False
        # only to be woken: handlers run between two steps of Python's
        self._woken, wakes = os.pipe()
        for fd in (self._woken, wakes):
            os.set_blocking(fd, False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._wakes = wakes

    def signals(self, handlers: dict[int, Callable[[], None]]) -> None:
        """Have signals call these, in the loop. Those that were held back come now."""
        self._handlers = handlers
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        for number in handlers:
            signal.signal(number, lambda number, frame: self._signals.append(number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)

    def watch(self, watched: Watched, readable: Callable[[], None]) -> None:
        """Call C{readable} whenever there is something to read from C{watched}."""
        self._watched[watched] = readable
        self._selector.register(watched.fileno(), selectors.EVENT_READ, watched)

    def unwatch(self, watched: Watched) -> None:
        """Look at it no more; harmless where it is not. Before it is closed."""
        if self._watched.pop(watched, None) is not None:
            self._selector.unregister(watched.fileno())

    def run(self, tick: Callable[[float], None]) -> None:
        """
        Until L{stop}.

        @param tick: called several times a second with the seconds
        """
        self._running = True
        due = self.seconds()
        while self._running:
            for watched in self._watched:
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if watched.waiting else 0)
                if self._selector.get_key(watched.fileno()).events != events:
                    self._selector.modify(watched.fileno(), events, watched)
            for key, events in self._selector.select(max(0.0, due - self.seconds())):
                self._tell(key.data, events)
            while self._signals:
                self._handlers[self._signals.popleft()]()
            now = self.seconds()
            if now >= due and self._running:
                due = now + TICK
                tick(now)

    def _tell(self, watched: Watched | None, events: int) -> None:
        if watched is None:
            try:
                os.read(self._woken, 4096)
            except BlockingIOError:
                pass
            return
        if events & selectors.EVENT_WRITE:
            watched.flush()
        # it may have been told of another's end
        readable = self._watched.get(watched)
        if events & selectors.EVENT_READ and readable is not None:
            readable()

    def stop(self) -> None:
        """Enough."""
        self._running = False

    def close(self) -> None:
        """Let go of its own descriptors."""
        self._selector.close()
        os.close(self._woken)
        os.close(self._wakes)
