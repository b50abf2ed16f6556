# -*- test-case-name: tests.testing.test_shown -*-
"""
What a part of a stack has to show, such as an endpoint's service.
"""

from __future__ import annotations

from typing import Any, Protocol

from lproxy.stack.report import Report


class Reports(Protocol):
    """Any part of a stack."""

    def report(self, report: Report, /) -> None:
        """Add what there is to show."""


def reported(part: Reports) -> Report:
    """What C{part} reports, rows included."""
    report = Report(rows=True)
    part.report(report)
    return report


def shown(part: Reports) -> dict[str, Any]:
    """The row of C{part}, as C{/services} has it."""
    return reported(part).row()
