# -*- test-case-name: tests.stack -*-
"""
The few shapes that the whole stack is made of.

Acquiring is separate from calling: an L{Acquire} may wait, under one bounded clock, until a service is ready
to take one request *now*; the L{Lease} that it gives is that right. What happens after C{Lease.call} is the
application's time and none of the stack's business.

Every acquisition comes in two forms. C{try_acquire} answers in this very instant, without a Deferred, a timer
or a closure: the warm path. C{acquire} may wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from lproxy.target import Endpoint, Target


class Lease(Protocol):
    """
    The right to dispatch one request.

    Whoever receives a Lease ends it with C{close}, always and exactly once: unused, which gives the right
    back, or when the exchange that C{call} began is over.
    """

    def call(self, request: Any) -> Any:
        """
        Dispatch C{request}, at most once. What a request is, and how its answer is told, is the protocol's own
        affair: an HTTP exchange is told its answer piece by piece, a TCP call answers a Deferred of its end.
        """

    def close(self) -> None:
        """End the lease. An exchange that has not come to its end by itself is aborted."""


class Acquire(Protocol):
    """Gives leases on services, by target."""

    def try_acquire(self, target: Target) -> Lease | None:
        """A lease that is to be had this instant, or C{None} where L{acquire} has to be asked."""

    def acquire(self, target: Target) -> Deferred[Lease]:
        """A lease, as soon as there is one. Cancelling the Deferred stops the work; nothing leaks."""


class Service(Protocol):
    """
    What serves one target. It is made without waiting and cannot fail to be made: whatever can wait or fail
    lives in C{acquire}. (A reservation is the lease itself, so nothing is promised twice between readiness and call.)
    """

    def try_acquire(self) -> Lease | None:
        """As L{Acquire.try_acquire}, for this service's target."""

    def acquire(self) -> Deferred[Lease]:
        """As L{Acquire.acquire}, for this service's target."""

    def busy(self) -> int:
        """How many leases are out or waited for: while there are any, the service is not evicted."""

    def close(self) -> None:
        """Let go of everything that is held: idle connections, watches, timers. Leases that are out live on."""

    def describe(self) -> dict[str, Any]:
        """What C{/services} shows, as JSON values."""


class EndpointService(Service, Protocol):
    """A service of a single endpoint, with what a balancer chooses by."""

    #: leases that are out, or being acquired, at this moment
    load: int


NewService = Callable[[Target], Service]
NewEndpoint = Callable[[Endpoint], EndpointService]
Layer = Callable[[Any], Any]


class Watcher(Protocol):
    """Is told of a target's endpoints, now and whenever they change."""

    def endpoints(self, endpoints: Iterable[Endpoint]) -> None:
        """These, and no others, serve the target from now on. May be empty."""

    def unresolved(self, error: Exception) -> None:
        """There is no answer, or none any more, and C{error} says why. Another try is under way or will be."""


class Watch(Protocol):
    """A subscription."""

    def close(self) -> None:
        """End it: the watcher is told nothing more."""

    def refresh(self) -> None:
        """Somebody waits: where the latest try failed, try again now rather than later."""


class Discover(Protocol):
    """Finds who serves a target."""

    def watch(self, target: Target, watcher: Watcher) -> Watch:
        """Tell C{watcher}; within this call already where the answer is known."""
