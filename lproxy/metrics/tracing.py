# -*- test-case-name: tests.metrics.test_tracing -*-
"""
The family of traces: what became of the spans of those that were sampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock

from lproxy.metrics.family import Family

#: the collector has them; it refused them, or could not be reached; there were too many at once
EXPORTED, FAILED, DROPPED = OUTCOMES = ("exported", "failed", "dropped")


class SpanCounts:
    """One for all. Spans are counted by the threads that send them, too."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts = dict.fromkeys(OUTCOMES, 0)

    def count(self, outcome: str, n: int) -> None:
        """So many came to one of L{OUTCOMES}."""
        with self._lock:
            self._counts[outcome] += n

    def __getitem__(self, outcome: str) -> int:
        return self._counts[outcome]

    def families(self) -> Iterator[Family]:
        """As of now."""
        yield Family(
            "trace_spans_total",
            "counter",
            "Spans of traces that were sampled: exported to the collector, failed there or on the way, or dropped as "
            "there were too many at once.",
            [((("outcome", outcome),), n) for outcome, n in self._counts.items()],
        )
