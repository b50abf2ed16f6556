# -*- test-case-name: tests.stack.test_tokens -*-
"""
A token bucket: so much a second, and a burst at once.

No timer fills it: how much is in it is worked out when somebody asks.
"""

from __future__ import annotations

from typing import Final

#: of a token: what sums of floats may lack
ROUNDING: Final = 1e-6


class Tokens:
    """
    Full at first; what is over C{burst} runs over.

    @param per_second: tokens that it is given
    @param burst: tokens that it holds
    @param now: seconds, by a clock that nobody sets
    """

    __slots__ = ("_burst", "_level", "_per_second", "_since")

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._per_second: float = per_second
        self._burst: float = burst
        self._level: float = burst
        self._since: float = now

    def _fill(self, now: float) -> None:
        passed, self._since = max(now - self._since, 0.0), now
        self._level = min(self._level + passed * self._per_second, self._burst)

    def take(self, amount: float, now: float) -> float:
        """
        Take C{amount}, whether it is there or not: what is not is owed.

        @return: seconds until nothing is owed
        """
        self._fill(now)
        self._level -= amount
        return max(-self._level / self._per_second, 0.0)

    def wait(self, amount: float, now: float) -> float:
        """Seconds until C{amount} is there; nothing is taken."""
        self._fill(now)
        missing = amount - self._level
        return missing / self._per_second if missing > ROUNDING else 0.0
