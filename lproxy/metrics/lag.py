# -*- test-case-name: tests.metrics.test_lag -*-
"""
How late timers fire: the delay that a busy process adds to every connection.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lproxy.metrics.counters import Histogram

#: seconds between two measurements
INTERVAL = 0.1


class ReactorLag:
    """Sets one timer after the other, and measures how late each fires."""

    def __init__(self, clock: IReactorTime, histogram: Histogram) -> None:
        self._clock = clock
        self._histogram = histogram
        self._timer: IDelayedCall | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin; harmless if it has begun."""
        if self._timer is None:
            self._look_later()

    def _look_later(self) -> None:
        self._due = self._clock.seconds() + INTERVAL
        self._timer = self._clock.callLater(INTERVAL, self._fired)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fired(self) -> None:
        self._histogram.observe(self._clock.seconds() - self._due)
        self._look_later()
