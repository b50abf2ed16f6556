# -*- test-case-name: tests.stack.test_timeout -*-
"""
Bound how long a caller waits to acquire a service.

Below: the split and the lock, so that queueing, resolving and connecting, whichever backend that is for, spend one
budget. Above: observe, so that running out of
it is counted. The call itself is never on this clock.
"""

from __future__ import annotations

from functools import partial
from typing import Generic

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.errors import ProxyError
from lproxy.stack.interfaces import Acquire, Bounded, Hint, L, TimeoutLayer
from lproxy.target import Target


class AcquireTimedOut(ProxyError):
    """Nobody served C{target} within C{seconds}."""

    layer = "acquire"
    reason = "acquire_timeout"
    flag = "UT"
    status = 503
    shed = True

    def __init__(self, target: Target, seconds: float) -> None:
        super().__init__(target)
        self.seconds = seconds

    def what(self) -> str:
        """How long it was given."""
        return f"not ready within {self.seconds:g} s"


class Timeout(Generic[L]):
    """An L{Acquire} whose Deferreds fire within C{seconds}, well or badly."""

    def __init__(self, inner: Acquire[L], seconds: float, clock: IReactorTime) -> None:
        self.inner = inner
        self.seconds = seconds
        self._clock = clock
        # straight through: what is ready now takes no time
        self.try_acquire = inner.try_acquire
        self.keep = inner.keep
        self.report = inner.report
        self.close = inner.close

    def acquire(self, target: Target, hint: Hint | None = None) -> Deferred[L]:
        """Fails with L{AcquireTimedOut}, from what it was waiting for, once the budget is spent."""
        acquired = self.inner.acquire(target, hint)
        if acquired.called and not acquired.paused:
            return acquired  # no time passed
        return acquired.addTimeout(self.seconds, self._clock, partial(self._expired, target))

    def _expired(self, target: Target, result: L | Failure, seconds: float) -> L:
        if not isinstance(result, Failure):
            return result  # it arrived while being cancelled: the caller's now
        result.trap(CancelledError)
        # a bare cancellation tells nothing
        cause = result.value if str(result.value) else None
        raise AcquireTimedOut(target, seconds).because(cause)


def layer(seconds: float, clock: IReactorTime) -> TimeoutLayer:
    """Give every acquisition C{seconds}."""

    def wrap(inner: Acquire[L]) -> Bounded[L]:
        return Timeout(inner, seconds, clock)

    return wrap
