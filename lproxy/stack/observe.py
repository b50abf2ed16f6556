# -*- test-case-name: tests.stack.test_observe -*-
"""
Count every acquisition by its outcome and how long it took.

Above: only the edge's admit. Below: everything that can happen to an acquisition, the timeout included.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.metrics.counters import AcquireCounter
from lproxy.stack.failfast import FailedFast
from lproxy.stack.interfaces import Acquire, Layer, Lease
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Target


def outcome(result: Lease | Failure) -> str:
    """The word that C{acquire_total} counts an acquisition under."""
    if not isinstance(result, Failure):
        return "waited"
    if result.check(AcquireTimedOut):
        return "timed_out"
    if result.check(FailedFast):
        return "failfast"
    if result.check(CancelledError):
        return "cancelled"
    return "failed"


@dataclass(frozen=True, slots=True)
class Observe:
    """An L{Acquire} that counts."""

    inner: Acquire
    counter: AcquireCounter
    clock: IReactorTime

    def try_acquire(self, target: Target) -> Lease | None:
        """A warm one counts as ready. One that must wait is counted by L{acquire}."""
        lease = self.inner.try_acquire(target)
        if lease is not None:
            self.counter.ready += 1
        return lease

    def acquire(self, target: Target) -> Deferred[Lease]:
        """Counts once, whatever the outcome, and changes nothing."""
        began = self.clock.seconds()

        def count(result: Lease | Failure) -> Lease | Failure:
            self.counter.done(outcome(result), self.clock.seconds() - began)
            return result

        return self.inner.acquire(target).addBoth(count)


def layer(counter: AcquireCounter, clock: IReactorTime) -> Layer:
    """Count into C{counter}."""
    return lambda inner: Observe(inner, counter, clock)
