# -*- test-case-name: tests.stack.test_admit -*-
"""
One limit on the requests in flight in the whole proxy, those that still wait included.

Outermost, at the edge: over the limit a request is refused at once, before it costs anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lproxy.errors import ProxyError
from lproxy.stack.interfaces import Acquire, Layer, Lease
from lproxy.target import Target


class TooManyInFlight(ProxyError):
    """The proxy serves as many requests as it may."""

    layer = "admit"
    reason = "in_flight"
    flag = "UO"
    status = 503

    def __init__(self, target: Target, limit: int) -> None:
        super().__init__(target)
        self.limit = limit

    def what(self) -> str:
        """The limit, and where it is set."""
        return f"refused: {self.limit} requests in flight (limits.in_flight)"


class InFlight:
    """How many there are, shared by every stack of the proxy."""

    __slots__ = ("count", "limit", "refused")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self.refused = 0


class _AdmittedLease:
    """A lease that is counted until it ends."""

    __slots__ = ("_in_flight", "_inner", "call")

    def __init__(self, inner: Lease, in_flight: InFlight) -> None:
        self._inner = inner
        self._in_flight = in_flight
        self.call = inner.call  # nothing to add: one call less for every request

    def close(self) -> None:
        self._in_flight.count -= 1
        self._inner.close()


@dataclass(frozen=True, slots=True)
class Admit:
    """An L{Acquire} with a limit."""

    inner: Acquire
    in_flight: InFlight

    def try_acquire(self, target: Target) -> Lease | None:
        """As below, if there is room; at the limit L{acquire} says so."""
        in_flight = self.in_flight
        if in_flight.count >= in_flight.limit:
            return None
        lease = self.inner.try_acquire(target)
        if lease is None:
            return None
        in_flight.count += 1
        return _AdmittedLease(lease, in_flight)

    def acquire(self, target: Target) -> Deferred[Lease]:
        """Fails with L{TooManyInFlight} at the limit."""
        in_flight = self.in_flight
        if in_flight.count >= in_flight.limit:
            in_flight.refused += 1
            refused: Deferred[Lease] = Deferred()
            refused.errback(Failure(TooManyInFlight(target, in_flight.limit)))
            return refused
        in_flight.count += 1

        def ended(result: Any) -> Any:
            if isinstance(result, Failure):
                in_flight.count -= 1
                return result
            return _AdmittedLease(result, in_flight)

        return self.inner.acquire(target).addBoth(ended)


def layer(in_flight: InFlight) -> Layer:
    """Share C{in_flight} with the other stacks."""
    return lambda inner: Admit(inner, in_flight)
