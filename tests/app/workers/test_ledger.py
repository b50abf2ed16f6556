# -*- test-case-name: tests.app.workers.test_ledger -*-
"""
L{lproxy.app.workers.ledger}: what outlives a worker.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.workers.ledger import HALF, HEAD, Ledger
from lproxy.metrics.sums import Plain


class LedgerTests(SynchronousTestCase):
    """Written and read by two."""

    def setUp(self) -> None:
        self.fd = os.memfd_create("ledger")
        self.addCleanup(os.close, self.fd)
        self.ledger = Ledger(self.fd)

    def families(self, n: int) -> list[Plain]:
        return [("x_total", "counter", "h", [((("to", "a"),), n)])]

    def test_latest(self) -> None:
        """Whoever reads has what was written last; where nobody has there is nothing."""
        other = Ledger(os.dup(self.fd))
        self.addCleanup(os.close, other._fd)
        self.assertEqual([], other.read())
        for n in range(5):
            self.ledger.write(self.families(n))
            self.assertEqual(self.families(n), other.read())

    def test_half(self) -> None:
        """Who is killed in the middle of it has not written."""
        self.ledger.write(self.families(1))
        half = HEAD.unpack(os.pread(self.fd, HEAD.size, 0))[0] & 1
        os.pwrite(self.fd, b"nonsense", HEAD.size + (1 - half) * HALF)
        self.assertEqual(self.families(1), self.ledger.read())

    def test_memory(self) -> None:
        """It takes the memory of what is written, however far apart the halves are."""
        for n in range(4):
            self.ledger.write(self.families(n))
        self.assertLess(os.fstat(self.fd).st_blocks * 512, 100_000)
