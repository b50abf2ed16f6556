# -*- test-case-name: tests.stack -*-
"""
The few shapes that the whole stack is made of.

Acquiring is separate from calling: an L{Acquire} may wait, under one bounded clock, until a service is ready to take
one request *now*; the lease that it gives is that right. What happens after the lease's C{call} is the application's
time and none of the stack's business.

Every acquisition comes in two forms. C{try_acquire} answers in this very instant, without a Deferred, a timer or a
closure: the warm path. C{acquire} may wait.

C{L} is a protocol's own type of lease. It passes through all layers as it is, so that what comes out on top is called
as its protocol has it: an HTTP lease with a request's head and whom to tell the answer, a TCP lease with a connection.

Over 300 lines: shapes that fit into each other are read beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

from twisted.internet.defer import Deferred

from lproxy.balancing import HealthCheck
from lproxy.errors import ProxyError
from lproxy.metrics.counters import EndpointCounter
from lproxy.profile import RetryBudget
from lproxy.stack.budget import Budget
from lproxy.stack.lease import Hold
from lproxy.stack.report import Report
from lproxy.target import Endpoint, Metadata, Target

#: of endpoints of which nothing but the address is known
NOTHING: Final[Mapping[Endpoint, Metadata]] = MappingProxyType({})


class Lease(Protocol):
    """
    The right to dispatch one request, once. How that is called is the protocol's own affair.

    Whoever receives a Lease ends it with C{close}, always and exactly once: unused, which gives the right back, or when
    the exchange that was begun with it is over. C{close} begins with L{lproxy.stack.lease.ended}.

    @ivar hold: what the stack holds for it; L{lproxy.stack.lease.FREE} on a new one
    """

    hold: Hold

    def close(self) -> None:
        """End the lease. An exchange that has not come to its end by itself is aborted."""


L = TypeVar("L", bound=Lease)


class Hint:
    """
    What is known of a request that matters for who is to serve it. Passed down with its acquisition; where the target
    splits, and where an endpoint is chosen, it is looked at.

    @ivar key: requests of the same key are served by the same endpoint, and backend, as long as that serves; empty: by
        any
    @ivar avoid: endpoints that are not to serve it where there are others, such as those that have failed it
    """

    __slots__ = ("avoid", "key")

    def __init__(self, key: bytes = b"", avoid: tuple[Endpoint, ...] = ()) -> None:
        self.key: bytes = key
        self.avoid: tuple[Endpoint, ...] = avoid

    def __repr__(self) -> str:
        return f"<Hint key={self.key!r} avoid={[str(endpoint) for endpoint in self.avoid]}>"


class Acquire(Protocol[L]):
    """Gives leases on services, by target."""

    def try_acquire(self, target: Target, hint: Hint | None = None, /) -> L | None:
        """
        A lease that is to be had this instant, or C{None} where L{acquire} has to be asked; which is done at once, with
        the same target, or not at all.
        """

    def acquire(self, target: Target, hint: Hint | None = None, /) -> Deferred[L]:
        """A lease, as soon as there is one. Cancelling the Deferred stops the work; nothing leaks."""

    def keep(self, target: Target, /) -> None:
        """
        Make C{target}'s service now, and keep it until the end, whether anybody asks for it or not: such as one whose
        endpoints are to be checked all the time. Told again, it does nothing.
        """

    def report(self, report: Report, /) -> None:
        """Add what there is to show, and have what is below do so."""

    def close(self) -> None:
        """Let go of everything that is held: services with their idle connections, watches, timers."""


class Judging(Acquire[L], Protocol):
    """An L{Acquire} that knows how those do whom it gives leases on."""

    def serves(self, target: Target, avoid: tuple[Endpoint, ...] = (), /) -> bool:
        """
        Whether it is worth a try to acquire C{target}: what failed lately is not, until its next try is due.

        @param avoid: endpoints that are not to count, as of L{Hint}
        """


class Bounded(Acquire[L], Protocol):
    """An L{Acquire} whose Deferreds fire in time."""

    @property
    def seconds(self) -> float:
        """Within which they do."""


class Stack(Acquire[L], Protocol):
    """What a protocol gets: the whole acquisition, from the edge to the wire."""

    def again(self, target: Target, error: ProxyError, hint: Hint | None = None, /) -> Deferred[L]:
        """
        A new lease for a request whose call failed with C{error}, on another endpoint where there is one. Whether the
        request may be sent once more, and how often, is for the protocol to know (see L{lproxy.stack.retry}).

        Fails with C{error} itself where nothing is tried: it was refused to spare somebody, or the target's budget for
        retries is used up.
        """

    def budget(self, target: Target, settings: RetryBudget | None = None, /) -> Budget:
        """
        What further tries of requests to C{target}'s service draw on, one for all stacks. Whoever sends requests there
        adds each of them to its C{requests}, once.

        @param settings: what it is like from now on; C{None}: the default
        """


class Service(Protocol[L]):
    """
    What serves one target. It is made without waiting and cannot fail to be made: whatever can wait or fail lives in
    C{acquire}. (A reservation is the lease itself, so nothing is promised twice between readiness and call.)

    @ivar on_ready: called, once somebody has set it, whenever there is a new reason to try what failed before
    """

    on_ready: Callable[[], None] | None

    def try_acquire(self, hint: Hint | None = None, /) -> L | None:
        """As L{Acquire.try_acquire}, for this service's target."""

    def acquire(self, hint: Hint | None = None, /) -> Deferred[L]:
        """As L{Acquire.acquire}, for this service's target."""

    def serves(self, avoid: tuple[Endpoint, ...] = (), /) -> bool:
        """As L{Judging.serves}, for this service's target."""

    def ailing(self) -> int:
        """How many endpoints are passed over at the moment."""

    def busy(self) -> int:
        """How many leases are out or waited for: while there are any, the service is not evicted."""

    def report(self, report: Report, /) -> None:
        """Add what there is to show of it."""

    def close(self) -> None:
        """Let go of everything that is held: idle connections, watches, timers. Leases that are out live on."""


class EndpointService(Protocol[L]):
    """
    What serves at a single endpoint: the bottom of a stack, and the protocol's own.
    """

    @property
    def load(self) -> int:
        """Leases that are out, or being acquired, at this moment: what a balancer chooses by."""

    def try_acquire(self) -> L | None:
        """A lease that is to be had this instant, such as on an idle connection."""

    def acquire(self) -> Deferred[L]:
        """A lease, as soon as it is connected. Cancelling the Deferred stops that."""

    def check(self, check: HealthCheck, /) -> Deferred[None]:
        """
        Ask the endpoint whether it serves, beside all leases: on a connection of its own, which counts for nothing.
        Fires once it says so, fails with why it does not. Cancelling the Deferred stops that; its time is bounded by
        who asks. A protocol that cannot ask in the way that C{check} says connects, and takes that for an answer.
        """

    def report(self, report: Report, /) -> None:
        """Add what there is to show of it."""

    def close(self) -> None:
        """Let go of idle connections. Leases that are out live on."""


class Health(Protocol):
    """
    Where an endpoint's service reports what its balancer does not see. What fails in C{acquire} is known, and many that
    fail together count as one.

    C{began} is when the request's lease was given: with it, what was under way before is told from what is new.

    @ivar counter: where the endpoint is counted: connections, and where that is known, requests
    """

    counter: EndpointCounter

    def failed(self, error: ProxyError, began: float | None = None, /) -> bool:
        """
        A connection in use has failed: the endpoint is passed over for a while, where there are others. If
        C{error.in_use} it stays so until it L{answered_well}.

        @return: whether there are others that are healthy
        """

    def answered_badly(self, error: ProxyError, began: float, /) -> None:
        """A request was answered, and by no fault of its own could not be served: some of these in a row are enough."""

    def answered_well(self, began: float, /) -> bool:
        """
        A request was answered. To be told after each one of the above, until this says so; not for every request.

        @return: whether the endpoint is healthy
        """

    def not_answered(self, began: float, /) -> None:
        """A lease has ended, and nothing was learnt from that; to be told likewise."""

    def took(self, seconds: float, now: float, /) -> None:
        """A request was answered well, in so many seconds: what a balancer weighs endpoints by."""


NewService = Callable[[Target], Service[L]]
#: with what is known of the endpoint, which its connections have to keep to
NewEndpoint = Callable[[Endpoint, Metadata, Health], EndpointService[L]]


class NewStack(Protocol):
    """
    Makes the stack of a protocol; once, then it is the same for all who ask. A protocol that has several calls the
    others C{NAME/WHAT}: what they hold is still its own.
    """

    def __call__(self, protocol: str, new_endpoint: NewEndpoint[L], /) -> Stack[L]:
        """On top of its endpoints."""


# What a layer takes and gives, by kind. The type checker refuses a stack whose layers do not fit.

Inner = TypeVar("Inner")
Outer = TypeVar("Outer")
Layer = Callable[[Inner], Outer]


class StackLayer(Protocol):
    """Stands above retries."""

    def __call__(self, inner: Stack[L], /) -> Stack[L]:
        """Wrap C{inner}."""


class RetryLayer(Protocol):
    """Makes a stack of what is bounded in time, as each try has to be."""

    def __call__(self, inner: Bounded[L], /) -> Stack[L]:
        """Wrap C{inner}."""


class BoundedLayer(Protocol):
    """Stands above the timeout, and never waits itself."""

    def __call__(self, inner: Bounded[L], /) -> Bounded[L]:
        """Wrap C{inner}."""


class TimeoutLayer(Protocol):
    """Bounds what may wait for however long."""

    def __call__(self, inner: Acquire[L], /) -> Bounded[L]:
        """Wrap C{inner}."""


class SplitLayer(Protocol):
    """Chooses between targets: stands where it is known how they do."""

    def __call__(self, inner: Judging[L], /) -> Acquire[L]:
        """Wrap C{inner}."""


class LockLayer(Protocol):
    """Stands below the timeout: it may wait."""

    def __call__(self, inner: Judging[L], /) -> Judging[L]:
        """Wrap C{inner}."""


class RouterLayer(Protocol):
    """From a target to its service."""

    def __call__(self, new_service: NewService[L], /) -> Judging[L]:
        """Take services from C{new_service}."""


class ServiceLayer(Protocol):
    """Inside a service, above its endpoints."""

    def __call__(self, new_service: NewService[L], /) -> NewService[L]:
        """Wrap what C{new_service} makes."""


class BalanceLayer(Protocol):
    """From a target to its endpoints."""

    def __call__(self, new_endpoint: NewEndpoint[L], /) -> NewService[L]:
        """Make endpoints by C{new_endpoint}."""


class Watcher(Protocol):
    """Is told of a target's endpoints, now and whenever they change."""

    def endpoints(self, endpoints: Iterable[Endpoint], about: Mapping[Endpoint, Metadata] = NOTHING, /) -> None:
        """
        These, and no others, serve the target from now on. May be empty.

        @param about: what is known of them besides, where anything is
        """

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
