# -*- test-case-name: tests.stack.test_health -*-
"""
How the endpoints of a service have been doing, as far as can be told in passing.

An endpoint that fails is passed over until its backoff is over. Then one request tries it, the probe, while all others
keep to the healthy ones until it is connected. Failures that belong together count as one: what began before the
backoff was over says nothing new, be it one attempt or hundreds. So the backoff grows with time in which an endpoint
cannot be reached, never with the number of requests that find out.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from twisted.internet.interfaces import IReactorTime

from lproxy.errors import ProxyError, explain
from lproxy.stack.backoff import Backoff
from lproxy.stack.report import Report


class State(Enum):
    """Of an endpoint."""

    #: as far as is known
    HEALTHY = "healthy"
    #: it has failed, and is passed over until C{retry_at}; from then on it awaits its probe
    BACKOFF = "backoff"
    #: the one request that tries it is under way
    PROBING = "probing"


HEALTHY: Final = State.HEALTHY
BACKOFF: Final = State.BACKOFF
PROBING: Final = State.PROBING


class Ward:
    """
    What the endpoints of one service share.

    @ivar count: how many there are
    @ivar unhealthy: how many of them are not healthy; nobody looks at the clock while there are none
    """

    def __init__(self, clock: IReactorTime, backoff: Backoff) -> None:
        self.clock = clock
        self.backoff = backoff
        self.count = 0
        self.unhealthy = 0


class EndpointHealth:
    """
    One endpoint's L{Health<lproxy.stack.interfaces.Health>}.

    @ivar failures: in a row, those that were concurrent counted once
    @ivar retry_at: when its backoff is over, in the clock's seconds
    @ivar last_error: what it failed with last
    """

    def __init__(self, ward: Ward) -> None:
        self._ward = ward
        self.state = HEALTHY
        self.failures = 0
        self.retry_at = 0.0
        self.last_error: ProxyError | None = None
        self._failed_at = 0.0

    def __repr__(self) -> str:
        return f"<EndpointHealth {self.state.value} failures={self.failures} retry_at={self.retry_at:g}>"

    def report(self, report: Report) -> None:
        """How it does, what was wrong with it last and how long ago, and for how long it is passed over."""
        now = self._ward.clock.seconds()
        report.show(state=self.state.value)
        if self.last_error is not None:
            report.show(last_error=explain(self.last_error), last_error_seconds=round(now - self._failed_at, 3))
        if self.retry_at > now:
            report.show(backoff_seconds=round(self.retry_at - now, 3))

    def failed(self, error: ProxyError) -> bool:
        """A connection in use has failed; are others healthy?"""
        ward = self._ward
        self.attempt_failed(error, ward.clock.seconds())
        return ward.count - ward.unhealthy > (self.state is HEALTHY)

    def attempt_failed(self, error: ProxyError, began: float) -> None:
        """An attempt to acquire, which began at C{began}, has failed."""
        self.last_error = error
        self._failed_at = self._ward.clock.seconds()
        if not error.blames:
            return
        if began < self.retry_at:
            return  # one of several, or made although it was not time yet
        if self.state is HEALTHY:
            self._ward.unhealthy += 1
        self.state = BACKOFF
        self.failures += 1
        self.retry_at = self._ward.clock.seconds() + self._ward.backoff.delay(self.failures)

    def succeeded(self) -> None:
        """It has given a lease."""
        if self.state is not HEALTHY:
            self._ward.unhealthy -= 1
            self.state = HEALTHY
            self.failures = 0
            self.retry_at = 0.0

    def due(self, now: float) -> bool:
        """Is it time for a probe, and nobody's yet?"""
        return self.state is BACKOFF and self.retry_at <= now

    def probe(self) -> None:
        """Somebody tries it."""
        self.state = PROBING

    def probe_ended(self) -> None:
        """Whatever came of that. If nothing did, as nobody waited for it any more, another is due."""
        if self.state is PROBING:
            self.state = BACKOFF

    def gone(self) -> None:
        """It is no endpoint of the service any more."""
        self.succeeded()
