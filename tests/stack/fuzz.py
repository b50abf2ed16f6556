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
from lproxy.stack.lease import FREE, Hold, ended
from lproxy.target import Authority, Target

TARGETS = (Authority("a.local", 80), Authority("b.local", 80))


class Boom(Exception):
    """What acquisitions fail with."""


class Caller:
    """One request, and what must become of it next."""

    __slots__ = ("d", "free", "number", "state", "target")

    def __init__(self, number: int, target: Target) -> None:
        self.number = number
        self.target = target
        self.state = "waiting"
        self.free = False
        self.d: Deferred[Any] | None = None


class FuzzLease:
    """A lease that knows for whom it was acquired, and ends once."""

    __slots__ = ("caller", "closed", "hold")

    def __init__(self, caller: Caller | None) -> None:
        self.hold: Hold = FREE
        self.caller = caller
        self.closed = False

    def call(self, request: Any) -> None:
        assert not self.closed

    def close(self) -> None:
        assert not self.closed
        self.closed = ended(self)


class LockFuzz:
    """
    The lock's inner, its callers, and the model: for each target a queue in order of arrival, and permits.

    @ivar outcomes: how often what has happened
    """

    def __init__(self, concurrency: int, seed: int) -> None:
        self.random = Random(seed)
        self.concurrency = concurrency
        self.lock: lock.Lock = lock.layer(Clock(), concurrency)(self)
        self.queue: dict[Target, dict[Caller, None]] = {target: {} for target in TARGETS}
        self.permits = dict.fromkeys(TARGETS, 0)
        self.acquiring: list[tuple[Deferred[FuzzLease], Caller]] = []
        self.held: list[Any] = []
        self.dispatched: list[Any] = []
        self.outcomes: Counter[str] = Counter()
        self.number = 0
        self.depth = 0

    # the lock's inner

    def try_acquire(self, target: Target, hint: object = None) -> FuzzLease | None:
        assert not self.queue[target], "somebody waits"
        return FuzzLease(None) if self.random.random() < 0.5 else None

    def serves(self, target: Target, avoid: object = ()) -> bool:
        return True

    def keep(self, target: Target) -> None:
        raise AssertionError("nobody asks for that")

    def acquire(self, target: Target, hint: object = None) -> Deferred[FuzzLease]:
        """Who is next is known by the model."""
        caller = next(iter(self.queue[target]))
        del self.queue[target][caller]
        assert caller.state == "waiting"
        caller.state = "acquiring"
        self.permits[target] += 1
        assert self.permits[target] <= self.concurrency
        d: Deferred[FuzzLease] = Deferred(lambda d: self.cancelled(d, caller))
        chance = self.random.random()
        if chance < 0.2:
            if caller.d is None:
                # answered before it could say what to do then: its permit is free by the time that it is told
                caller.free = True
                self.permits[target] -= 1
            d.callback(FuzzLease(caller))
        elif chance < 0.21:
            self.fails(caller)
            if chance < 0.202:
                raise Boom
            d.errback(Failure(Boom()))
        else:
            self.acquiring.append((d, caller))
        return d

    def cancelled(self, d: Deferred[FuzzLease], caller: Caller) -> None:
        self.acquiring.remove((d, caller))
        if self.random.random() < 0.3:
            caller.state = "acquiring"
            self.outcomes["late"] += 1
            d.callback(FuzzLease(caller))
        else:
            self.permits[caller.target] -= 1

    def fails(self, caller: Caller) -> None:
        """It and everybody behind it are to be told."""
        self.permits[caller.target] -= 1
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
        assert lease.caller is caller, "somebody else's"
        caller.state = "served"
        self.outcomes["served"] += 1
        self.held.append(lease)
        chance = self.random.random()
        if chance < 0.3:
            self.release(len(self.held) - 1)
        self.meddle(chance)
        if not caller.free:
            # given back as soon as this returns, dispatched or not
            self.permits[caller.target] -= 1

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
        lease = self.held.pop()
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
        """Somebody goes away, while waiting or while acquiring."""
        waiting = self.queue[target]
        if waiting and self.random.random() < 0.5:
            self.cancel(self.random.choice(list(waiting)))
        elif self.acquiring:
            self.cancel(self.random.choice(self.acquiring)[1])

    def step(self) -> None:
        """Do something, then hold the lock against the model."""
        self.act()
        queues = self.lock._queues
        for target in TARGETS:
            waiting, permits = self.queue[target], self.permits[target]
            assert not waiting or permits == self.concurrency, "there was a permit"
            queue = queues.get(target)
            if queue is None:
                assert not permits and not waiting
            else:
                assert (len(queue.waiters), len(queue.holders)) == (len(waiting), permits) != (0, 0)

    def finish(self) -> None:
        """Serve everybody who is left."""
        while self.acquiring or self.held:
            if self.acquiring:
                self.answer(0, True)
            if self.held:
                self.release(0)
        while self.dispatched:
            self.dispatched.pop().close()
        assert not self.lock._queues
        assert not self.lock.waiting
        told = self.outcomes["served"] + self.outcomes["failed"] + self.outcomes["cancelled"]
        assert told == self.number, f"{self.number} arrived and {told} were told"
