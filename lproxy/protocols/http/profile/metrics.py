# -*- test-case-name: tests.protocols.http.profile.test_metrics -*-
"""
What is counted of routes, and the metric families that this becomes.

Their names, and of their labels C{dst} and C{rt_route}, are those of Linkerd's proxy, so that its dashboards show them.
Counters belong to a name: a route that a new profile has under the same one counts on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lproxy.api import Counters
from lproxy.metrics.counters import MILLISECONDS, Histogram
from lproxy.metrics.family import Family, Labels
from lproxy.protocols.http.grpc import NO_CALL

# what came of requests for which a further try was wanted
#: it was made, and the last one went well
SUCCESS = "success"
#: it was made, and so were all that there may be, and none went well
LIMIT = "limit"
#: there was none, or not as many, since the service's budget was used up
BUDGET = "budget"
#: there was none, since more of the body was sent than was kept
BODY = "body"

# what came of second tries beside first ones
#: the second one answered
WON = "won"
#: the first one did
LOST = "lost"


class Outcome:
    """
    Answers that are alike.

    @ivar status: theirs; zero: there was none
    @ivar grpc: what came of calls, or L{NO_CALL<lproxy.protocols.http.grpc.NO_CALL>}
    @ivar failure: whether they are failures
    @ivar answers: to clients, lproxy's own among them
    @ivar tries: of upstreams, to one try each
    """

    __slots__ = ("answers", "failure", "grpc", "status", "tries")

    def __init__(self, status: int, grpc: int, failure: bool) -> None:
        self.status: int = status
        self.grpc: int = grpc
        self.failure: bool = failure
        self.answers: int = 0
        self.tries: int = 0


#: none that there is
NO_OUTCOME: Final = Outcome(-1, NO_CALL, False)


class RouteCounter:
    """
    Requests of one route to one service.

    @ivar requests: as they came from clients; each has an end
    @ivar unanswered: those that had it without an answer
    @ivar outcomes: answers to the others, and to each try, by status, grpc-status (or NO_CALL) and failure
    @ivar latency: milliseconds from a request's head to the end of its answer
    @ivar tries: how often they were sent
    @ivar retries: requests for which a further try was wanted, by what came of that; C{None}: there was none
    @ivar hedges: second tries beside first ones, likewise
    @ivar limited: requests that were more than there may be
    """

    __slots__ = (
        "_holders",
        "hedges",
        "latency",
        "limited",
        "outcomes",
        "requests",
        "retries",
        "tries",
        "unanswered",
    )

    def __init__(self) -> None:
        self._holders: int = 0
        self.requests: int = 0
        self.unanswered: int = 0
        self.outcomes: dict[tuple[int, int, bool], Outcome] = {}
        self.latency = Histogram(MILLISECONDS)
        self.tries: int = 0
        self.retries: dict[str, int] | None = None
        self.hedges: dict[str, int] | None = None
        self.limited: int = 0

    def outcome(self, status: int, failure: bool, grpc: int = NO_CALL) -> Outcome:
        """
        Where answers are counted.

        @param status: zero: there was none
        @param failure: whether the route's classes call it one
        @param grpc: what came of it, where it was a call
        """
        key = (status, grpc, failure)
        found = self.outcomes.get(key)
        if found is None:
            found = self.outcomes[key] = Outcome(status, grpc, failure)
        return found

    def retried(self, outcome: str) -> None:
        """Count a request for which a further try was wanted."""
        self.retries = _one_more(self.retries, outcome)

    def hedged(self, outcome: str) -> None:
        """Count a second try beside a first one."""
        self.hedges = _one_more(self.hedges, outcome)

    def hold(self) -> None:
        """Somebody keeps this, to count requests later; until they C{release} it the series stays."""
        self._holders += 1

    def release(self) -> None:
        """They have forgotten it."""
        self._holders -= 1

    def mark(self) -> int:
        """Requests, answers and tries."""
        return self.requests + self.tries + self.limited + sum(o.answers + o.tries for o in self.outcomes.values())

    def held(self) -> bool:
        """Whether a request is under way, or this is kept for the next."""
        return self._holders > 0 or self.unanswered + sum(o.answers for o in self.outcomes.values()) < self.requests


def _one_more(counts: dict[str, int] | None, outcome: str) -> dict[str, int]:
    if counts is None:
        return {outcome: 1}
    counts[outcome] = counts.get(outcome, 0) + 1
    return counts


class RouteMetrics:
    """One listener's."""

    def __init__(self, counters: Counters, labels: Labels) -> None:
        """@param labels: the listener's"""
        self._labels = labels
        self._routes = counters.series(RouteCounter, "dst", "rt_route")

    def route(self, target: str, name: str) -> RouteCounter:
        """
        Where requests of a route are counted. L{RouteCounter.hold} it before it is kept.

        @param target: whom they are for
        @param name: the route's; empty: they have none
        """
        named = (("rt_route", name),) if name else ()
        return self._routes.get((*self._labels, ("dst", target), *named))

    def families(self) -> Iterator[Family]:
        """As of now."""
        routes = self._routes.items()
        yield Family(
            "route_request_total",
            "counter",
            "HTTP requests of a route (rt_route) to a service with a profile (dst), as they came from clients; those "
            "that no route fits have no rt_route.",
            ((labels, c.requests) for labels, c in routes),
        )
        yield Family(
            "route_response_total",
            "counter",
            "HTTP responses to requests of a route, including those that lproxy made itself. What is a failure is for "
            "the route to say, or as for response_total, as what ended too early always is.",
            ((labels, o.answers) for labels, o in _outcomes(routes) if o.answers),
        )
        yield Family(
            "route_response_latency_ms",
            "histogram",
            "Milliseconds from the head of a request of a route to the end of its response, all tries included.",
            ((labels, c.latency) for labels, c in routes),
        )
        yield Family(
            "route_actual_request_total",
            "counter",
            "HTTP requests of a route as they were sent to endpoints: each try counts.",
            ((labels, c.tries) for labels, c in routes),
        )
        yield Family(
            "route_actual_response_total",
            "counter",
            "HTTP responses that endpoints gave to requests of a route, those included that clients never saw as "
            "another try was made. A status_code of 0 is none: the connection was lost, or it took too long.",
            ((labels, o.tries) for labels, o in _outcomes(routes) if o.tries),
        )
        yield Family(
            "route_retry_total",
            "counter",
            "HTTP requests of a route for which a further try was wanted, by outcome: a further one went well "
            "(success), as many as there may be did not (limit), the budget of the service was used up (budget), or "
            "too much of the body was sent to send it again (body).",
            (
                ((*labels, ("outcome", outcome)), n)
                for labels, c in routes
                for outcome, n in list((c.retries or {}).items())
            ),
        )
        yield Family(
            "route_hedge_total",
            "counter",
            "Second tries of a route beside first ones that took long, by outcome: the second answered (won), the "
            "first did (lost), or there was none as the budget of the service was used up (budget).",
            (
                ((*labels, ("outcome", outcome)), n)
                for labels, c in routes
                for outcome, n in list((c.hedges or {}).items())
            ),
        )
        yield Family(
            "route_rate_limited_total",
            "counter",
            "HTTP requests of a route that were answered 429, as there were more than its rates, or its service's, let "
            "pass.",
            ((labels, c.limited) for labels, c in routes if c.limited),
        )


def _outcomes(routes: list[tuple[Labels, RouteCounter]]) -> Iterator[tuple[Labels, Outcome]]:
    for labels, counter in routes:
        for (status, grpc, failure), outcome in list(counter.outcomes.items()):
            own: Labels = (
                ("classification", "failure" if failure else "success"),
                ("status_code", str(status)),
            )
            if grpc != NO_CALL:
                own += (("grpc_status", str(grpc)),)
            yield (*labels, *own), outcome
