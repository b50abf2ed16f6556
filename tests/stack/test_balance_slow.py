# -*- test-case-name: tests.stack.test_balance_slow -*-
"""
L{lproxy.stack.balance} with endpoints that differ in speed: a simulation, with a clock of its own and a fixed seed.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.target import Endpoint
from tests.stack.service import Simulation

ENDPOINTS = [Endpoint(f"10.0.0.{n}", 80) for n in range(10)]
SLOW = ENDPOINTS[3]


class SlowTests(SynchronousTestCase):
    """Ten endpoints that answer in 5 ms, and 500 requests a second."""

    def setUp(self) -> None:
        self.sim = Simulation()
        self.addCleanup(self.sim.close)
        self.sim.set(*ENDPOINTS)

    def test_fair(self) -> None:
        """Where all are the same, all get about the same."""
        asked = self.sim.run_for(10.0)
        self.assertTrue(all(350 < asked[endpoint] < 650 for endpoint in ENDPOINTS), asked)

    def test_slow(self) -> None:
        """One that becomes slow loses most of its traffic within a second, without any failure."""
        self.sim.run_for(5.0)
        self.sim.takes[SLOW] = 0.5
        self.sim.run_for(1.0)
        self.assertTrue(self.sim.share(SLOW, 5.0) < 0.02, "of 0.1")

    def test_back(self) -> None:
        """One that has recovered gets its share again, and keeps it: no oscillation."""
        self.sim.takes[SLOW] = 0.5
        self.sim.run_for(5.0)
        self.sim.takes[SLOW] = 0.005
        self.sim.run_for(90.0)
        shares = [self.sim.share(SLOW, 2.0) for _ in range(10)]
        self.assertTrue(all(0.05 < share < 0.15 for share in shares), shares)

    def test_noise(self) -> None:
        """One that was slow once, or is a bit slower than the others, is not shunned for it."""
        self.sim.run_for(2.0)
        self.sim.takes[SLOW] = 0.014
        self.sim.one()
        self.sim.takes[SLOW] = 0.007
        self.sim.run_for(1.0)
        self.assertGreater(self.sim.share(SLOW, 5.0), 0.05)
