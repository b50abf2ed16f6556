# -*- test-case-name: tests.stack.test_failfast -*-
"""
Fail at once what could only wait in vain.

Inside a service, above its balancer. A service that keeps callers waiting for its period without becoming ready once
fails all that wait and all that come, until a probe in the background, which needs no request to drive it, finds it
ready again. Time counts only while somebody waits: what refuses at once fails each caller with its own explanation.

Over 300 lines: a state machine is read as one, and its table beside what moves it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, Generic

from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from lproxy.errors import ProxyError, explain
from lproxy.stack.backoff import Backoff
from lproxy.stack.interfaces import Hint, L, NewService, Service, ServiceLayer
from lproxy.stack.report import Report
from lproxy.target import Endpoint, Target


class FailedFast(ProxyError):
    """The service has not been ready for C{seconds}; callers no longer wait for it."""

    layer = "failfast"
    reason = "failfast"
    flag = "UH"
    status = 503
    shed = True

    def __init__(self, target: Target, seconds: float) -> None:
        super().__init__(target)
        self.seconds = seconds

    def what(self) -> str:
        """How long it had been waited for."""
        return f"not ready for {self.seconds:g} s, failing at once until it is"


class State(Enum):
    """What becomes of callers."""

    #: nobody waits
    OPEN = "ready"
    #: somebody does, and the period runs
    WAITING = "waiting"
    #: everybody is failed, until the next probe
    FAILING = "failfast"
    #: everybody is failed, and a probe is under way
    PROBING = "probing"


class Event(Enum):
    """What happens to a service."""

    WAITED_FOR = "somebody waits"
    LEFT = "the last one who waited was served, failed or gave up"
    EXPIRED = "the period is over"
    READY = "the probe was given a lease"
    UNREADY = "the probe failed"
    RETRY = "the probe's backoff is over, or there is a new reason to try"


OPEN: Final = State.OPEN
WAITING: Final = State.WAITING
FAILING: Final = State.FAILING
PROBING: Final = State.PROBING

#: all that can happen in each state; whatever else does is a mistake
TRANSITIONS: Final = {
    (OPEN, Event.WAITED_FOR): WAITING,
    (OPEN, Event.EXPIRED): PROBING,
    (WAITING, Event.LEFT): OPEN,
    (WAITING, Event.EXPIRED): PROBING,
    (PROBING, Event.READY): OPEN,
    (PROBING, Event.UNREADY): FAILING,
    (FAILING, Event.RETRY): PROBING,
}


class FailFast(Generic[L]):
    """
    A L{Service} that does not let callers wait in vain.

    @ivar state: moved by L{TRANSITIONS} alone
    @ivar trips: how many times it began to fail
    @ivar _left: seconds that callers may wait until it fails; the whole period, if it was ready since they did
    @ivar _deadline: when nothing is left, while somebody waits
    @ivar _timer: to the end of the period, or to the next probe
    """

    def __init__(self, target: Target, inner: Service[L], period: float, clock: IReactorTime, backoff: Backoff) -> None:
        self._target = target
        self._inner = inner
        self._period = period
        self._clock = clock
        self._backoff = backoff
        self._waiters: dict[Deferred[L], Deferred[L]] = {}
        self._left = period
        self._deadline = 0.0
        self._timer: IDelayedCall | None = None
        self._probe: Deferred[L] | None = None
        self._attempts = 0
        self._closed = False
        self._last_error: BaseException | None = None
        self._last_error_at = 0.0
        self._try = inner.try_acquire
        self.state = OPEN
        self.trips = 0
        self.on_ready: Callable[[], None] | None = None
        inner.on_ready = self._new_reason

    def __repr__(self) -> str:
        return f"<FailFast {self._target} {self.state.value} left={self._left:g}>"

    @property
    def failing(self) -> bool:
        """Whether it fails everybody at the moment."""
        return self.state is FAILING or self.state is PROBING

    def try_acquire(self, hint: Hint | None = None) -> L | None:
        """Whatever is ready, unless failing."""
        if self.state is not OPEN and self.state is not WAITING:
            return None
        lease = self._try(hint)
        if lease is not None and (self._left != self._period or self.state is WAITING):
            self._was_ready()
        return lease

    def acquire(self, hint: Hint | None = None) -> Deferred[L]:
        """Fails with L{FailedFast}, from the latest error, where waiting is in vain."""
        if self.failing:
            return fail(self._error())
        inner = self._inner.acquire(hint)
        if inner.called and not inner.paused:
            # nobody waited, so that there is nothing to time
            return inner.addCallbacks(self._at_once, self._not_at_once)
        caller: Deferred[L] = Deferred(self._cancelled)
        self._waiters[caller] = inner
        if self.state is OPEN:
            self._move(Event.WAITED_FOR)
            self._deadline = self._clock.seconds() + self._left
            self._timer = self._clock.callLater(max(0.0, self._left), self._expired)
        inner.addCallbacks(self._ready, self._unready, callbackArgs=(caller,), errbackArgs=(caller,))
        return caller

    def serves(self, avoid: tuple[Endpoint, ...] = ()) -> bool:
        """Not while failing; else as what is inside."""
        return not self.failing and self._inner.serves(avoid)

    def ailing(self) -> int:
        """As what is inside."""
        return self._inner.ailing()

    def busy(self) -> int:
        """How many use it or wait. A probe, which may wait for ever, is nobody's."""
        return self._inner.busy() - (1 if self._probe is not None else 0)

    def close(self) -> None:
        """Probe no more, let go of what is inside. Who still waits goes on, or fails, without it."""
        self._closed = True
        self._inner.on_ready = None  # no reason to try again; and nothing is left to the garbage collector
        self._stop_timer()
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.cancel()
        self._inner.close()

    def report(self, report: Report) -> None:
        """State and latest error; how often it has failed, where it has."""
        if self.trips:
            report.count("failfast_state", 1 if self.failing else 0, self._target)
            report.count("failfast_total", self.trips, self._target)
        if report.rows:
            report.show(state=OPEN.value)
            report.probing = self._probe is not None
            if self._last_error is not None:
                seconds = round(self._clock.seconds() - self._last_error_at, 3)
                report.show(last_error=explain(self._last_error), last_error_seconds=seconds)
        self._inner.report(report)
        if report.rows and self.state is not OPEN:
            # what callers see goes before what the endpoints are like
            report.show(state=FAILING.value if self.failing else self.state.value)

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state, event]

    # callers

    def _at_once(self, lease: L) -> L:
        self._was_ready()
        return lease

    def _not_at_once(self, failure: Failure) -> Failure:
        self._remember(failure)
        return failure

    def _ready(self, lease: L, caller: Deferred[L]) -> None:
        if caller not in self._waiters:
            lease.close()  # it arrived while the trip cancelled it
            return
        self._leave(caller)
        self._was_ready()
        if caller.called:
            lease.close()  # cancelled, and what is inside had it all the same
        else:
            caller.callback(lease)

    def _unready(self, failure: Failure, caller: Deferred[L]) -> None:
        if caller not in self._waiters:
            # cancelled by the trip, which tells the caller: what was waited for is the best that is known of the cause
            if str(failure.value):
                self._remember(failure)
            return
        if not failure.check(CancelledError):
            self._remember(failure)
        self._leave(caller)
        if not caller.called:
            caller.errback(failure)
        if self._left <= 0.0 and not self.failing:
            self._trip()

    def _leave(self, caller: Deferred[L]) -> None:
        del self._waiters[caller]
        if not self._waiters:
            self._move(Event.LEFT)
            self._left = self._deadline - self._clock.seconds()
            self._stop_timer()

    def _was_ready(self) -> None:
        """Those who still wait begin anew."""
        self._left = self._period
        if self.state is WAITING:
            self._deadline = self._clock.seconds() + self._period

    def _remember(self, failure: Failure) -> None:
        self._last_error = failure.value
        self._last_error_at = self._clock.seconds()

    def _cancelled(self, caller: Deferred[L]) -> None:
        if (inner := self._waiters.get(caller)) is not None:
            inner.cancel()

    def _error(self) -> FailedFast:
        return FailedFast(self._target, self._period).because(self._last_error)

    # failing, and back

    def _expired(self) -> None:
        self._timer = None
        left = self._deadline - self._clock.seconds()
        if left > 0.0:
            # it was ready in between, which is frequent: cheaper to look at that here than to set the timer each time
            self._timer = self._clock.callLater(left, self._expired)
        else:
            self._trip()

    def _trip(self) -> None:
        self._stop_timer()
        self._move(Event.EXPIRED)
        self.trips += 1
        self._attempts = 0
        waiters, self._waiters = self._waiters, {}
        for caller, inner in waiters.items():
            inner.cancel()
            if not caller.called:  # one that was told may cancel others
                caller.errback(self._error())
        self._start_probe()

    def _start_probe(self) -> None:
        if self._closed:
            return
        self._probe = probe = maybeDeferred(self._inner.acquire)
        probe.addCallbacks(self._recovered, self._still_failing)

    def _recovered(self, lease: L) -> None:
        if self._probe is not None:
            self._probe = None
            self._move(Event.READY)
            self._was_ready()
        lease.close()  # unused: what was connected for it is there for the next request

    def _still_failing(self, failure: Failure) -> None:
        if self._probe is None:
            return  # closed
        self._probe = None
        self._move(Event.UNREADY)
        self._remember(failure)
        self._attempts += 1
        self._timer = self._clock.callLater(self._backoff.delay(self._attempts), self._retry)

    def _retry(self) -> None:
        self._timer = None
        self._move(Event.RETRY)
        self._start_probe()

    def _new_reason(self) -> None:
        if self.state is FAILING:
            # what failed before says nothing about what is new
            self._attempts = 0
            self._stop_timer()
            self._retry()
        if self.on_ready is not None:
            self.on_ready()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def layer(period: float, clock: IReactorTime, backoff: Backoff) -> ServiceLayer:
    """Give every service C{period} seconds to become ready; probe it with C{backoff} after that."""

    def wrap(new_service: NewService[L]) -> NewService[L]:
        return lambda target: FailFast(target, new_service(target), period, clock, backoff)

    return wrap
