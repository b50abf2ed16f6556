# -*- test-case-name: tests.metrics.test_past -*-
"""
What was counted by configurations that are gone.

A counter must not fall: Prometheus takes that for a restart, and what is left for what has happened since. So what a
plugin has counted into, for a configuration that was replaced, goes on being shown, as part of the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import Family, Labels
from lproxy.metrics.merge import added

#: samples that are kept; of more, those go that were counted longest ago
MOST = 5_000


class Past:
    """Counters and histograms as they were when they went. Gauges say what is, and go."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}
        # by family's name and labels, those first that were added to longest ago
        self._samples: dict[tuple[str, Labels], float | Histogram] = {}

    def add(self, families: Iterable[Family]) -> None:
        """Nobody else will show the samples of C{families} any more."""
        for family in families:
            if family.kind == "gauge":
                continue
            self._families[family.name] = family._replace(samples=())
            for labels, value in family.samples:
                nothing = Histogram(value.bounds) if isinstance(value, Histogram) else 0
                # it moves to the end
                before = self._samples.pop((family.name, labels), nothing)
                if sum(value.counts) if isinstance(value, Histogram) else value:
                    self._samples[family.name, labels] = added(before, value)
                elif before is not nothing:
                    self._samples[family.name, labels] = before
        while len(self._samples) > MOST:
            del self._samples[next(iter(self._samples))]

    def families(self) -> Iterator[Family]:
        """All of it, as a source of metrics."""
        samples: dict[str, list[tuple[Labels, float | Histogram]]] = {}
        for (name, labels), value in self._samples.items():
            samples.setdefault(name, []).append((labels, value))
        for name, found in samples.items():
            yield self._families[name]._replace(samples=found)
