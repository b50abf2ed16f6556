# -*- test-case-name: tests.stack.test_budget -*-
"""
How many further tries a service may be burdened with, so that retries do not finish off who already fails.

A part of the requests of the last seconds (C{ratio}, C{ttl}), and a few a second besides (C{minimum}), without which a
service of few requests would have none. What is left over of either is not saved up: requests older than C{ttl} count
no more, and of the few a second there are never more than a second's.

A request is counted by one increment, without a look at the clock; no timer runs. Only who wants to try again makes the
sum: what was counted since the last time is taken to have come evenly in between, in slices of a tenth of C{ttl}. So
the figure is exact where it matters, under many failures, and off by no more than the course of the traffic since the
last failure otherwise.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from twisted.internet.interfaces import IReactorTime

from lproxy.profile import RetryBudget
from lproxy.target import Split, Target

#: slices of a window: what is in the oldest is forgotten at once
SLICES: Final = 10
#: services whose budgets are remembered: the one that was made first is made anew
MOST: Final = 10_000
#: where nobody says what it is to be
DEFAULT: Final = RetryBudget()


class Budget:
    """
    Of one service.

    @ivar requests: how many were sent there, further tries not among them; whoever sends one adds to it
    @ivar _seen: how many of those are in the slices
    @ivar _asked: by slice, requests, the latest last
    @ivar _drawn: by slice, tries that the requests had earned
    @ivar _slice: the number of the latest slice, since the clock's zero
    @ivar _few: what there is of the few a second
    @ivar _at: when that was added to
    """

    def __init__(self, settings: RetryBudget, clock: IReactorTime) -> None:
        now = clock.seconds()
        self.requests: int = 0
        self.settings = settings
        self._clock = clock
        self._seen: int = 0
        self._asked: list[float] = [0.0] * SLICES
        self._drawn: list[int] = [0] * SLICES
        self._slice: int = self._number(now)
        self._few: float = _seconds_worth(settings)
        self._at: float = now

    def __repr__(self) -> str:
        return f"<Budget {self.left} left>"

    def change(self, settings: RetryBudget) -> None:
        """Be as C{settings} say from now on. What was asked and drawn stays."""
        if settings != self.settings:
            self._look()
            self.settings = settings
            self._slice = self._number(self._at)
            self._few = min(self._few, _seconds_worth(settings))

    @property
    def left(self) -> int:
        """How many tries there may be now."""
        self._look()
        return int(max(0.0, self._earned())) + int(self._few)

    def withdraw(self) -> bool:
        """Whether there may be another try; if so, it is taken off."""
        self._look()
        if self._earned() >= 1.0:
            self._drawn[-1] += 1
        elif self._few >= 1.0:
            self._few -= 1.0
        else:
            return False
        return True

    def _earned(self) -> float:
        # thousandths: a tenth of ten is one
        return self.settings.ratio * sum(self._asked) - sum(self._drawn) + 1e-3

    def _number(self, now: float) -> int:
        return int(now * SLICES / self.settings.ttl)

    def _look(self) -> None:
        """Have the slices say what they would, had each request been entered as it came."""
        now = self._clock.seconds()
        settings = self.settings
        self._few = min(self._few + max(0.0, now - self._at) * settings.minimum, _seconds_worth(settings))
        self._at = now
        number = self._number(now)
        passed = number - self._slice
        new = self.requests - self._seen
        self._seen = self.requests
        self._slice = number
        if passed > 0:
            kept = max(0, SLICES - passed)
            each = new / passed
            self._asked = [*self._asked[SLICES - kept :], *([each] * (SLICES - kept))]
            self._drawn = [*self._drawn[SLICES - kept :], *([0] * (SLICES - kept))]
        else:
            self._asked[-1] += new


def _seconds_worth(settings: RetryBudget) -> float:
    """What there is of the few at most: one at least, where there are any at all."""
    return max(settings.minimum, 1.0) if settings.minimum > 0.0 else 0.0


class Budgets:
    """Those of all services."""

    def __init__(
        self, clock: IReactorTime, served: Callable[[Target], object] = lambda target: target, part: int = 1
    ) -> None:
        """
        @param served: of a target, what it shares its budget by
        @param part: this process is one of so many that share the few a second; of its own requests it has their part
        """
        self._clock = clock
        self._served = served
        self._part = part
        self._budgets: OrderedDict[object, Budget] = OrderedDict()

    def of(self, target: Target, settings: RetryBudget | None = None) -> Budget:
        """The one of C{target}'s service, which is as C{settings} say, or the default."""
        budget = self.known(target)
        budget.change(self._own(settings or DEFAULT))
        return budget

    def _own(self, settings: RetryBudget) -> RetryBudget:
        """What this process has of them."""
        return settings if self._part == 1 else replace(settings, minimum=settings.minimum / self._part)

    def left(self, target: Target) -> int | None:
        """What the one of C{target}'s service has left; C{None}: nobody has asked for one yet."""
        budget = self._budgets.get(self._served(target))
        return None if budget is None else budget.left

    def items(self) -> list[tuple[object, Budget]]:
        """All there are, by what targets share them by."""
        return list(self._budgets.items())

    def known(self, target: Target) -> Budget:
        """The one of C{target}'s service, as it is."""
        key = self._served(target.of if isinstance(target, Split) else target)
        budget = self._budgets.get(key)
        if budget is None:
            if len(self._budgets) >= MOST:
                self._budgets.popitem(last=False)
            budget = self._budgets[key] = Budget(self._own(DEFAULT), self._clock)
        return budget
