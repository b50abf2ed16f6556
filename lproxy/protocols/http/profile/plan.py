# -*- test-case-name: tests.protocols.http.profile.test_plan -*-
"""
What becomes of the requests of one route: all that a profile says of it, ready to be done.
"""

from __future__ import annotations

from lproxy.api import Conn
from lproxy.config import Timeouts
from lproxy.errors import ProxyError
from lproxy.profile import Route
from lproxy.protocols.http.grpc import NO_CALL
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.profile.answer import Elsewhere, Static
from lproxy.protocols.http.profile.classes import NO_CLASSES, Classes
from lproxy.protocols.http.profile.edit import edit
from lproxy.protocols.http.profile.hedge import Hedging
from lproxy.protocols.http.profile.limits import BodyTooLarge, Gate, gate
from lproxy.protocols.http.profile.metrics import NO_OUTCOME, Outcome, RouteCounter, RouteMetrics
from lproxy.protocols.http.profile.rewrite import Rewriter
from lproxy.protocols.http.profile.sticky import Sticking
from lproxy.protocols.http.retry import Again
from lproxy.protocols.http.timeouts import times
from lproxy.stack.rates import Limiter, Rates
from lproxy.target import Target

#: a body may have any length
ANY_LENGTH = -1


class Place:
    """
    Where a profile holds.

    @ivar target: whom its requests are for
    @ivar service: who serves that, however it is asked for
    @ivar counters: where they are counted
    @ivar rates: how many there may be
    @ivar timeouts: how long they may take, where it does not say
    """

    __slots__ = ("counters", "rates", "service", "target", "timeouts")

    def __init__(self, target: Target, service: str, counters: RouteMetrics, rates: Rates, timeouts: Timeouts) -> None:
        self.target: Target = target
        self.service: str = service
        self.counters: RouteMetrics = counters
        self.rates: Rates = rates
        self.timeouts: Timeouts = timeouts


class Plan:
    """
    Of one route, or of the requests that no route has.

    @ivar route: what the profile says
    @ivar name: the route's; empty: it is none
    @ivar counter: where its requests are counted
    @ivar gate: what lets them pass; C{None}: all may
    @ivar max_body: bytes of a request's body, or L{ANY_LENGTH}
    @ivar bounded: whether there is one of these two
    @ivar ours: the answer that they get without asking anybody
    @ivar rewriter: what the upstream is asked for instead
    @ivar request: what becomes of a request's fields
    @ivar response: what becomes of an answer's
    @ivar classes: what answers are failures
    @ivar again: when more tries are made; C{None}: when that can do no harm, and only then
    @ivar sticking: by what clients are known that are to be served by the same
    @ivar hedging: when a second try is made beside a first; C{None}: never
    @ivar times: how long the application may take
    @ivar _latest: where the latest answer was counted: most are like the one before
    """

    __slots__ = (
        "_latest",
        "again",
        "bounded",
        "classes",
        "counter",
        "gate",
        "hedging",
        "max_body",
        "name",
        "ours",
        "place",
        "request",
        "response",
        "rewriter",
        "route",
        "sticking",
        "times",
    )

    def __init__(self, route: Route, place: Place) -> None:
        self.route = route
        self.name = route.name
        self.place: Place = place
        self.counter: RouteCounter = place.counters.route(str(place.target), route.name)
        self.counter.hold()
        self.gate: Gate | None = None
        self.max_body: int = ANY_LENGTH if route.max_body is None else route.max_body
        self.bounded: bool = self.max_body >= 0
        self.request = edit(route.request)
        self.response = edit(route.response)
        self.rewriter = Rewriter(route.rewrite, route.condition) if route.rewrite is not None else None
        self.classes = Classes(route.classes) if route.classes else NO_CLASSES
        self._latest: Outcome = NO_OUTCOME
        self.again = Again(route.retries, self.classes) if route.retries is not None else None
        self.hedging = Hedging(route.hedge) if route.hedge is not None else None
        self.sticking: Sticking | None = None
        self.times = times(place.timeouts, route.timeouts, route.name)
        self.ours: Elsewhere | Static | None = None
        if route.redirect is not None:
            self.ours = Elsewhere(route.redirect, route.condition, self.response)
        elif route.answer is not None:
            self.ours = Static(route.answer, self.response)

    def __repr__(self) -> str:
        return f"<Plan {self.name!r}>"

    def join(self, service: tuple[Limiter, ...], sticking: Sticking | None) -> None:
        """
        Be of a profile, and have what that says of all its routes together.

        @param service: how many of their requests may pass
        @param sticking: by what clients are known
        """
        self.sticking = sticking
        place = self.place
        own = place.rates.of(f"service {place.service} route {self.name}", self.route.rates)
        self.gate = gate(place.target, service + own)
        self.bounded = self.gate is not None or self.max_body >= 0

    def close(self) -> None:
        """No more requests are begun."""
        self.counter.release()

    def refuse(self, request: Request, conn: Conn, now: float) -> ProxyError | None:
        """Why C{request}, which came on C{conn}, may go no further, if it may not; asked of L{bounded} plans alone."""
        if self.gate is not None:
            limited = self.gate.refuse(request, conn, now)
            if limited is not None:
                self.counter.limited += 1
                return limited
        return self.too_large(request.framing) if self.max_body >= 0 else None

    def too_large(self, size: int) -> BodyTooLarge | None:
        """What is wrong with a body of so many bytes, or of what framing it has, if anything."""
        return BodyTooLarge(self.place.target, self.max_body) if size > self.max_body >= 0 else None

    def outcome(self, status: int, grpc: int = NO_CALL) -> Outcome:
        """Where answers are counted that are like that."""
        found = self._latest
        if found.status != status or found.grpc != grpc:
            found = self._latest = self.counter.outcome(status, self.classes.failure(status, grpc), grpc)
        return found

    def ended(self, status: int, milliseconds: float, grpc: int, tried: bool, cut: bool = False) -> bool:
        """
        A request that was begun has got its answer, or none: its status is zero.

        @param tried: whether that is an upstream's
        @param cut: whether it failed after it had begun: a failure, whatever its status
        @return: whether it is a failure
        """
        outcome, counter = self._latest, self.counter
        if outcome.status != status or outcome.grpc != grpc:
            outcome = self.outcome(status, grpc)
        if cut and not outcome.failure:
            outcome = counter.outcome(status, True, grpc)
        if tried:
            outcome.tries += 1
        if status:
            outcome.answers += 1
            counter.latency.observe(milliseconds)
        else:
            counter.unanswered += 1
        return outcome.failure
