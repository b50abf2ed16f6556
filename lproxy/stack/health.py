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

Bad answers count in a row, and by their part in all (L{lproxy.stack.outlier}). They never put the last one down that is
healthy, nor more than a part of all: to be answered badly is better than not at all, and it may be the request that is
bad.

What checks find out (L{lproxy.stack.active}) stands beside that: an endpoint is well if neither says otherwise. One
that they have put down is in use again once they say so, and no request tries it before.

Over 300 lines: a state machine, and what moves it.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import Final

from twisted.internet.interfaces import IReactorTime

from lproxy.balancing import DEFAULT, Balancing
from lproxy.errors import ProxyError, explain
from lproxy.stack.backoff import Backoff
from lproxy.stack.latency import Latency
from lproxy.stack.observer import EndpointObserver, Unobserved
from lproxy.stack.outlier import Tally
from lproxy.stack.report import Report
from lproxy.target import Endpoint, Target

#: seconds after which a probe that was not answered, such as a long poll, keeps others no longer from probing
PROBE_SECONDS: Final = 5.0
#: of its requests, what an endpoint has that begins to be eased in
LEAST: Final = 0.1


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


class ServiceHealth:
    """
    How many endpoints of one service are well, and what all of them share.

    @ivar settings: what puts one down, and how it comes back
    @ivar count: how many there are
    @ivar unhealthy: how many of them are not well; nobody looks at the clock while there are none
    @ivar endpoints: those that there are
    @ivar changes: a figure that grows with every change of a state
    @ivar easing_until: when the last of them that was new, or back, has its full part
    """

    def __init__(
        self,
        target: Target,
        clock: IReactorTime,
        backoff: Backoff,
        settings: Balancing = DEFAULT,
        observer: EndpointObserver | None = None,
    ) -> None:
        self.target = target
        self.clock = clock
        self.backoff = backoff
        self.settings = settings
        self.observer: EndpointObserver = observer or Unobserved()
        self.count: int = 0
        self.unhealthy: int = 0
        self.endpoints: dict[EndpointHealth, None] = {}
        self.changes: int = 0
        self.easing_until: float = -inf

    def may_eject(self) -> bool:
        """Whether another may be put down for its answers: not the last, and not more of them than is set."""
        most = max(1, int(self.count * self.settings.max_ejected))
        return self.unhealthy < most and self.count - self.unhealthy > 1


class EndpointHealth:
    """
    One endpoint's L{Health<lproxy.stack.interfaces.Health>}.

    @ivar counter: where it is counted
    @ivar latency: how long it takes to answer
    @ivar state: as requests find it
    @ivar unwell: whether checks have put it down
    @ivar well: whether neither has
    @ivar eased_at: since when it is eased in
    @ivar failures: how often it went down or failed its probe since it was healthy, what was concurrent counted once
    @ivar retry_at: when its backoff is over, in the clock's seconds
    @ivar last_error: what it failed with last
    @ivar reachable: whether it could be connected to when it failed
    @ivar _tally: its answers, and how many of them were bad
    @ivar _in_use: whether it has failed once it was connected, and connecting proves nothing
    @ivar _bad: bad answers in a row, those that were concurrent counted once
    @ivar _bad_at: when the last of those was counted
    @ivar _outlying: how many times in short order it was put down for the part of its bad answers, less one
    @ivar _back_at: when it was last found healthy again
    @ivar _checks: good outcomes of checks in a row; or bad ones, as a negative number; 0: there was none yet
    @ivar _checked_at: when the last one was
    @ivar _down_at: when it was well last
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
        self.state: State = HEALTHY
        self.unwell: bool = False
        self.well: bool = True
        self.eased_at: float = -inf
        self.failures: int = 0
        self.retry_at: float = 0.0
        self.last_error: ProxyError | None = None
        self.reachable: bool = True
        self._tally = Tally()
        self._failed_at: float = 0.0
        self._in_use: bool = False
        self._bad: int = 0
        self._bad_at: float = 0.0
        self._outlying: int = 0
        self._back_at: float = -inf
        self._checks: int = 0
        self._checked_at: float = 0.0
        self._down_at: float = 0.0
        self._ejected_at: float = 0.0
        self._probe_until: float = 0.0
        self._said: bool = False
        self._gone: bool = False
        service.endpoints[self] = None

    def __repr__(self) -> str:
        return f"<EndpointHealth {self.state.value} failures={self.failures} retry_at={self.retry_at:g}>"

    def report(self, report: Report) -> None:
        """How it does, what was wrong with it last and how long ago, and for how long it is passed over."""
        now = self._service.clock.seconds()
        report.show(state="unhealthy" if self.unwell else self.state.value)
        if self._service.count > 1:
            report.show(latency_ms=round(self.latency.seconds * 1000, 3))
        if not self.well:
            report.show(down_seconds=round(now - self._down_at, 3))
        elif (part := self.part(now)) < 1.0:
            report.show(eased_in=round(part, 3))
        if self.last_error is not None:
            report.show(last_error=explain(self.last_error), last_error_seconds=round(now - self._failed_at, 3))
        if self.retry_at > now:
            report.show(backoff_seconds=round(self.retry_at - now, 3))
        if self._checks:
            word = "good" if self._checks > 0 else "bad"
            seconds = round(now - self._checked_at, 3)
            report.show(checks={"last": word, "in_a_row": abs(self._checks), "seconds_ago": seconds})

    def part(self, now: float) -> float:
        """What part of its requests it is to have: all of them, or less while it is eased in."""
        period = self._service.settings.slow_start
        since = now - self.eased_at
        return 1.0 if period is None or since >= period else max(LEAST, since / period)

    def ease(self) -> None:
        """It is to be eased in from now on."""
        service = self._service
        period = service.settings.slow_start
        if period is not None:
            self.eased_at = now = service.clock.seconds()
            service.easing_until = now + period

    # what an endpoint's service sees

    def failed(self, error: ProxyError, began: float | None = None) -> bool:
        """A connection in use has failed; are others healthy?"""
        service = self._service
        self.attempt_failed(error, service.clock.seconds() if began is None else began)
        return service.count - service.unhealthy > (self.well and not self._gone)

    def answered_badly(self, error: ProxyError, began: float) -> None:
        """A request that began then was answered with C{error}."""
        service = self._service
        settings = service.settings
        now = service.clock.seconds()
        self.last_error, self._failed_at = error, now
        if service.count > 1:
            self.latency.failed(now - began, now)
        self._tally.answered_badly(began, now, settings.failure_window)
        row = began >= self._bad_at
        if row:  # it was not sent before the one counted last had shown anything
            self._bad_at = now
            self._bad += 1
        if began < self.retry_at:
            return
        if not (self.state is PROBING and self._in_use and settings.max_failures):
            outlying = self._stands_out()
            if not outlying and not (row and 0 < settings.max_failures <= self._bad):
                return
            if self.well and not service.may_eject():
                return
            if outlying and self.state is HEALTHY:
                # a good answer to a probe says little where many are good: if it was out just now, it stays out longer
                soon = now - self._back_at < settings.failure_window
                self.failures = self._outlying = self._outlying + 1 if soon else 0
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
            self._become(BACKOFF, self.unwell)

    def took(self, seconds: float, now: float) -> None:
        """Weighed where there are others."""
        if self._service.count > 1:
            self.latency.took(seconds, now)
            tally = self._tally
            if now - seconds >= tally.since:
                tally.asked += 1

    # what checks see

    def checked(self, error: ProxyError | None) -> None:
        """A check has had a good outcome, or C{error}. The first one decides alone."""
        check = self._service.settings.check
        if check is None or self._gone:
            return
        first = not self._checks
        self._checked_at = now = self._service.clock.seconds()
        self.counter.checked("ok" if error is None else error.reason)
        if error is None:
            self._checks = max(self._checks, 0) + 1
            if self.unwell and (first or self._checks >= check.healthy):
                self._become(self.state, False)
            return
        self._checks = min(self._checks, 0) - 1
        self.last_error, self._failed_at = error, now
        if not self.unwell and (first or -self._checks >= check.unhealthy):
            if self.well:
                self.counter.eject(error.reason)
            self._become(self.state, True)
        if self.unwell:
            self._say(error)

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
        if self.unwell:
            return False
        if self.state is PROBING:
            return self._in_use and self._probe_until <= now
        return self.state is BACKOFF and self.retry_at <= now

    def probe(self) -> None:
        """Somebody tries it."""
        self._probe_until = self._service.clock.seconds() + PROBE_SECONDS
        self._become(PROBING, self.unwell)

    def probe_ended(self) -> None:
        """It gave no lease. If it did not fail either, as nobody waited for it any more, another probe is due."""
        if self.state is PROBING:
            self._become(BACKOFF, self.unwell)

    def due_at(self) -> float:
        """When it is time for a probe, unless something happens before; infinity: not by itself."""
        if self.unwell or self.state is HEALTHY:
            return inf
        if self.state is BACKOFF:
            return self.retry_at
        return self._probe_until if self._in_use else inf

    def gone(self) -> None:
        """It is no endpoint of the service any more."""
        self._said = False
        self._gone = True
        self._service.endpoints.pop(self, None)
        if not self.well:
            self._reset()
            self._become(HEALTHY, False)

    def _stands_out(self) -> bool:
        service = self._service
        settings = service.settings
        others = [endpoint._tally for endpoint in service.endpoints]
        return self._tally.stands_out(settings.failure_ratio, settings.failure_requests, others)

    def _eject(self, error: ProxyError, now: float) -> None:
        if self._gone:
            return
        service = self._service
        if self.well:
            self.counter.eject(error.reason)
        self.failures += 1
        self.reachable = error.in_use
        self._in_use = self._in_use or error.in_use
        self._ejected_at = now
        self.retry_at = now + service.backoff.delay(self.failures)
        self._become(BACKOFF, self.unwell)
        self._say(error)

    def _recovered(self) -> None:
        self._reset()
        self._back_at = self._service.clock.seconds()
        self._become(HEALTHY, self.unwell)

    def _reset(self) -> None:
        self.failures = self._bad = 0
        self.retry_at = 0.0
        self.reachable, self._in_use = True, False
        self._tally = Tally()

    def _become(self, state: State, unwell: bool) -> None:
        """All changes of state pass here."""
        service = self._service
        was = self.well
        self.state, self.unwell = state, unwell
        self.well = well = state is HEALTHY and not unwell
        service.changes += 1
        if was and not well:
            service.unhealthy += 1
            self.counter.down += 1
            self._down_at = service.clock.seconds()
        elif well and not was:
            service.unhealthy -= 1
            self.counter.down -= 1
            if not self._gone:
                self.ease()
            if self._said:
                self._said = False
                service.observer.up(service.target, self._endpoint, service.clock.seconds() - self._down_at)

    def _say(self, error: ProxyError) -> None:
        if not self._said:
            service = self._service
            self._said = service.observer.down(service.target, self._endpoint, error)
