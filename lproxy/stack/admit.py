# -*- test-case-name: tests.stack.test_admit -*-
"""
One limit on the requests in flight in the whole proxy, those that still wait included.

At the edge: over the limit a request is refused at once, before it costs anything. Above: only retries, each of which
is admitted like any other request. Below: everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from lproxy.errors import ProxyError
from lproxy.stack.interfaces import Bounded, BoundedLayer, Hint, L
from lproxy.stack.lease import Hold
from lproxy.stack.report import Report
from lproxy.target import Target


class TooManyInFlight(ProxyError):
    """The proxy serves as many requests as it may."""

    layer = "admit"
    reason = "in_flight"
    flag = "UO"
    status = 503
    shed = True

    def __init__(self, target: Target, limit: int) -> None:
        super().__init__(target)
        self.limit = limit

    def what(self) -> str:
        """The limit, and where it is set."""
        return f"refused: {self.limit} requests in flight (limits.in_flight)"


class InFlight(Hold):
    """
    How many there are, shared by every stack of the proxy; what is held of it for a lease is one of them.

    @ivar refused: how many there would have been too many
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.refused = 0

    def share(self, told: Callable[[Failure], None]) -> Hold:
        """A part of it, for the leases of one stack; C{told} is told of one that was ended twice."""
        return Hold(self, told)

    def __repr__(self) -> str:
        return f"<InFlight {self.count} of {self.limit}>"


class Admit(Generic[L]):
    """An L{Acquire} with a limit."""

    def __init__(self, inner: Bounded[L], in_flight: InFlight, share: Hold) -> None:
        self.inner = inner
        self.seconds = inner.seconds
        self._in_flight = in_flight
        self._share = share
        self._try = inner.try_acquire
        self.keep = inner.keep

    def try_acquire(self, target: Target, hint: Hint | None = None) -> L | None:
        """As below, if there is room; at the limit L{acquire} says so."""
        in_flight = self._in_flight
        if in_flight.count >= in_flight.limit:
            return None
        lease = self._try(target, hint)
        if lease is not None:
            share = self._share
            lease.hold = share
            share.count += 1
            in_flight.count += 1
        return lease

    def acquire(self, target: Target, hint: Hint | None = None) -> Deferred[L]:
        """Fails with L{TooManyInFlight} at the limit."""
        in_flight = self._in_flight
        if in_flight.count >= in_flight.limit:
            in_flight.refused += 1
            return fail(TooManyInFlight(target, in_flight.limit))
        in_flight.count += 1
        return self.inner.acquire(target, hint).addCallbacks(self._admitted, self._failed)

    def report(self, report: Report) -> None:
        """Nothing of its own: the limit is the whole proxy's."""
        self.inner.report(report)

    def close(self) -> None:
        """Nothing is held."""
        self.inner.close()

    def _admitted(self, lease: L) -> L:
        # a lease that cannot be held for, by a plugin's mistake, is not counted for ever
        self._in_flight.count -= 1
        self._share.take(lease)
        return lease

    def _failed(self, failure: Failure) -> Failure:
        self._in_flight.count -= 1
        return failure


def layer(in_flight: InFlight, share: Hold | None = None) -> BoundedLayer:
    """
    Share C{in_flight} with the other stacks.

    @param share: what of it the leases of this stack hold, to be counted by themselves, too
    """
    part = share or Hold(in_flight)

    def wrap(inner: Bounded[L]) -> Bounded[L]:
        return Admit(inner, in_flight, part)

    return wrap
