# -*- test-case-name: tests.metrics.test_tracing -*-
"""
L{lproxy.metrics.tracing}: what became of spans.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.tracing import DROPPED, EXPORTED, SpanCounts


class SpanCountsTests(SynchronousTestCase):
    """Every outcome is shown, from the beginning."""

    def test_families(self) -> None:
        """By outcome."""
        counts = SpanCounts()
        counts.count(EXPORTED, 3)
        counts.count(EXPORTED, 2)
        counts.count(DROPPED, 1)
        (family,) = counts.families()
        self.assertEqual({"exported": 5, "failed": 0, "dropped": 1}, {labels[0][1]: n for labels, n in family.samples})
        self.assertEqual((5, 1), (counts[EXPORTED], counts[DROPPED]))
