# -*- test-case-name: tests.stack.test_health -*-
"""
How the endpoints of a service have been doing, as far as can be told in passing.

An endpoint that fails is down: it is passed over until its backoff is over. Then one request tries it, the probe, while
all others keep to the healthy ones. Failures that belong together count as one: what began before the backoff was over
says nothing new, be it one attempt or hundreds. So the backoff grows with time in which an endpoint does not serve,
never with the number of requests that find out.

One that could not be connected to is well again when it is. One that failed once it was connected
(L{ProxyError.in_use}: it lost requests, or answered nothing but errors) has shown that connecting proves nothing: only
a good answer makes it well, and until then its backoff grows from probe to probe.

Bad answers count in a row, and never put the last one down that is healthy: to be answered badly is better than not at
all, and it may be the request that is bad.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from lproxy.errors import ProxyError, explain
from lproxy.metrics.counters import EndpointCounter
from lproxy.stack.backoff import Backoff
from lproxy.stack.latency import Latency
from lproxy.stack.report import Report
from lproxy.target import Endpoint, Target

#: seconds after which a probe that was not answered, such as a long poll, keeps others no longer from probing
PROBE_SECONDS: Final = 5.0


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


class EndpointObserver(Protocol):
    """Counts and logs how endpoints do: what layers see, and do not do themselves."""

    def counter(self, target: Target, endpoint: Endpoint, /) -> EndpointCounter:
        """Where what C{endpoint} does as one of C{target}'s is counted."""

    def down(self, target: Target, endpoint: Endpoint, error: ProxyError, /) -> bool:
        """
        It has failed with C{error}, and was not said to be down yet.

        @return: whether that is said now; otherwise it is told again with the next failure
        """

    def up(self, target: Target, endpoint: Endpoint, seconds: float, /) -> None:
        """It is back, after it was said to be down C{seconds} ago."""


class Unobserved:
    """An L{EndpointObserver} who is not interested."""

    def counter(self, target: Target, endpoint: Endpoint, /) -> EndpointCounter:
        """Of its own."""
        return EndpointCounter()

    def down(self, target: Target, endpoint: Endpoint, error: ProxyError, /) -> bool:
        """Never said."""
        return False

    def up(self, target: Target, endpoint: Endpoint, seconds: float, /) -> None:
        """Never said."""


class ServiceHealth:
    """
    How many endpoints of one service are healthy, and what all of them share.

    @ivar max_failures: bad answers in a row that put one down; 0: no number of them does
    @ivar count: how many there are
    @ivar unhealthy: how many of them are not healthy; nobody looks at the clock while there are none
    """

    def __init__(
        self,
        target: Target,
        clock: IReactorTime,
        backoff: Backoff,
        max_failures: int = 0,
        observer: EndpointObserver | None = None,
    ) -> None:
        self.target = target
        self.clock = clock
        self.backoff = backoff
        self.max_failures = max_failures
        self.observer: EndpointObserver = observer or Unobserved()
        self.count = 0
        self.unhealthy = 0


class EndpointHealth:
    """
    One endpoint's L{Health<lproxy.stack.interfaces.Health>}.

    @ivar counter: where it is counted
    @ivar latency: how long it takes to answer
    @ivar failures: how often it went down or failed its probe since it was healthy, what was concurrent counted once
    @ivar retry_at: when its backoff is over, in the clock's seconds
    @ivar last_error: what it failed with last
    @ivar reachable: whether it could be connected to when it failed
    @ivar _in_use: whether it has failed once it was connected, and connecting proves nothing
    @ivar _bad: bad answers in a row, those that were concurrent counted once
    @ivar _bad_at: when the last of those was counted
    @ivar _down_at: when it was healthy last
    @ivar _ejected_at: when its latest backoff began
    @ivar _probe_until: when the probe under way has taken too long
    @ivar _said: whether the observer has said that it is down
    @ivar _gone: whether it is the service's no more: what its last leases find out concerns nobody
    """

    def __init__(self, service: ServiceHealth, endpoint: Endpoint) -> None:
        self._service = service
        self._endpoint = endpoint
        self.counter = service.observer.counter(service.target, endpoint)
        self.latency = Latency(service.clock.seconds())
        self.state = HEALTHY
        self.failures = 0
        self.retry_at = 0.0
        self.last_error: ProxyError | None = None
        self.reachable = True
        self._failed_at = 0.0
        self._in_use = False
        self._bad = 0
        self._bad_at = 0.0
        self._down_at = 0.0
        self._ejected_at = 0.0
        self._probe_until = 0.0
        self._said = False
        self._gone = False

    def __repr__(self) -> str:
        return f"<EndpointHealth {self.state.value} failures={self.failures} retry_at={self.retry_at:g}>"

    def report(self, report: Report) -> None:
        """How it does, what was wrong with it last and how long ago, and for how long it is passed over."""
        now = self._service.clock.seconds()
        report.show(state=self.state.value)
        if self._service.count > 1:
            report.show(latency_ms=round(self.latency.seconds * 1000, 3))
        if self.state is not HEALTHY:
            report.show(down_seconds=round(now - self._down_at, 3))
        if self.last_error is not None:
            report.show(last_error=explain(self.last_error), last_error_seconds=round(now - self._failed_at, 3))
        if self.retry_at > now:
            report.show(backoff_seconds=round(self.retry_at - now, 3))

    # what an endpoint's service sees

    def failed(self, error: ProxyError, began: float | None = None) -> bool:
        """A connection in use has failed; are others healthy?"""
        service = self._service
        self.attempt_failed(error, service.clock.seconds() if began is None else began)
        return service.count - service.unhealthy > (self.state is HEALTHY and not self._gone)

    def answered_badly(self, error: ProxyError, began: float) -> None:
        """A request that began then was answered with C{error}."""
        service = self._service
        now = service.clock.seconds()
        self.last_error, self._failed_at = error, now
        if began < self._bad_at:
            return  # it was sent before the one counted last had shown anything
        self._bad_at = now
        self._bad += 1
        if not service.max_failures or self._bad < service.max_failures or began < self.retry_at:
            return
        if self.state is HEALTHY and service.count - service.unhealthy <= 1:
            return  # the last one
        self._eject(error, now)

    def answered_well(self, began: float) -> bool:
        """A request that began then was answered. Is it healthy?"""
        self._bad = 0
        if self.state is not HEALTHY and began >= self._ejected_at:
            self._recovered()
        return self.state is HEALTHY

    def not_answered(self, began: float) -> None:
        """A lease of then ended without saying anything: if it was the probe, another is due."""
        if self.state is PROBING and began >= self.retry_at:
            self.state = BACKOFF

    def took(self, seconds: float, now: float) -> None:
        """Weighed where there are others."""
        if self._service.count > 1:
            self.latency.took(seconds, now)

    # what the balancer sees

    def attempt_failed(self, error: ProxyError, began: float) -> None:
        """An attempt to acquire, which began at C{began}, has failed."""
        now = self._service.clock.seconds()
        self.last_error, self._failed_at = error, now
        if not error.blames:
            return
        self.reachable = error.in_use
        if began < self.retry_at:
            return  # one of several, or made although it was not time yet
        self._eject(error, now)

    def succeeded(self) -> None:
        """It has given a lease."""
        if self.state is HEALTHY:
            return
        if not self._in_use:
            self._recovered()
        elif self.due(self._service.clock.seconds()):
            self.probe()

    def due(self, now: float) -> bool:
        """Is it time for a probe, and nobody's yet?"""
        if self.state is PROBING:
            return self._in_use and self._probe_until <= now
        return self.state is BACKOFF and self.retry_at <= now

    def probe(self) -> None:
        """Somebody tries it."""
        self.state = PROBING
        self._probe_until = self._service.clock.seconds() + PROBE_SECONDS

    def probe_ended(self) -> None:
        """It gave no lease. If it did not fail either, as nobody waited for it any more, another probe is due."""
        if self.state is PROBING:
            self.state = BACKOFF

    def gone(self) -> None:
        """It is no endpoint of the service any more."""
        self._said = False
        self._gone = True
        if self.state is not HEALTHY:
            self._recovered()

    def _eject(self, error: ProxyError, now: float) -> None:
        if self._gone:
            return
        service = self._service
        if self.state is HEALTHY:
            service.unhealthy += 1
            self._down_at = now
            self.counter.down += 1
            self.counter.eject(error.reason)
        self.state = BACKOFF
        self.failures += 1
        self.reachable = error.in_use
        self._in_use = self._in_use or error.in_use
        self._ejected_at = now
        self.retry_at = now + service.backoff.delay(self.failures)
        if not self._said:
            self._said = service.observer.down(service.target, self._endpoint, error)

    def _recovered(self) -> None:
        service = self._service
        service.unhealthy -= 1
        self.counter.down -= 1
        self.state = HEALTHY
        self.failures = self._bad = 0
        self.retry_at = 0.0
        self.reachable, self._in_use = True, False
        if self._said:
            self._said = False
            service.observer.up(service.target, self._endpoint, service.clock.seconds() - self._down_at)
