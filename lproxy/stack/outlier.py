# -*- test-case-name: tests.stack.test_outlier -*-
"""
How many of an endpoint's answers are bad, and whether that is its own fault.

They are counted from a bad answer on, for a while, and only those to requests that were sent after that: a hundred that
were under way together and failed together are one mishap. Where all endpoints of a service fail alike it is the
service, or what is asked of it, and none of them is an outlier.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

#: how many times worse than the others' an endpoint's part of bad answers has to be
WORSE: Final = 2.0


class Tally:
    """
    Of one endpoint.

    @ivar since: when the count began: requests that were sent then or later count
    @ivar asked: how many of those were answered
    @ivar bad: how many badly
    """

    __slots__ = ("asked", "bad", "since")

    def __init__(self) -> None:
        self.since: float = -inf
        self.asked: int = 0
        self.bad: int = 0

    def __repr__(self) -> str:
        return f"<Tally {self.bad} of {self.asked}>"

    def answered_badly(self, began: float, now: float, window: float) -> None:
        """
        A request that began then was.

        @param window: seconds after which a bad answer has the count begin anew
        """
        if not 0.0 <= now - self.since < window:
            self.since, self.asked, self.bad = now, 0, 0
        elif began >= self.since:
            self.asked += 1
            self.bad += 1

    def stands_out(self, ratio: float | None, least: int, others: Iterable[Tally]) -> bool:
        """
        Whether so large a part of the answers is bad, and the part of the others' is much smaller.

        @param ratio: C{None}: no part is
        @param least: answers of which fewer say nothing
        """
        if not ratio or self.asked < least or self.bad < ratio * self.asked:
            return False
        asked = bad = 0
        for other in others:
            if other is not self:
                asked += other.asked
                bad += other.bad
        return self.bad * asked >= WORSE * bad * self.asked
