# -*- test-case-name: tests.protocols.http.profile.test_quantile -*-
"""
How long most of a route's requests take, to know which takes longer.

Counted by classes of durations, each a tenth wider than the one before: so much may an estimate be off. Of what is long
ago, half is forgotten whenever so much has been counted; nothing is kept of single requests.
"""

from __future__ import annotations

import math
from typing import Final

#: seconds; what is shorter is in the first class
LEAST: Final = 0.0001
WIDER: Final = math.log(1.1)
#: up to two minutes
CLASSES: Final = 148
#: durations without which nothing is said
ENOUGH: Final = 20
#: durations, before half is forgotten
MANY: Final = 1_000
#: after so many more it is looked again
OFTEN: Final = 10


class Latency:
    """
    Of one route.

    @ivar usual: seconds within which so many are answered; infinite as long as nobody knows
    """

    __slots__ = ("_counts", "_quantile", "_total", "usual")

    def __init__(self, quantile: float) -> None:
        """
        @param quantile: which part of all
        """
        self._quantile = quantile
        self._counts: list[int] = [0] * CLASSES
        self._total = 0
        self.usual = math.inf

    def observe(self, seconds: float) -> None:
        """A request took so long."""
        number = int(math.log(seconds / LEAST) / WIDER) if seconds > LEAST else 0
        self._counts[min(number, CLASSES - 1)] += 1
        self._total += 1
        if self._total >= MANY:
            self._counts = [n // 2 for n in self._counts]
            self._total = sum(self._counts)
        if self._total >= ENOUGH and self._total % OFTEN == 0:
            self.usual = self._look()

    def _look(self) -> float:
        longer = (1.0 - self._quantile) * self._total
        number = CLASSES
        while number and longer >= 0.0:
            number -= 1
            longer -= self._counts[number]
        return LEAST * math.exp(WIDER * (number + 1))
