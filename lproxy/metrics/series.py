# -*- test-case-name: tests.metrics.test_series -*-
"""
Counters by label set, and when a label set is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from lproxy.metrics.caps import OTHER, Cap
from lproxy.metrics.family import Labels


class Counted(Protocol):
    """What a L{Series} asks its counters."""

    def mark(self) -> int:
        """A number that is another one whenever something was counted since."""

    def held(self) -> bool:
        """Whether something live will count here again without asking the series for it."""


C = TypeVar("C", bound=Counted)


class Kept(Generic[C]):
    """One series: its counter, and when a scrape last saw that it had moved."""

    __slots__ = ("counter", "mark", "since")

    def __init__(self, counter: C, now: float) -> None:
        self.counter = counter
        self.mark = counter.mark()
        self.since = now


class Series(Generic[C]):
    """
    Counters of one kind by label set.

    Each stays as long as something live holds it, and on until it has not moved for C{idle} seconds. The values of
    labels in C{caps} are capped; a value has its place again when its last series is gone.

    @param make: a new counter
    @param seconds: a monotonic clock
    """

    def __init__(
        self, make: Callable[[], C], seconds: Callable[[], float], idle: float, caps: dict[str, Cap] | None = None
    ) -> None:
        self._make = make
        self._seconds = seconds
        self._idle = idle
        self._caps = caps or {}
        self._kept: dict[Labels, Kept[C]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, labels: Labels) -> bool:
        return labels in self._kept

    def capped(self, labels: Labels) -> Labels:
        """C{labels} with values beyond a cap replaced."""
        caps = self._caps
        return tuple([(pair[0], caps[pair[0]](pair[1])) if pair[0] in caps else pair for pair in labels])

    def get(self, labels: Labels) -> C:
        """The counter of C{labels}, capped. Whoever keeps it makes it say that it is held."""
        labels = self.capped(labels)
        kept = self._kept.get(labels)
        if kept is None:
            kept = self._kept[labels] = Kept(self._make(), self._seconds())
        return kept.counter

    def items(self) -> list[tuple[Labels, C]]:
        """All there are."""
        return [(labels, kept.counter) for labels, kept in self._kept.items()]

    def sweep(self) -> bool:
        """Forget what nothing holds and has not moved for so long; before each scrape. Whether there was any."""
        now = self._seconds()
        gone: list[Labels] = []
        for labels, kept in self._kept.items():
            mark = kept.counter.mark()
            if mark != kept.mark:
                kept.mark, kept.since = mark, now
            elif now - kept.since >= self._idle and not kept.counter.held():
                gone.append(labels)
        for labels in gone:
            del self._kept[labels]
        if gone:
            used = {pair for labels in self._kept for pair in labels}
            for name, cap in self._caps.items():
                cap.values = {value for key, value in used if key == name} - {OTHER}
        return bool(gone)
