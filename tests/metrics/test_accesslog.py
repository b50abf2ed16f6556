# -*- test-case-name: tests.metrics.test_accesslog -*-
"""
L{lproxy.metrics.accesslog}: what the access log counts.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.accesslog import AccessLines


class AccessLinesTests(SynchronousTestCase):
    """Lines written and lost."""

    def test_families(self) -> None:
        """Both are shown from the beginning, so that a first loss is an increase."""
        lines = AccessLines()
        self.assertEqual({0}, {value for family in lines.families() for _, value in family.samples})
        lines.written, lines.lost = 3, 2
        self.assertEqual(
            {"access_log_lines_total": [((), 3)], "access_log_lost_lines_total": [((), 2)]},
            {family.name: list(family.samples) for family in lines.families()},
        )
