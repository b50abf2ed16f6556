# -*- test-case-name: tests.stack.test_backoff -*-
"""
How long to wait before the next try.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    Exponential, between two delays in seconds, jittered so that many do not return in step.
    """

    shortest: float
    longest: float
    random: Random

    def delay(self, attempts: int) -> float:
        """Seconds to wait after C{attempts} failures in a row, at least one."""
        # the exponent is bounded: 2.0 ** 1100 is no float
        exact = min(self.longest, self.shortest * 2.0 ** min(attempts - 1, 64))
        return exact * self.random.uniform(0.5, 1.0)
