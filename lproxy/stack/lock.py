# -*- test-case-name: tests.stack.test_lock -*-
"""
Acquire a target's service in order of arrival, so many callers at once.

Above: the timeout, so that waiting for a permit spends the same budget; and the split, so that each backend has a queue
of its own. Below: the cached router. A caller holds its
permit until it has dispatched its request, which it does as soon as it is handed the lease, and not until the answer
comes. There are C{concurrency} permits for each target (never one queue for all targets): with one, connections to a
distant upstream would be opened one round trip after the other. A warm service is not locked at all while nobody waits.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Generic

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.stack.interfaces import Hint, Judging, L, LockLayer
from lproxy.stack.report import Report
from lproxy.target import Target


class NoPermit(CancelledError):
    """A waiter's time ran out, or its client went away, before it had a permit; the text says what it waited for."""


class _Holder(Generic[L]):
    """Who has a permit, since when, and what it waits for below."""

    def __init__(self, caller: Deferred[L], since: float) -> None:
        self.caller = caller
        self.since = since
        self.inner: Deferred[L] | None = None


class _Queue(Generic[L]):
    """A target's holders and waiters, oldest first. It exists while there is a holder."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.holders: dict[Deferred[L], _Holder[L]] = {}
        self.waiters: OrderedDict[Deferred[L], Hint | None] = OrderedDict()
        self.advancing = False


class Lock(Generic[L]):
    """
    An L{Acquire} that lets C{concurrency} callers per target through to C{inner}.

    @ivar concurrency: how many; another number holds for those who come next
    """

    def __init__(self, inner: Judging[L], clock: IReactorTime, concurrency: int) -> None:
        self.inner = inner
        self._clock = clock
        self.concurrency = concurrency
        self._queues: dict[Target, _Queue[L]] = {}
        self._try = inner.try_acquire
        self.serves = inner.serves
        self.keep = inner.keep

    def __repr__(self) -> str:
        return f"<Lock {len(self._queues)} held, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """How many callers wait for a permit, for all targets."""
        return sum([len(queue.waiters) for queue in self._queues.values()])

    def try_acquire(self, target: Target, hint: Hint | None = None) -> L | None:
        """Straight through, unless somebody waits for the same."""
        if self._queues:
            queue = self._queues.get(target)
            if queue is not None and queue.waiters:
                return None
        return self._try(target, hint)

    def acquire(self, target: Target, hint: Hint | None = None) -> Deferred[L]:
        """
        A lease, in order of arrival. A failure to acquire is everybody's who was waiting for the same; a cancellation
        is only the canceller's.
        """
        queue = self._queues.get(target)
        if queue is None:
            queue = self._queues[target] = _Queue(target)
        caller: Deferred[L] = Deferred(partial(self._cancelled, queue))
        queue.waiters[caller] = hint
        self._advance(queue)
        return caller

    def report(self, report: Report) -> None:
        """How many wait; and of each target in the rows, who does and how long its oldest holder has had its permit."""
        report.count("lock_waiters", self.waiting)
        self.inner.report(report)
        for row in report.parts("services"):
            self.show(row, row.about)

    def show(self, row: Report, target: object) -> None:
        """Who waits for C{target}, and how long its oldest holder has had its permit."""
        queue = self._queues.get(target)  # type: ignore[call-overload]
        if queue is None or not queue.holders:
            row.show(waiters=0, lock="free")
            return
        oldest = next(iter(queue.holders.values()))
        held = round(self._clock.seconds() - oldest.since, 3)
        row.show(waiters=len(queue.waiters), lock={"holders": len(queue.holders), "held_seconds": held})

    def close(self) -> None:
        """Those who still wait do so, until the timeout above ends that."""
        self.inner.close()

    def _cancelled(self, queue: _Queue[L], caller: Deferred[L]) -> None:
        if caller in queue.waiters:
            ahead = len(queue.holders)
            for waiter in queue.waiters:
                if waiter is caller:
                    break
                ahead += 1
            # unlinked before it fires, so that it can never be granted
            del queue.waiters[caller]
            caller.errback(NoPermit(f"queued behind {ahead} others"))
            return
        holder = queue.holders.get(caller)
        if holder is not None and holder.inner is not None:
            holder.inner.cancel()

    def _advance(self, queue: _Queue[L]) -> None:
        """
        Give permits to waiters, as long as there are both.

        A loop, not a recursion: those who are granted one may be done before this returns, thousands of them in a row.
        """
        if queue.advancing:
            return
        queue.advancing = True
        while queue.waiters and len(queue.holders) < self.concurrency:
            caller, hint = queue.waiters.popitem(last=False)
            holder = queue.holders[caller] = _Holder(caller, self._clock.seconds())
            try:
                inner = holder.inner = self.inner.acquire(queue.target, hint)
            except Exception:
                # a layer below that raises where it should fail: the same to those who wait
                self._failed(Failure(), queue, holder)
                continue
            inner.addCallbacks(self._granted, self._failed, callbackArgs=(queue, holder), errbackArgs=(queue, holder))
        queue.advancing = False
        if not queue.holders and not queue.waiters and self._queues.get(queue.target) is queue:
            del self._queues[queue.target]

    def _granted(self, lease: L, queue: _Queue[L], holder: _Holder[L]) -> None:
        holder.inner = None
        if holder.caller.called:
            lease.close()  # cancelled, and what is below had it all the same
        else:
            holder.caller.callback(lease)  # and within this the request is dispatched
        del queue.holders[holder.caller]
        self._advance(queue)

    def _failed(self, failure: Failure, queue: _Queue[L], holder: _Holder[L]) -> None:
        del queue.holders[holder.caller]
        concerned = [holder.caller]
        if not failure.check(CancelledError):
            concerned.extend(queue.waiters)
            queue.waiters.clear()
        for caller in concerned:
            if not caller.called:  # one that was told may cancel others
                caller.errback(failure)
        self._advance(queue)


def layer(clock: IReactorTime, concurrency: int = 1) -> LockLayer:
    """A queue for each target, and C{concurrency} permits."""

    def wrap(inner: Judging[L]) -> Judging[L]:
        return Lock(inner, clock, concurrency)

    return wrap
