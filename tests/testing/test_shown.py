# -*- test-case-name: tests.testing.test_shown -*-
"""
Tests for L{lproxy.testing.shown}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.report import Report
from lproxy.testing import reported, shown


class Part:
    """Has a number, and something for people."""

    def report(self, report: Report) -> None:
        report.count("size", 3)
        report.part("endpoints", "address", "a:1").show(idle=report.rows)


class ShownTests(SynchronousTestCase):
    """As the proxy shows it."""

    def test_row(self) -> None:
        """Rows are asked for, and numbers come with them."""
        self.assertEqual({"endpoints": [{"address": "a:1", "idle": True}]}, shown(Part()))
        self.assertEqual(3, reported(Part()).total("size"))
