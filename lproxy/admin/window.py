# -*- test-case-name: tests.admin.test_window -*-
"""
What has happened lately: the difference between what metrics said a moment ago and what they say now.

Counters and histograms alone, of those families that somebody asks for. Nothing is kept for longer than L{KEPT} looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable
from itertools import accumulate
from typing import NamedTuple

from lproxy.metrics.counters import Bounds, Histogram
from lproxy.metrics.family import Family, Labels

#: looks that are kept; with one in two seconds, figures are of the last ten
KEPT = 6

Series = tuple[str, Labels]


class Counts(NamedTuple):
    """A histogram as it was."""

    bounds: Bounds
    counts: tuple[int, ...]


class Look(NamedTuple):
    """
    What metrics said.

    @ivar seconds: when
    @ivar series: label sets by family
    """

    seconds: float
    series: dict[str, list[Labels]]
    values: dict[Series, float]
    histograms: dict[Series, Counts]


class Window:
    """
    The last few looks.

    @param names: of the families that are looked at
    """

    def __init__(self, names: Container[str]) -> None:
        self._names = names
        self._looks: deque[Look] = deque(maxlen=KEPT)

    def look(self, families: Iterable[Family], seconds: float) -> None:
        """Remember what C{families} say at this moment."""
        series: dict[str, list[Labels]] = {}
        values: dict[Series, float] = {}
        histograms: dict[Series, Counts] = {}
        for name, _, _, samples in families:
            if name not in self._names:
                continue
            here = series.setdefault(name, [])
            for labels, value in samples:
                here.append(labels)
                if isinstance(value, Histogram):
                    histograms[name, labels] = Counts(value.bounds, tuple(value.counts))
                else:
                    values[name, labels] = value
        self._looks.append(Look(seconds, series, values, histograms))

    def forget(self) -> None:
        """Nobody looks any more: what comes next begins anew."""
        self._looks.clear()

    @property
    def seconds(self) -> float:
        """How long it is, from the first look that is kept to the latest; 0 where there is but one."""
        return self._looks[-1].seconds - self._looks[0].seconds if self._looks else 0.0

    def series(self, name: str) -> list[Labels]:
        """The label sets of a family that there are now."""
        return self._looks[-1].series.get(name, []) if self._looks else []

    def value(self, name: str, labels: Labels) -> float:
        """As of now; 0 where there is none."""
        return self._looks[-1].values.get((name, labels), 0.0) if self._looks else 0.0

    def grown(self, name: str, labels: Labels) -> float:
        """By how much a counter has grown within the window; all of it where there was one look alone."""
        if not self._looks:
            return 0.0
        now = self._looks[-1].values.get((name, labels), 0.0)
        if len(self._looks) == 1:
            return now
        return max(0.0, now - self._looks[0].values.get((name, labels), 0.0))

    def counts(self, name: str, labels: Labels) -> Counts | None:
        """A histogram of what was observed within the window; of all there ever was, where there was one look alone."""
        if not self._looks:
            return None
        now = self._looks[-1].histograms.get((name, labels))
        before = self._looks[0].histograms.get((name, labels)) if len(self._looks) > 1 else None
        if now is None or before is None:
            return now
        return Counts(now.bounds, tuple(max(0, a - b) for a, b in zip(now.counts, before.counts, strict=True)))


def added(some: Iterable[Counts]) -> Counts | None:
    """All of them as one; they have the same bounds."""
    total: Counts | None = None
    for one in some:
        counts = one.counts if total is None else tuple(a + b for a, b in zip(total.counts, one.counts, strict=True))
        total = Counts(one.bounds, counts)
    return total


def quantile(counts: Counts | None, q: float) -> float | None:
    """
    About which value C{q} of the observations are not above, as Prometheus' C{histogram_quantile} has it; C{None} where
    there are none. Beyond the last bound it is that.
    """
    if counts is None or not sum(counts.counts):
        return None
    wanted = q * sum(counts.counts)
    lower = 0.0
    before = 0
    for bound, upto, here in zip(counts.bounds, accumulate(counts.counts), counts.counts, strict=False):
        if upto >= wanted and here:
            return lower + (bound - lower) * (wanted - before) / here
        lower, before = bound, upto
    return counts.bounds[-1]
