# -*- test-case-name: tests.app.test_slices -*-
"""
Work that takes its time, done in the reactor's thread a little at a time: most of the time is everybody else's.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

T = TypeVar("T")

#: seconds that go into it at a time, and that are left to others before it goes on
SLICE: Final = 0.001
PAUSE: Final = 0.004


def in_slices(steps: Generator[None, None, T], clock: IReactorTime) -> Deferred[T]:
    """
    What comes of C{steps}, each of which is short. The first are done at once, and all where they are few.

    To cancel it is to end them: what they began, they have to undo.
    """
    return _Slices(steps, clock).done


class _Slices(Generic[T]):
    """Work under way."""

    def __init__(self, steps: Generator[None, None, T], clock: IReactorTime) -> None:
        self._steps = steps
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self.done: Deferred[T] = Deferred(self._cancelled)
        self._go()

    def _go(self) -> None:
        self._timer = None
        until = self._clock.seconds() + SLICE
        try:
            while True:
                next(self._steps)
                if self._clock.seconds() >= until:
                    break
        except StopIteration as over:
            self.done.callback(over.value)
        except Exception:
            self.done.errback()
        else:
            self._timer = self._clock.callLater(PAUSE, self._go)

    def _cancelled(self, done: Deferred[T]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._steps.close()
