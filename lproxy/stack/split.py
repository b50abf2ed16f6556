# -*- test-case-name: tests.stack.test_split -*-
"""
From a target whose requests several backends share to one of these: by their weights, or by the request's key.

Above: the timeout, so that it bounds what is logical and what is concrete together. Below: the lock, which has a queue
for each backend. Backends that do not serve, being in failfast or down, are left out while others do, and so are, of a
further try, those that have nobody but whom it has failed at; one that fails to be acquired is followed by another, as
nothing was sent yet. Nothing is kept: other weights are another target, and the
backends below stay as they are, with their connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Generic

from twisted.internet.defer import Deferred

from lproxy.errors import ProxyError
from lproxy.stack.interfaces import Acquire, Hint, Judging, L, SplitLayer
from lproxy.stack.rendezvous import digest, drawn, seed
from lproxy.target import Concrete, Endpoint, Split, Target

#: as of L{Split.backends}
Backends = Sequence[tuple[Concrete, int]]


def pick(backends: Backends, chance: float, key: bytes = b"") -> Concrete:
    """
    Who of C{backends} gets a request.

    @param chance: a random number, from 0 to less than 1
    @param key: what the request is known by: those of one key get the same, whatever the chance
    @raise ValueError: no weight is positive
    """
    if key:
        hashed = digest(key)
        best = max([(drawn(hashed, seed(one), weight), i) for i, (one, weight) in enumerate(backends) if weight > 0])
        return backends[best[1]][0]
    left = chance * sum([weight for _, weight in backends])
    for one, weight in backends:
        if left < weight:
            return one
        left -= weight
    raise ValueError(f"no backend has a weight: {backends}")


class Splitter(Generic[L]):
    """
    An L{Acquire} that knows splits.

    @ivar _chosen: what C{try_acquire} chose last, and was not ready: C{acquire} has to ask the same, or who is warm
        would get more than its part
    """

    def __init__(self, inner: Judging[L], random: Random) -> None:
        self.inner = inner
        self._random = random.random
        self._try = inner.try_acquire
        self._chosen: tuple[Split, Concrete] | None = None
        self.report = inner.report
        self.close = inner.close

    def try_acquire(self, target: Target, hint: Hint | None = None) -> L | None:
        """What the backend that it is the turn of has ready; or the target itself, which most are no split."""
        if not isinstance(target, Split):
            return self._try(target, hint)
        backend = self._choose(target.backends, hint)
        lease = self._try(backend, hint)
        if lease is None:
            self._chosen = target, backend
        return lease

    def acquire(self, target: Target, hint: Hint | None = None) -> Deferred[L]:
        """A lease on one of the backends, the first that gives one. Fails with what the last of them said."""
        if not isinstance(target, Split):
            return self.inner.acquire(target, hint)
        chosen, self._chosen = self._chosen, None
        if chosen is not None and chosen[0] is target:
            backend = chosen[1]
        else:
            backend = self._choose(target.backends, hint)
        return Deferred.fromCoroutine(self._acquire(target, backend, hint))

    def keep(self, target: Target) -> None:
        """Of a split, every backend that gets anything."""
        if not isinstance(target, Split):
            self.inner.keep(target)
            return
        for backend, weight in target.backends:
            if weight:
                self.inner.keep(backend)

    async def _acquire(self, target: Split, backend: Concrete, hint: Hint | None) -> L:
        left = target.backends
        while True:
            try:
                return await self.inner.acquire(backend, hint)
            except ProxyError:
                left = tuple([one for one in left if one[0] != backend])
                serving = self._serving(left)
                if not serving:
                    raise
            backend = pick(serving, self._random(), _key(hint))
            lease = self._try(backend, hint)
            if lease is not None:
                return lease

    def _choose(self, backends: Backends, hint: Hint | None) -> Concrete:
        """Of those that serve, and have somebody left whom the request may go to; where none does, of all."""
        serving = self._serving(backends)
        if hint is not None and hint.avoid and len(serving) > 1:
            serving = self._serving(serving, hint.avoid) or serving
        return pick(serving or backends, self._random(), _key(hint))

    def _serving(self, backends: Backends, avoid: tuple[Endpoint, ...] = ()) -> Backends:
        return [one for one in backends if one[1] and self.inner.serves(one[0], avoid)]


def _key(hint: Hint | None) -> bytes:
    return hint.key if hint is not None else b""


def layer(random: Random) -> SplitLayer:
    """Choose backends by C{random}."""

    def wrap(inner: Judging[L]) -> Acquire[L]:
        return Splitter(inner, random)

    return wrap
