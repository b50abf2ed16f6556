# -*- test-case-name: tests.stack.test_observe -*-
"""
Count every acquisition by its outcome and how long it took; and every retry, by what came of it.

C{layer}: above are only the edge's admit and retries. Below is everything that can happen to an acquisition, the
timeout included. C{retries}: outermost, above what makes the retries.
"""

from __future__ import annotations

from typing import Generic

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.errors import ProxyError
from lproxy.metrics.counters import AcquireCounter
from lproxy.stack.failfast import FailedFast
from lproxy.stack.interfaces import Bounded, BoundedLayer, Hint, L, Stack, StackLayer
from lproxy.stack.report import Report
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Target


def outcome(result: object) -> str:
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


class Observe(Generic[L]):
    """An L{Acquire} that counts."""

    def __init__(self, inner: Bounded[L], counter: AcquireCounter, clock: IReactorTime) -> None:
        self.inner = inner
        self.seconds = inner.seconds
        self._counter = counter
        self._clock = clock
        self._try = inner.try_acquire
        self.keep = inner.keep

    def try_acquire(self, target: Target, hint: Hint | None = None) -> L | None:
        """A warm one counts as ready. One that must wait is counted by L{acquire}."""
        lease = self._try(target, hint)
        if lease is not None:
            self._counter.ready += 1
        return lease

    def acquire(self, target: Target, hint: Hint | None = None) -> Deferred[L]:
        """Counts once, whatever the outcome, and changes nothing."""
        return self.inner.acquire(target, hint).addBoth(self._done, self._clock.seconds())

    def report(self, report: Report) -> None:
        """Nothing of its own: its counter is read where it was made."""
        self.inner.report(report)

    def close(self) -> None:
        """Nothing is held."""
        self.inner.close()

    def _done(self, result: L | Failure, began: float) -> L | Failure:
        self._counter.done(outcome(result), self._clock.seconds() - began)
        return result


class ObserveRetries(Generic[L]):
    """A L{Stack} that counts what is tried once more."""

    def __init__(self, inner: Stack[L], counter: AcquireCounter) -> None:
        self.inner = inner
        self._counter = counter
        # straight through: what is not tried once more costs nothing
        self.try_acquire = inner.try_acquire
        self.acquire = inner.acquire
        self.keep = inner.keep
        self.budget = inner.budget
        self.report = inner.report
        self.close = inner.close

    def again(self, target: Target, error: ProxyError, hint: Hint | None = None) -> Deferred[L]:
        """
        Counts once: C{acquired}; C{refused} or C{no_budget} where it was not even tried; or an outcome of L{outcome}.
        """
        return self.inner.again(target, error, hint).addBoth(self._done, error)

    def _done(self, result: L | Failure, error: ProxyError) -> L | Failure:
        if not isinstance(result, Failure):
            word = "acquired"
        elif result.value is error:
            word = "refused" if error.shed else "no_budget"
        else:
            word = outcome(result)
        self._counter.retried(word)
        return result


def layer(counter: AcquireCounter, clock: IReactorTime) -> BoundedLayer:
    """Count into C{counter}."""

    def wrap(inner: Bounded[L]) -> Bounded[L]:
        return Observe(inner, counter, clock)

    return wrap


def retries(counter: AcquireCounter) -> StackLayer:
    """Count retries into C{counter}."""

    def wrap(inner: Stack[L]) -> Stack[L]:
        return ObserveRetries(inner, counter)

    return wrap
