# -*- test-case-name: tests.stack.test_active -*-
"""
Ask an endpoint again and again whether it serves, beside all requests.

How it is asked is its protocol's affair (L{EndpointService.check<lproxy.stack.interfaces.EndpointService.check>}), what
comes of it that of its health (L{lproxy.stack.health}). Here are the time between two questions, jittered so that those
to many endpoints do not go out together, and the time for one.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from lproxy.balancing import HealthCheck
from lproxy.errors import ProxyError, judge
from lproxy.target import Endpoint

#: the part of an interval by which questions come earlier or later, and within which the first one comes
JITTER: Final = 0.1


class CheckTimedOut(ProxyError):
    """An endpoint was asked whether it serves, and did not say in time."""

    layer = "health"
    reason = "check_timeout"
    flag = "UT"
    status = 504

    def __init__(self, target: Endpoint, seconds: float) -> None:
        super().__init__(target)
        self.seconds = seconds

    def what(self) -> str:
        """How long it was given."""
        return f"did not answer a health check within {self.seconds:g} s"


class Checks:
    """Of one endpoint. It begins at once, and goes on until L{stop}."""

    def __init__(
        self,
        ask: Callable[[], Deferred[None]],
        endpoint: Endpoint,
        settings: HealthCheck,
        clock: IReactorTime,
        random: Random,
        tell: Callable[[ProxyError | None], None],
    ) -> None:
        """
        @param ask: the question; fails with why the endpoint does not serve
        @param tell: told of each outcome
        """
        self._ask = ask
        self._endpoint = endpoint
        self._settings = settings
        self._clock = clock
        self._random = random
        self._tell = tell
        self._asked: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = clock.callLater(random.uniform(0.0, JITTER) * settings.interval, self._next)

    def stop(self) -> None:
        """Ask no more. An outcome that is awaited is told nobody."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.cancel()

    def _next(self) -> None:
        jitter = self._random.uniform(1.0 - JITTER, 1.0 + JITTER)
        self._timer = self._clock.callLater(self._settings.interval * jitter, self._next)
        if self._asked is not None:
            return  # the last one takes its time, which is longer than the interval
        asked = self._asked = maybeDeferred(self._ask)
        asked.addTimeout(self._settings.timeout, self._clock, self._expired)
        asked.addBoth(self._done, asked)

    def _expired(self, result: object, seconds: float) -> object:
        if isinstance(result, Failure) and result.check(CancelledError):
            raise CheckTimedOut(self._endpoint, seconds)
        return result

    def _done(self, result: object, asked: Deferred[Any]) -> None:
        if self._asked is not asked:
            return  # stopped
        self._asked = None
        error = judge(result.value) if isinstance(result, Failure) and result.value is not None else None
        self._tell(error)
