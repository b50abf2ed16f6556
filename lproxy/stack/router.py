# -*- test-case-name: tests.stack.test_router -*-
"""
From a target to its service: from the cache, or made on a miss.

Above: the lock, so that a target's service is made once. Below: new_service, which neither waits nor fails.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.stack.cache import Cache, CacheFull
from lproxy.stack.interfaces import Layer, Lease, NewService
from lproxy.target import Target


class CachedRouter:
    """The L{Acquire} at the bottom of the stack."""

    def __init__(self, new_service: NewService, cache: Cache) -> None:
        self._new_service = new_service
        self.cache = cache
        self._entries = cache.entries

    def try_acquire(self, target: Target) -> Lease | None:
        """What a cached service has ready."""
        entry = self._entries.get(target)
        if entry is None:
            return None
        entry.used = True
        return entry.service.try_acquire()

    def acquire(self, target: Target) -> Deferred[Lease]:
        """
        A lease of the target's service. The service is kept even if this fails, with what it has learnt; the failure
        is not: the next to ask makes it try again.
        """
        entry = self._entries.get(target)
        if entry is None:
            try:
                entry = self.cache.add(target, self._new_service)
            except CacheFull:
                failed: Deferred[Lease] = Deferred()
                failed.errback(Failure())
                return failed
        entry.used = True
        return entry.service.acquire()

    def describe(self) -> list[dict[str, Any]]:
        """Every cached service, for C{/services}."""
        return [{"target": str(target), **service.describe()} for target, service in self.cache]


def cached(capacity: int, idle: float, clock: IReactorTime) -> Layer:
    """
    Keep at most C{capacity} services, each for C{idle} seconds after its last use.
    """
    return lambda new_service: CachedRouter(new_service, Cache(capacity, idle, clock))
