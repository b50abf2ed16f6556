# -*- test-case-name: tests.stack.test_cache -*-
"""
Keep services by target until they have been idle for a while.

The cached router (L{lproxy.stack.router}) fills it. A service is idle while no lease is out and nobody asked for it;
only one that was idle for the whole period is evicted, so whoever asks in the turn of an expiry is served.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lproxy.errors import ProxyError
from lproxy.stack.interfaces import L, NewService, Service
from lproxy.target import Target


class CacheFull(ProxyError):
    """Every cached service is in use and there may be no more."""

    layer = "cache"
    reason = "cache_full"
    flag = "UO"
    status = 503
    shed = True

    def __init__(self, target: Target, capacity: int) -> None:
        super().__init__(target)
        self.capacity = capacity

    def what(self) -> str:
        """How many there are."""
        return f"refused: all {self.capacity} cached services are in use"


class Entry(Generic[L]):
    """
    A cached service.

    @ivar used: set by every request, and taken back by a sweep that finds it idle
    @ivar kept: whether it stays, whether anybody asks for it or not
    """

    def __init__(self, service: Service[L], now: float) -> None:
        self.service = service
        self.try_acquire = service.try_acquire
        self.used = True
        self.kept = False
        self.idle_since = now


class Cache(Generic[L]):
    """
    Services by target, least recently used first (as of the latest sweep).

    @param capacity: how many at most
    @param idle: seconds that a service is kept without being used
    @ivar _leaving: services that others have taken the place of, as long as somebody uses them
    """

    def __init__(self, capacity: int, idle: float, clock: IReactorTime) -> None:
        self._capacity = capacity
        self._idle = idle
        self._clock = clock
        self._sweeper: IDelayedCall | None = None
        self._leaving: dict[Service[L], None] = {}
        self.entries: OrderedDict[Target, Entry[L]] = OrderedDict()
        self.evictions = 0

    def __repr__(self) -> str:
        return f"<Cache {len(self.entries)} of {self._capacity}>"

    def add(self, target: Target, new_service: NewService[L]) -> Entry[L]:
        """
        Make a service, and keep it.

        @raise CacheFull: there is no room and nothing idle to evict; nothing was made
        """
        if len(self.entries) >= self._capacity:
            self._make_room(target)
        entry = self.entries[target] = Entry(new_service(target), self._clock.seconds())
        if self._sweeper is None:
            self._schedule()
        return entry

    def bound(self, capacity: int, idle: float) -> None:
        """Keep other bounds from now on; those that there are too many of go when they are idle."""
        self._capacity = capacity
        self._idle = idle

    def renew(self, changed: Callable[[Target], bool]) -> None:
        """
        Whoever asks next for a target that has C{changed} gets another service. The others go by L{let_go}, or when
        they are looked for next: each when nobody uses it, or waits for it.
        """
        for entry in self.entries.values():
            entry.kept = False
        for target in [target for target in self.entries if changed(target)]:
            self._leaving[self.entries.pop(target).service] = None

    def let_go(self) -> Iterator[None]:
        """Close services that others have taken the place of, as far as nobody uses them, one after the other."""
        for service in list(self._leaving):
            if service in self._leaving and not service.busy():
                del self._leaving[service]
                service.close()
                yield

    def close(self) -> None:
        """Let go of everything."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        leaving, self._leaving = self._leaving, {}
        for service in leaving:
            service.close()
        while self.entries:
            _, entry = self.entries.popitem()
            entry.service.close()

    def _make_room(self, target: Target) -> None:
        for candidate, entry in self.entries.items():
            if not (entry.kept or entry.service.busy()):
                self._evict(candidate)
                return
        raise CacheFull(target, self._capacity)

    def _evict(self, target: Target) -> None:
        self.evictions += 1
        self.entries.pop(target).service.close()

    def _schedule(self) -> None:
        # one timer for all: a service stays at most half a period longer than it must
        self._sweeper = self._clock.callLater(self._idle / 2, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._clock.seconds()
        for target, entry in list(self.entries.items()):
            if entry.used or entry.kept:
                # whoever asked for it may have it still, and have it until just before the next sweep
                entry.used = bool(entry.service.busy())
                entry.idle_since = now
                self.entries.move_to_end(target)
            elif now - entry.idle_since >= self._idle:
                self._evict(target)
        for _ in self.let_go():
            pass
        if self.entries or self._leaving:
            self._schedule()
