# -*- test-case-name: tests.stack.test_tokens -*-
"""
Tests for L{lproxy.stack.tokens}.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.tokens import Tokens


class TokensTests(SynchronousTestCase):
    """So much per second."""

    def test_burst(self) -> None:
        """A second's worth at once, from the first moment on; then what is over waits."""
        bucket = Tokens(10.0, 10.0, 100.0)
        self.assertEqual([0.0] * 10, [bucket.take(1, 100.0) for _ in range(10)])
        self.assertAlmostEqual(0.1, bucket.take(1, 100.0))
        self.assertAlmostEqual(0.2, bucket.take(1, 100.0))

    def test_steady(self) -> None:
        """Who asks for just as much never waits, however long it was quiet before: no more than a second's is saved."""
        bucket = Tokens(10.0, 10.0, 0.0)
        self.assertEqual([0.0] * 1000, [bucket.take(1, 5000 + i / 10) for i in range(1000)])
        bucket = Tokens(10.0, 10.0, 0.0)
        self.assertEqual(0.0, bucket.take(10, 10_000.0))
        self.assertAlmostEqual(0.1, bucket.take(1, 10_000.0))

    def test_debt(self) -> None:
        """A large amount is owed whole, and waited for once, after which there is room for nothing more."""
        bucket = Tokens(1000.0, 1000.0, 0.0)
        self.assertAlmostEqual(99.0, bucket.take(100_000, 0.0))
        self.assertAlmostEqual(49.001, bucket.take(1, 50.0))
        self.assertAlmostEqual(0.001, bucket.take(1, 99.001))

    def test_waits(self) -> None:
        """Who waits as told gets no more than the rate over any time, and no less."""
        rng = random.Random(1)
        bucket, now, taken = Tokens(1000.0, 1000.0, 0.0), 0.0, 0
        while now < 1000:
            amount = rng.choice((1, 10, 999, 5000))
            taken += amount
            now += bucket.take(amount, now)
        self.assertLessEqual(abs(taken - 1000 * now), 1000.001)

    def test_clock_set_back(self) -> None:
        """A clock that goes back gives nothing and takes nothing."""
        bucket = Tokens(10.0, 10.0, 100.0)
        bucket.take(10, 100.0)
        self.assertAlmostEqual(0.1, bucket.take(1, 50.0))
        self.assertEqual(0.0, bucket.take(1, 50.2))

    def test_wait(self) -> None:
        """Asked for and not taken, it is still there; what is not there comes by and by."""
        bucket = Tokens(2.0, 3.0, 0.0)
        self.assertEqual([0.0, 0.0, 0.0], [bucket.wait(3.0, 0.0) for _ in range(3)])
        bucket.take(3.0, 0.0)
        self.assertEqual(0.5, bucket.wait(1.0, 0.0))
        self.assertEqual(0.25, bucket.wait(1.0, 0.25))
        self.assertEqual(0.0, bucket.wait(1.0, 0.5))
