# -*- test-case-name: tests.stack.test_router -*-
"""
From a target to its service: from the cache, or made on a miss.

Above: the lock, so that a target's service is made once. Below: new_service, which neither waits nor fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from lproxy.stack.cache import Cache, CacheFull
from lproxy.stack.interfaces import Hint, Judging, L, NewService, RouterLayer, Service
from lproxy.stack.report import Report
from lproxy.target import Endpoint, Target


class CachedRouter(Generic[L]):
    """The L{Judging} one at the bottom of the stack."""

    def __init__(self, new_service: NewService[L], cache: Cache[L]) -> None:
        self._new_service = new_service
        self._cache = cache
        self._entries = cache.entries

    def try_acquire(self, target: Target, hint: Hint | None = None) -> L | None:
        """What a cached service has ready."""
        entry = self._entries.get(target)
        if entry is None:
            return None
        entry.used = True
        return entry.try_acquire(hint)

    def acquire(self, target: Target, hint: Hint | None = None) -> Deferred[L]:
        """
        A lease of the target's service. The service is kept even if this fails, with what it has learnt; the failure
        is not: the next to ask makes it try again.
        """
        entry = self._entries.get(target)
        if entry is None:
            try:
                entry = self._cache.add(target, self._new_service)
            except CacheFull as error:
                return fail(error)
        entry.used = True
        return entry.service.acquire(hint)

    def keep(self, target: Target) -> None:
        """Make its service. Where there is no room it is made for the first who asks, and not kept."""
        entry = self._entries.get(target)
        if entry is None:
            try:
                entry = self._cache.add(target, self._new_service)
            except CacheFull:
                return
        entry.kept = True

    def serves(self, target: Target, avoid: tuple[Endpoint, ...] = ()) -> bool:
        """What its service says; of one that there is not, nothing bad is known."""
        entry = self._entries.get(target)
        return entry is None or entry.service.serves(avoid)

    def services(self) -> list[tuple[Target, Service[L]]]:
        """Those that there are now."""
        return [(target, entry.service) for target, entry in self._entries.items()]

    def report(self, report: Report) -> None:
        """The cache's size, and each service."""
        report.count("service_cache_size", len(self._entries))
        report.count("service_cache_evictions_total", self._cache.evictions)
        if report.rows:
            for target, entry in self._entries.items():
                entry.service.report(report.part("services", "target", target))
        else:
            # there may be ten thousand, and a scrape holds up everybody else
            for entry in self._entries.values():
                entry.service.report(report)

    def renew(self, new_service: NewService[L], capacity: int, idle: float, changed: Callable[[Target], bool]) -> None:
        """
        Make services by C{new_service} from now on, and bound them otherwise.

        @param changed: whether a target's present service is to be used no more. Which are kept is to be said again
        """
        self._new_service = new_service
        self._cache.bound(capacity, idle)
        self._cache.renew(changed)

    def let_go(self) -> Iterator[None]:
        """Close those that are used no more, and that nobody uses, step by step."""
        return self._cache.let_go()

    def close(self) -> None:
        """Let go of every service."""
        self._cache.close()


def cached(capacity: int, idle: float, clock: IReactorTime) -> RouterLayer:
    """
    Keep at most C{capacity} services, each for C{idle} seconds after its last use.
    """

    def wrap(new_service: NewService[L]) -> Judging[L]:
        return CachedRouter(new_service, Cache(capacity, idle, clock))

    return wrap
