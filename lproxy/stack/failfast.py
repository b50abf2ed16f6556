# -*- test-case-name: tests.stack.test_failfast -*-
"""
Fail at once what could only wait in vain.

Inside a service, above its balancer. A service that keeps callers waiting for its period without becoming ready
once fails all that wait and all that come, until a probe in the background, which needs no request to drive
it, finds it ready again. Time counts only while somebody waits: an endpoint that refuses at once fails each
caller by itself, with the better explanation.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.errors import ProxyError, explain
from lproxy.stack.backoff import Backoff
from lproxy.stack.interfaces import Lease, NewService, Service
from lproxy.target import Target


class FailedFast(ProxyError):
    """The service has not been ready for C{seconds}; callers no longer wait for it."""

    layer = "failfast"
    reason = "failfast"
    flag = "UH"
    status = 503

    def __init__(self, target: Target, seconds: float) -> None:
        super().__init__(target)
        self.seconds = seconds

    def what(self) -> str:
        """How long it had been waited for."""
        return f"not ready for {self.seconds:g} s, failing at once until it is"


class FailFast:
    """
    A L{Service} that does not let callers wait in vain.

    C{inner.changed}, where there is such a thing, is set to be called when there is reason to try again.

    @ivar failing: whether it fails everybody at the moment
    @ivar trips: how many times it began to
    """

    def __init__(self, target: Target, inner: Service, period: float, clock: IReactorTime, backoff: Backoff) -> None:
        self._target = target
        self._inner = inner
        self._period = period
        self._clock = clock
        self._backoff = backoff
        self._waiting: dict[Deferred[Lease], Deferred[Lease]] = {}
        self._waited = 0.0  # seconds spent waiting since it was last ready, up to...
        self._since = 0.0  # ...since when somebody waits
        self._doubted = False  # whether either counts
        self._timer: Any = None
        self._timed = 0.0  # the C{_since} that the timer was set for
        self._probe: Any = None  # the probe's Deferred, or the timer to the next one
        self._attempts = 0
        self._last_error: BaseException | None = None
        self.failing = False
        self.trips = 0
        if hasattr(inner, "changed"):
            inner.changed = self._changed

    def try_acquire(self) -> Lease | None:
        """Whatever is ready, unless failing."""
        if self.failing:
            return None
        lease = self._inner.try_acquire()
        if lease is not None and self._doubted:
            self._was_ready()
        return lease

    def acquire(self) -> Deferred[Lease]:
        """Fails with L{FailedFast}, from the latest error, where waiting is in vain."""
        caller: Deferred[Lease] = Deferred(self._cancelled)
        if self.failing:
            caller.errback(self._failure())
            return caller
        inner = self._inner.acquire()
        if inner.called and not inner.paused:
            # nobody waited, so that there is nothing to time
            return inner.addCallbacks(self._at_once, self._not_at_once)
        if not self._waiting:
            self._doubted = True
            self._since = self._timed = self._clock.seconds()
            self._timer = self._clock.callLater(max(0.0, self._period - self._waited), self._expired)
        self._waiting[caller] = inner
        inner.addCallbacks(self._ready, self._unready, callbackArgs=(caller,), errbackArgs=(caller,))
        return caller

    def busy(self) -> int:
        """How many use it or wait. A probe, which may wait for ever, is nobody's."""
        return self._inner.busy() - isinstance(self._probe, Deferred)

    def close(self) -> None:
        """Stop probing, let go of what is inside."""
        self._stop_probe()
        self._stop_timer()
        if hasattr(self._inner, "changed"):
            self._inner.changed = None  # no reason to try again; and nothing is left to the garbage collector
        self._inner.close()

    def describe(self) -> dict[str, Any]:
        """State and latest error."""
        state = {"state": "failfast" if self.failing else "waiting" if self._waiting else "ready"}
        error = {"last_error": explain(self._last_error)} if self._last_error is not None else {}
        return {**state, **error, **self._inner.describe()}

    def _at_once(self, lease: Lease) -> Lease:
        self._was_ready()
        return lease

    def _not_at_once(self, failure: Failure) -> Failure:
        self._last_error = failure.value
        return failure

    def _ready(self, lease: Lease, caller: Deferred[Lease]) -> None:
        if caller not in self._waiting:
            lease.close()  # it arrived while the trip cancelled it
            return
        self._ended(caller)
        self._was_ready()
        if caller.called:
            lease.close()  # cancelled, and what is inside had it all the same
        else:
            caller.callback(lease)

    def _unready(self, failure: Failure, caller: Deferred[Lease]) -> None:
        if caller not in self._waiting:
            return  # cancelled by the trip, and told already
        if not failure.check(CancelledError):
            self._last_error = failure.value
        self._ended(caller)
        if not caller.called:
            caller.errback(failure)
        if self._waited >= self._period and not self.failing:
            self._trip()

    def _ended(self, caller: Deferred[Lease]) -> None:
        del self._waiting[caller]
        if not self._waiting:
            self._waited += self._clock.seconds() - self._since
            self._stop_timer()

    def _was_ready(self) -> None:
        """Those who still wait begin anew."""
        self._waited = 0.0
        self._since = self._clock.seconds()
        self._doubted = bool(self._waiting)

    def _cancelled(self, caller: Deferred[Lease]) -> None:
        inner = self._waiting.get(caller)
        if inner is not None:
            inner.cancel()

    def _failure(self) -> Failure:
        error = FailedFast(self._target, self._period)
        error.__cause__ = self._last_error
        return Failure(error)

    # failing, and back

    def _expired(self) -> None:
        if self._since == self._timed:
            self._trip()
            return
        # it was ready in between, which is frequent: cheaper to look at that here than to set the timer each time
        self._timed = self._since
        left = self._since + self._period - self._clock.seconds()
        self._timer = self._clock.callLater(max(0.0, left), self._expired)

    def _trip(self) -> None:
        self._stop_timer()
        self.failing = True
        self.trips += 1
        self._attempts = 0
        waiting, self._waiting = self._waiting, {}
        for caller, inner in waiting.items():
            inner.cancel()
            if not caller.called:  # one that was told may cancel others
                caller.errback(self._failure())
        self._try_again()

    def _try_again(self) -> None:
        self._probe = probe = maybeDeferred(self._inner.acquire)
        probe.addCallbacks(self._recovered, self._still_failing)

    def _changed(self) -> None:
        if self._probe is not None and not isinstance(self._probe, Deferred):
            # what failed before says nothing about what is new
            self._stop_probe()
            self._attempts = 0
            self._try_again()

    def _recovered(self, lease: Lease) -> None:
        # unused: what was connected for it is there for the next request
        lease.close()
        self._probe = None
        self._was_ready()
        self.failing = False

    def _still_failing(self, failure: Failure) -> None:
        self._probe = None
        if failure.check(CancelledError):
            return
        self._last_error = failure.value
        self._attempts += 1
        self._probe = self._clock.callLater(self._backoff.delay(self._attempts), self._try_again)

    def _stop_probe(self) -> None:
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.cancel()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


def layer(period: float, clock: IReactorTime, backoff: Backoff) -> Any:
    """Give every service C{period} seconds to become ready; probe it with C{backoff} after that."""

    def wrap(new_service: NewService) -> NewService:
        return lambda target: FailFast(target, new_service(target), period, clock, backoff)

    return wrap
