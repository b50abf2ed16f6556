# -*- test-case-name: tests.stack.test_report -*-
"""
Tests for L{lproxy.stack.report}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.report import Report
from lproxy.target import Authority

TARGET = Authority("web.local", 80)


class ReportTests(SynchronousTestCase):
    """What is shown."""

    def fill(self, report: Report) -> None:
        """As layers do."""
        report.count("size", 2)
        for address in ("a:1", "b:2"):
            part = report.part("endpoints", "address", address)
            part.count("size", 10)
            part.count("trips", 3, TARGET)
            if report.rows:
                part.show(idle=1)
        if report.rows:
            report.show(state="ready")

    def test_rows(self) -> None:
        """Rows for people, those of parts among them, and the sums of all numbers."""
        report = Report(rows=True)
        self.fill(report)
        endpoints = [{"address": "a:1", "idle": 1}, {"address": "b:2", "idle": 1}]
        self.assertEqual({"state": "ready", "endpoints": endpoints}, report.row())
        self.assertEqual(["a:1", "b:2"], [part.about for part in report.parts("endpoints")])
        self.assertEqual({("size", None): 22, ("trips", TARGET): 6}, report.counts)

    def test_numbers(self) -> None:
        """Where only numbers are wanted, there are the same numbers and nothing else."""
        report = Report()
        self.fill(report)
        self.assertEqual((22, 0), (report.total("size"), report.total("trips")))
        self.assertEqual(6, report.counts["trips", TARGET])
        self.assertEqual(([], {}), (report.parts("endpoints"), report.row()))
