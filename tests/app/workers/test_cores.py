# -*- test-case-name: tests.app.workers.test_cores -*-
"""
L{lproxy.app.workers.cores}: how many workers auto is.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.workers.cores import cores, workers
from lproxy.config import AUTO, Config


class CoreTests(SynchronousTestCase):
    """Cores that may be used."""

    def quota(self, text: str) -> Path:
        path = Path(self.mktemp())
        path.write_text(text)
        return path

    def test_cores(self) -> None:
        """Those of the affinity mask, fewer where a container has less time, and at least one."""
        self.patch(os, "sched_getaffinity", lambda pid: set(range(8)))
        for text, count in (
            ("max 100000\n", 8),
            ("250000 100000\n", 3),
            ("50000 100000\n", 1),
            ("1600000 100000\n", 8),
            ("nonsense", 8),
        ):
            self.assertEqual(count, cores(self.quota(text)), text)
        self.assertEqual(8, cores(Path("/nowhere/cpu.max")))

    def test_workers(self) -> None:
        """A count is that; auto is one for each core."""
        self.patch(os, "sched_getaffinity", lambda pid: {0, 1, 2})
        self.assertEqual(5, workers(Config(workers=5)))
        self.assertEqual(3, workers(Config(workers=AUTO), Path("/nowhere")))
