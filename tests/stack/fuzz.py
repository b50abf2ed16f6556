# -*- test-case-name: tests.stack.test_lock -*-
"""
Chance against the lock, step by step, with a model of what must be.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lproxy.stack import lock
from lproxy.stack.interfaces import Lease
from lproxy.target import Authority, Target

TARGETS = (Authority("a.local", 80), Authority("b.local", 80))


class Boom(Exception):
    """What acquisitions fail with."""


class Caller:
    """One request, and what must become of it next."""

    __slots__ = ("d", "number", "state", "target")

    def __init__(self, number: int, target: Target) -> None:
        self.number = number
        self.target = target
        self.state = "waiting"
        self.d: Deferred[Lease] | None = None


class FuzzLease:
    """A lease that knows for whom it was acquired, and ends once."""

    __slots__ = ("caller", "closed")

    def __init__(self, caller: Caller | None) -> None:
        self.caller = caller
        self.closed = False

    def call(self, request: Any) -> None:
        assert not self.closed

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class LockFuzz:
    """
    The lock's inner, its callers, and the model: for each target a queue in order of arrival, and turns.

    @ivar outcomes: how often what has happened
    """

    def __init__(self, concurrency: int, seed: int) -> None:
        self.random = Random(seed)
        self.concurrency = concurrency
        self.lock: lock.Lock = lock.layer(Clock(), concurrency)(self)
        self.queue: dict[Target, dict[Caller, None]] = {target: {} for target in TARGETS}
        self.turns = dict.fromkeys(TARGETS, 0)
        self.acquiring: list[tuple[Deferred[Lease], Caller]] = []
        self.held: list[tuple[Any, Caller]] = []
        self.dispatched: list[Any] = []
        self.outcomes: Counter[str] = Counter()
        self.number = 0
        self.depth = 0

    # the lock's inner

    def try_acquire(self, target: Target) -> Lease | None:
        assert not self.queue[target], "somebody stands in line"
        return FuzzLease(None) if self.random.random() < 0.5 else None

    def acquire(self, target: Target) -> Deferred[Lease]:
        """Whose turn it is is known by the model."""
        caller = next(iter(self.queue[target]))
        del self.queue[target][caller]
        assert caller.state == "waiting"
        caller.state = "acquiring"
        self.turns[target] += 1
        assert self.turns[target] <= self.concurrency
        d: Deferred[Lease] = Deferred(lambda d: self.cancelled(d, caller))
        chance = self.random.random()
        if chance < 0.2:
            d.callback(FuzzLease(caller))
        elif chance < 0.21:
            self.fails(caller)
            if chance < 0.202:
                raise Boom
            d.errback(Failure(Boom()))
        else:
            self.acquiring.append((d, caller))
        return d

    def cancelled(self, d: Deferred[Lease], caller: Caller) -> None:
        self.acquiring.remove((d, caller))
        if self.random.random() < 0.3:
            caller.state = "acquiring"
            self.outcomes["late"] += 1
            d.callback(FuzzLease(caller))
        else:
            self.turns[caller.target] -= 1

    def fails(self, caller: Caller) -> None:
        """It and everybody behind it are to be told."""
        self.turns[caller.target] -= 1
        caller.state = "failing"
        for waiter in self.queue[caller.target]:
            waiter.state = "failing"
        self.queue[caller.target].clear()

    # the lock's callers

    def arrive(self, target: Target) -> None:
        self.number += 1
        caller = Caller(self.number, target)
        self.queue[target][caller] = None
        caller.d = self.lock.acquire(target)
        caller.d.addCallbacks(self.served, self.not_served, callbackArgs=(caller,), errbackArgs=(caller,))

    def served(self, lease: Any, caller: Caller) -> None:
        assert caller.state == "acquiring", caller.state
        assert lease._inner.caller is caller, "somebody else's"
        caller.state = "served"
        self.outcomes["served"] += 1
        self.held.append((lease, caller))
        chance = self.random.random()
        if chance < 0.3:
            self.release(len(self.held) - 1)
        self.meddle(chance)

    def not_served(self, failure: Failure, caller: Caller) -> None:
        if failure.check(CancelledError):
            assert caller.state == "cancelling", caller.state
            self.outcomes["cancelled"] += 1
        else:
            failure.trap(Boom)
            assert caller.state == "failing", caller.state
            self.outcomes["failed"] += 1
        caller.state = "over"
        self.meddle(self.random.random())

    def meddle(self, chance: float) -> None:
        """Do something else from within a callback."""
        if chance > 0.9 and self.depth < 3:
            self.depth += 1
            self.act()
            self.depth -= 1

    def release(self, i: int) -> None:
        self.held[i], self.held[-1] = self.held[-1], self.held[i]
        lease, caller = self.held.pop()
        self.turns[caller.target] -= 1
        if self.random.random() < 0.7:
            lease.call("request")
            self.dispatched.append(lease)
        else:
            lease.close()

    def answer(self, i: int, well: bool) -> None:
        self.acquiring[i], self.acquiring[-1] = self.acquiring[-1], self.acquiring[i]
        d, caller = self.acquiring.pop()
        if well:
            d.callback(FuzzLease(caller))
        else:
            self.fails(caller)
            d.errback(Failure(Boom()))

    def cancel(self, caller: Caller) -> None:
        if caller.state == "waiting":
            del self.queue[caller.target][caller]
        assert caller.d is not None
        caller.state = "cancelling"
        caller.d.cancel()
        assert caller.state in ("over", "served"), caller.state

    # steps

    def act(self) -> None:
        random = self.random
        target = random.choice(TARGETS)
        chance = random.random()
        crowd = len(self.queue[target])
        if chance < (0.45 if crowd < 3 * self.concurrency + 10 else 0.1):
            self.arrive(target)
        elif chance < 0.6:
            if self.acquiring:
                self.answer(random.randrange(len(self.acquiring)), random.random() < 0.97)
        elif chance < 0.8:
            if self.held:
                self.release(random.randrange(len(self.held)))
        elif chance < 0.85:
            self.leave(target)
        elif chance < 0.9:
            free = not self.queue[target]
            lease = self.lock.try_acquire(target)
            if lease is not None:
                assert free
                self.outcomes["warm"] += 1
                lease.close()
        elif self.dispatched:
            self.dispatched.pop(random.randrange(len(self.dispatched))).close()

    def leave(self, target: Target) -> None:
        """Somebody goes away, in line or while acquiring."""
        waiting = self.queue[target]
        if waiting and self.random.random() < 0.5:
            self.cancel(self.random.choice(list(waiting)))
        elif self.acquiring:
            self.cancel(self.random.choice(self.acquiring)[1])

    def step(self) -> None:
        """Do something, then hold the lock against the model."""
        self.act()
        lines = self.lock._lines
        for target in TARGETS:
            waiting, turns = self.queue[target], self.turns[target]
            assert not waiting or turns == self.concurrency, "there was a turn to be had"
            line = lines.get(target)
            if line is None:
                assert not turns and not waiting
            else:
                assert (len(line.waiting), len(line.turns)) == (len(waiting), turns) != (0, 0)

    def finish(self) -> None:
        """Serve everybody who is left."""
        while self.acquiring or self.held:
            if self.acquiring:
                self.answer(0, True)
            if self.held:
                self.release(0)
        while self.dispatched:
            self.dispatched.pop().close()
        assert not self.lock._lines
        assert not self.lock.waiting
        told = self.outcomes["served"] + self.outcomes["failed"] + self.outcomes["cancelled"]
        assert told == self.number, f"{self.number} arrived and {told} were told"
