# -*- test-case-name: tests.metrics.test_workers -*-
"""
L{lproxy.metrics.workers}: rows of the supervisor's table as metrics.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.workers import of_supervisor, of_workers


class WorkerTests(SynchronousTestCase):
    """Two of them."""

    def test_rows(self) -> None:
        """One is up where it serves and answers; how often each was replaced is counted by the reason."""
        restarts = {"died": 3, "hung": 0}
        rows: list[dict[str, Any]] = [{"worker": n, "state": "serving", "restarts": restarts} for n in range(3)]
        rows[1]["state"] = "hung"
        up, replaced = of_workers(rows, silent={2})
        self.assertEqual([1, 0, 0], [value for _, value in up.samples])
        self.assertEqual(
            [("0", "died", 3), ("0", "hung", 0)],
            [(dict(labels)["worker"], dict(labels)["reason"], value) for labels, value in list(replaced.samples)[:2]],
        )

    def test_supervisor(self) -> None:
        """Of the supervisor there is what it says, nothing before."""
        self.assertEqual([], list(of_supervisor({})))
        told = {"pid": 1, "cpu_seconds": 0.5, "resident_bytes": 7, "open_fds": 9}
        found = {family.name: (family.kind, list(family.samples)) for family in of_supervisor(told)}
        self.assertEqual(("counter", [((), 0.5)]), found["process_cpu_seconds_total"])
        self.assertEqual(3, len(found))
