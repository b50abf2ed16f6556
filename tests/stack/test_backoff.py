# -*- test-case-name: tests.stack.test_backoff -*-
"""
Tests for L{lproxy.stack.backoff}.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.backoff import Backoff


class Steady(Random):
    """Always the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


class BackoffTests(SynchronousTestCase):
    """How long to wait."""

    def test_doubles(self) -> None:
        """Each failure doubles the delay, up to the longest."""
        backoff = Backoff(0.1, 1.0, Steady())
        self.assertEqual([0.1, 0.2, 0.4, 0.8, 1.0, 1.0], [backoff.delay(n) for n in range(1, 7)])

    def test_for_ever(self) -> None:
        """After any number of failures there is a delay."""
        backoff = Backoff(0.1, 60.0, Steady())
        self.assertEqual(60.0, backoff.delay(10**9))

    def test_jitter(self) -> None:
        """Many that failed together do not return together."""
        backoff = Backoff(1.0, 60.0, Random(1))
        delays = [backoff.delay(3) for _ in range(1000)]
        self.assertTrue(all(2.0 <= delay <= 4.0 for delay in delays))
        self.assertGreater(len(set(delays)), 990)
        self.assertAlmostEqual(3.0, sum(delays) / 1000, 1)
