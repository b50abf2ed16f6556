# -*- test-case-name: tests.stack.test_rates -*-
"""
Tests for L{lproxy.stack.rates}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import Rate
from lproxy.stack.rates import KEYS, SCOPES, Limiter, Rates


def passed(limiter: Limiter, key: str, now: float, asked: int = 1) -> int:
    """How many of so many requests at one moment may pass."""
    n = 0
    for _ in range(asked):
        if not limiter.wait(key, now):
            limiter.take(key, now)
            n += 1
    return n


class LimiterTests(SynchronousTestCase):
    """One rate."""

    def test_burst(self) -> None:
        """Without a burst, as many at once as there may be in its time; then one after the other."""
        limiter = Limiter(Rate(requests=10, per=2.0))
        self.assertEqual(10, passed(limiter, "", 0.0, 50))
        self.assertAlmostEqual(0.2, limiter.wait("", 0.0))
        self.assertEqual(1, passed(limiter, "", 0.2001, 50))

    def test_own_burst(self) -> None:
        """A burst may be larger or smaller than what there may be in the time."""
        self.assertEqual(50, passed(Limiter(Rate(requests=10, burst=50)), "", 0.0, 100))
        small = Limiter(Rate(requests=10, burst=1))
        self.assertEqual(1, passed(small, "", 0.0, 100))
        self.assertEqual(1, passed(small, "", 0.1001, 100))

    def test_refused_cost_nothing(self) -> None:
        """Whoever goes on asking in vain is served at the rate all the same."""
        limiter, clock, n = Limiter(Rate(requests=10, burst=1)), Clock(), 0
        for _ in range(1_000):
            n += passed(limiter, "", clock.seconds())
            clock.advance(0.01)
        self.assertTrue(99 <= n <= 101, n)

    def test_keys(self) -> None:
        """One key's requests do not count against another's."""
        limiter = Limiter(Rate(requests=2))
        self.assertEqual([2, 2, 0], [passed(limiter, key, 0.0, 5) for key in ("a", "b", "a")])

    def test_bounded(self) -> None:
        """So many keys are told apart; of more, the one that has passed least lately is forgotten, and no other."""
        limiter = Limiter(Rate(requests=1, per=3600.0))
        for n in range(KEYS):
            limiter.take(str(n), 0.0)
        limiter.take("0", 0.0)
        limiter.take("new", 0.0)
        self.assertEqual([0, 1, 0], [passed(limiter, key, 0.0) for key in ("0", "1", "new")])

    def test_part(self) -> None:
        """Several processes share a rate: each has its part, and at least one request at once."""
        limiter = Limiter(Rate(requests=10), 4)
        self.assertEqual(2, passed(limiter, "", 0.0, 50))
        self.assertAlmostEqual(0.2, limiter.wait("", 0.0))
        self.assertEqual(1, passed(Limiter(Rate(requests=1), 4), "", 0.0, 50))


class RatesTests(SynchronousTestCase):
    """All of a process."""

    def test_shared(self) -> None:
        """Who limits the same thing by the same rate has the same buckets, as listeners and their successors do."""
        rates, rate = Rates(), Rate(requests=2)
        (one,) = rates.of("service web", (rate,))
        (two,) = rates.of("service web", (Rate(requests=2),))
        self.assertIs(one, two)
        self.assertIsNot(one, rates.of("service api", (rate,))[0])

    def test_changed(self) -> None:
        """Of several rates those go on that are left as they are, and the others begin anew."""
        rates, a, b, c = Rates(), Rate(requests=1), Rate(requests=2), Rate(requests=3)
        first = rates.of("x", (a, b))
        second = rates.of("x", (c, b))
        self.assertIs(first[1], second[1])
        self.assertIsNot(first[0], rates.of("x", (a,))[0])
        self.assertEqual((), rates.of("x", ()))
        self.assertIsNot(second[1], rates.of("x", (b,))[0])

    def test_twice(self) -> None:
        """One rate given twice is one, and takes one for each request."""
        self.assertEqual(1, len(Rates().of("x", (Rate(requests=1), Rate(requests=1)))))

    def test_bounded(self) -> None:
        """Things that are gone are forgotten, those first that were asked for longest ago."""
        rates, rate = Rates(), Rate(requests=1)
        kept = rates.of("kept", (rate,))
        for n in range(SCOPES):
            if n == SCOPES // 2:
                rates.of("kept", (rate,))
            rates.of(str(n), (rate,))
        self.assertIs(kept[0], rates.of("kept", (rate,))[0])

    def test_part(self) -> None:
        """A process has its part of each."""
        (limiter,) = Rates(2).of("x", (Rate(requests=10),))
        self.assertEqual(5, passed(limiter, "", 0.0, 50))
