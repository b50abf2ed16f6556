# -*- test-case-name: tests.stack.test_timeout -*-
"""
Bound how long a caller waits to acquire a service.

Below: the lock, so that queueing, resolving and connecting spend one budget. Above: observe, so that running out of
it is counted. The call itself is never on this clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.errors import ProxyError
from lproxy.stack.interfaces import Acquire, Layer, Lease
from lproxy.target import Target


class AcquireTimedOut(ProxyError):
    """Nobody served C{target} within C{seconds}."""

    layer = "acquire"
    reason = "acquire_timeout"
    flag = "UT"
    status = 503

    def __init__(self, target: Target, seconds: float) -> None:
        super().__init__(target)
        self.seconds = seconds

    def what(self) -> str:
        """How long it was given."""
        return f"not ready within {self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Timeout:
    """An L{Acquire} whose Deferreds fire within C{seconds}, well or badly."""

    inner: Acquire
    seconds: float
    clock: IReactorTime

    def try_acquire(self, target: Target) -> Lease | None:
        """Ready now: no time passes."""
        return self.inner.try_acquire(target)

    def acquire(self, target: Target) -> Deferred[Lease]:
        """Fails with L{AcquireTimedOut}, from what it was waiting for, once the budget is spent."""

        def expired(result: Lease | Failure, seconds: float) -> Lease:
            if not isinstance(result, Failure):
                return result  # it arrived while being cancelled: the caller's now
            result.trap(CancelledError)
            # a bare cancellation tells nothing
            cause = result.value if str(result.value) else None
            raise AcquireTimedOut(target, seconds) from cause

        acquired = self.inner.acquire(target)
        if acquired.called and not acquired.paused:
            return acquired  # no time passed
        return acquired.addTimeout(self.seconds, self.clock, expired)


def layer(seconds: float, clock: IReactorTime) -> Layer:
    """Give every acquisition C{seconds}."""
    return lambda inner: Timeout(inner, seconds, clock)
