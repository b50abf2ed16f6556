# -*- test-case-name: tests.stack.test_rendezvous -*-
"""
Tests for L{lproxy.stack.rendezvous}.
"""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.rendezvous import digest, drawn, seed
from lproxy.target import Endpoint

ENDS = [Endpoint(f"10.0.0.{i}", 80) for i in range(1, 12)]
KEYS = [digest(b"client-%d" % i) for i in range(10_000)]


def winner(key: int, ends: list[Endpoint], weights: dict[Endpoint, float] | None = None) -> Endpoint:
    return max(ends, key=lambda end: drawn(key, seed(end), (weights or {}).get(end, 1.0)))


class RendezvousTests(SynchronousTestCase):
    """Ten thousand keys, and ten endpoints."""

    def test_even(self) -> None:
        """Each serves its part of the keys."""
        found = Counter(winner(key, ENDS[:10]) for key in KEYS)
        self.assertEqual(10, len(found))
        for n in found.values():
            self.assertTrue(900 < n < 1100, found)

    def test_joins(self) -> None:
        """One that joins takes its part, and nothing moves between the others."""
        moved = [key for key in KEYS if winner(key, ENDS[:10]) != winner(key, ENDS)]
        self.assertTrue(820 < len(moved) < 1000, len(moved))
        self.assertEqual({ENDS[10]}, {winner(key, ENDS) for key in moved})

    def test_goes(self) -> None:
        """The keys of one that goes are spread over the others, and no others move."""
        gone, left = ENDS[0], ENDS[1:10]
        moved = Counter(winner(key, left) for key in KEYS if winner(key, ENDS[:10]) == gone)
        self.assertEqual(9, len(moved))
        self.assertTrue(all(60 < n < 170 for n in moved.values()), moved)
        self.assertEqual(
            [winner(key, ENDS[:10]) for key in KEYS if winner(key, ENDS[:10]) != gone],
            [winner(key, left) for key in KEYS if winner(key, ENDS[:10]) != gone],
        )

    def test_weights(self) -> None:
        """The part is as large as the weight; more weight takes keys, and gives none away."""
        three = {ENDS[0]: 3.0}
        ends = ENDS[:2]
        n = sum(winner(key, ends, three) == ENDS[0] for key in KEYS)
        self.assertTrue(7300 < n < 7700, n)
        self.assertTrue(all(winner(key, ends, three) == ENDS[0] for key in KEYS if winner(key, ends) == ENDS[0]))

    def test_same_everywhere(self) -> None:
        """The numbers are those of the names: another process, or a later one, finds the same."""
        self.assertEqual(0xDE5C9A078171F0EF, digest(b"client-1"))
        self.assertEqual(digest(b"10.0.0.1:80"), seed(Endpoint("10.0.0.1", 80)))

    def test_bounds(self) -> None:
        """The ends of the range are numbers like others."""
        for key in (0, 1, (1 << 64) - 1):
            for by in (0, key, seed(ENDS[0])):
                self.assertTrue(0.0 < drawn(key, by, 1.0) < 1e17)
