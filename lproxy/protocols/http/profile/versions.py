# -*- test-case-name: tests.protocols.http.profile.test_versions -*-
"""
Backends of one route that are spoken to in different versions of HTTP.

Leases of either version come from stacks of their own (L{lproxy.protocols.http.upstreams}), each of which would split
among all. So where backends differ in that, as their own settings have it, the backend is chosen here, above both, by
the same rule. It is the exception: where all are spoken to in one version their stack has the whole split, and knows
better who serves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from lproxy.api import Acquire, Hint, ProxyError, Report, Stack, Target
from lproxy.profile import RetryBudget
from lproxy.protocols.http.streams import HttpLease
from lproxy.stack import timeout
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.budget import Budget
from lproxy.stack.interfaces import Bounded
from lproxy.stack.split import pick
from lproxy.target import Concrete


class Part(NamedTuple):
    """
    A backend.

    @ivar stack: of the version that it is spoken to in
    """

    backend: Concrete
    weight: int
    stack: Stack[HttpLease]


class Chooser(Acquire[HttpLease]):
    """
    An L{Acquire} that knows one split.

    @ivar _chosen: what C{try_acquire} chose last, and was not ready: C{acquire} asks the same
    """

    def __init__(self, parts: list[Part], random: Callable[[], float]) -> None:
        """
        @param random: a number, from 0 to less than 1
        """
        self._parts = parts
        self._random = random
        self._chosen: Part | None = None

    def choose(self, parts: list[Part], hint: Hint | None) -> Part:
        """Who of C{parts} gets a request."""
        backends = [(part.backend, part.weight) for part in parts]
        backend = pick(backends, self._random(), hint.key if hint is not None else b"")
        return next(part for part in parts if part.backend == backend)

    def try_acquire(self, target: Target, hint: Hint | None = None) -> HttpLease | None:
        """What the backend that it is the turn of has ready."""
        part = self.choose(self._parts, hint)
        lease = part.stack.try_acquire(part.backend, hint)
        self._chosen = part if lease is None else None
        return lease

    def acquire(self, target: Target, hint: Hint | None = None) -> Deferred[HttpLease]:
        """A lease on one of them, the first that gives one. Fails with what the last of them said."""
        chosen, self._chosen = self._chosen, None
        return Deferred.fromCoroutine(self._acquire(chosen or self.choose(self._parts, hint), hint))

    async def _acquire(self, part: Part, hint: Hint | None) -> HttpLease:
        left = self._parts
        while True:
            try:
                return await part.stack.acquire(part.backend, hint)
            except ProxyError as e:
                left = [one for one in left if one is not part]
                # where there are too many requests for all, another backend is no way out
                if isinstance(e, TooManyInFlight) or not any(one.weight for one in left):
                    raise
            part = self.choose(left, hint)

    def keep(self, target: Target) -> None:
        """All that get anything."""
        for part in self._parts:
            if part.weight:
                part.stack.keep(part.backend)

    def report(self, report: Report) -> None:
        """What there is to show the stacks show."""

    def close(self) -> None:
        """What is held the stacks hold."""


class Versions(Stack[HttpLease]):
    """
    The L{Stack} of such a split.

    Connections of either version count in their own stack, and so does each acquisition.
    """

    def __init__(
        self, parts: list[Part], random: Callable[[], float], seconds: float, clock: IReactorTime, budget: Budget
    ) -> None:
        """
        @param seconds: that an acquisition has
        @param budget: of whom they serve together
        """
        self._budget = budget
        self._chooser = Chooser(parts, random)
        self._bounded: Bounded[HttpLease] = timeout.layer(seconds, clock)(self._chooser)

    def try_acquire(self, target: Target, hint: Hint | None = None) -> HttpLease | None:
        """Of one of them."""
        return self._chooser.try_acquire(target, hint)

    def acquire(self, target: Target, hint: Hint | None = None) -> Deferred[HttpLease]:
        """Of one of them."""
        return self._bounded.acquire(target, hint)

    def again(self, target: Target, error: ProxyError, hint: Hint | None = None) -> Deferred[HttpLease]:
        """Of one of them, within the budget of whom they serve together."""
        if error.shed or not (error.unsent or self._budget.withdraw()):
            return fail(error)
        return self._bounded.acquire(target, hint)

    def keep(self, target: Target) -> None:
        """All of them that get anything."""
        self._chooser.keep(target)

    def budget(self, target: Target, settings: RetryBudget | None = None) -> Budget:
        """That."""
        return self._budget

    def report(self, report: Report) -> None:
        """What there is to show the stacks show."""

    def close(self) -> None:
        """What is held the stacks hold."""
