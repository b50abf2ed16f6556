# -*- test-case-name: tests.protocols.http.profile.test_quantile -*-
"""
L{lproxy.protocols.http.profile.quantile}: how long most take.
"""

from __future__ import annotations

from math import inf
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.profile.quantile import ENOUGH, Latency


class LatencyTests(SynchronousTestCase):
    """An estimate that is a tenth off at most."""

    def test_few(self) -> None:
        """Nobody knows what is usual before there are a few."""
        latency = Latency(0.95)
        for _ in range(ENOUGH - 1):
            latency.observe(0.01)
            self.assertEqual(inf, latency.usual)
        latency.observe(0.01)
        self.assertTrue(0.01 <= latency.usual <= 0.0111, latency.usual)

    def test_quantile(self) -> None:
        """So many of a hundred are quicker, whatever part that is."""
        for quantile in (0.5, 0.9, 0.95, 0.99):
            random, latency = Random(1), Latency(quantile)
            for _ in range(900):
                latency.observe(random.uniform(0.0, 0.1))
            self.assertTrue(0.1 * quantile * 0.9 <= latency.usual <= 0.1 * quantile * 1.15, (quantile, latency.usual))

    def test_changes(self) -> None:
        """What was long ago counts less and less."""
        latency = Latency(0.95)
        for _ in range(5000):
            latency.observe(0.5)
        for _ in range(5000):
            latency.observe(0.002)
        self.assertLess(latency.usual, 0.0023)

    def test_extremes(self) -> None:
        """Nothing is too short or too long."""
        for seconds in (0.0, -1.0, 1e-9, 1e9):
            latency = Latency(0.95)
            for _ in range(ENOUGH):
                latency.observe(seconds)
            self.assertTrue(0.0 < latency.usual < 150.0)
