# -*- test-case-name: tests.protocols.http.test_metrics -*-
"""
What is counted of HTTP, and the metric families that this becomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from lproxy.api import Counters, Outward
from lproxy.metrics.counters import MILLISECONDS, Bounds, Histogram
from lproxy.metrics.family import Family, Labels
from lproxy.protocols.http.grpc import NO_CALL, http_status
from lproxy.protocols.http.h2 import counts as h2
from lproxy.protocols.http.profile.metrics import RouteMetrics

#: seconds; what one request may cost the proxy itself
OVERHEAD_SECONDS: Bounds = (0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1)

#: statuses from here on are failures
FAILURES: Final = 500


class HttpCounter:
    """
    Requests of one route (listener, authority, tls).

    @ivar responses: answers by status code, proxy-made ones included
    @ivar cut: those that would be successes, and came to an end too early, by status code; not in C{responses}
    @ivar calls: those to calls of gRPC, by status code and grpc-status
    @ivar latency: milliseconds from a request's head to the end of its answer
    @ivar overhead: seconds that requests spent in the proxy itself
    """

    __slots__ = ("_holders", "calls", "cut", "latency", "overhead", "requests", "responses")

    def __init__(self) -> None:
        self._holders = 0
        self.requests = 0
        self.responses: dict[int, int] = {}
        self.cut: dict[int, int] = {}
        self.calls: dict[tuple[int, int], int] = {}
        self.latency = Histogram(MILLISECONDS)
        self.overhead = Histogram(OVERHEAD_SECONDS)

    def began(self) -> None:
        """Count a request; it L{ended} once, whatever became of it."""
        self.requests += 1
        self._holders += 1

    def ended(self, status: int, milliseconds: float, overhead: float, grpc: int = NO_CALL, cut: bool = False) -> None:
        """
        Count its answer.

        @param status: zero where there was none
        @param grpc: what came of it, where it was a call
        @param cut: whether it failed after it had begun: the client has not all of it
        """
        self._holders -= 1
        if status:
            if grpc == NO_CALL and cut and status < FAILURES:
                self.cut[status] = self.cut.get(status, 0) + 1
            elif grpc == NO_CALL:
                self.responses[status] = self.responses.get(status, 0) + 1
            else:
                self.calls[status, grpc] = self.calls.get((status, grpc), 0) + 1
            self.latency.observe(milliseconds)
            self.overhead.observe(overhead)

    def hold(self) -> None:
        """Somebody keeps this, to count requests later; until they C{release} it the series stays."""
        self._holders += 1

    def release(self) -> None:
        """They have forgotten it."""
        self._holders -= 1

    def mark(self) -> int:
        """Requests and answers."""
        return self.requests + sum(self.responses.values()) + sum(self.cut.values()) + sum(self.calls.values())

    def held(self) -> bool:
        """Whether a request is under way, or this is kept for the next."""
        return self._holders > 0


class HttpFaults:
    """One listener's answers that the proxy made itself, and input that it refused, by reason."""

    __slots__ = ("errors", "rejected")

    def __init__(self) -> None:
        self.errors: dict[str, int] = {}
        self.rejected: dict[str, int] = {}

    def error(self, reason: str) -> None:
        """Count an answer made by the proxy."""
        self.errors[reason] = self.errors.get(reason, 0) + 1

    def reject(self, reason: str) -> None:
        """Count bad input."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


class Pool(Protocol):
    """The connections to one endpoint, as far as they are shown."""

    #: whether it opens no more
    closed: bool

    def connections(self) -> tuple[int, int]:
        """How many are in use, and how many are not."""


class HttpMetrics:
    """
    One listener's.

    @ivar faults: what it answered itself, and refused
    @ivar http2: what is counted of its clients' HTTP/2 connections beneath their requests
    @ivar profiled: what is counted of the routes of profiles
    """

    def __init__(self, counters: Counters, direction: str, listener: str) -> None:
        self._labels: Labels = (("direction", direction), ("listener", listener))
        self._routes = counters.series(HttpCounter, "authority")
        self.faults = HttpFaults()
        self.http2 = h2.PeerCounts()
        self.profiled = RouteMetrics(counters, self._labels)
        counters.families(self.families)

    def route(self, authority: str, tls: bool = False) -> HttpCounter:
        """
        Where requests to C{authority} are counted. L{HttpCounter.hold} it before it is kept.

        @param tls: whether they came by TLS that ended here
        """
        return self._routes.get((*self._labels, ("authority", authority), ("tls", "true" if tls else "false")))

    def families(self) -> Iterator[Family]:
        """As of now."""
        own, routes, faults = self._labels, self._routes.items(), self.faults
        yield Family(
            "request_total",
            "counter",
            "HTTP requests, answered or not.",
            ((labels, c.requests) for labels, c in routes),
        )
        yield Family(
            "response_total",
            "counter",
            "HTTP responses, including those that lproxy made itself. A status of 500 and above is a failure, of "
            "gRPC a grpc-status that means as much, and what ended too early.",
            (((*labels, *outcome), n) for labels, c in routes for outcome, n in _outcomes(c)),
        )
        yield Family(
            "response_latency_ms",
            "histogram",
            "Milliseconds from a request's head to the end of its response.",
            ((labels, c.latency) for labels, c in routes),
        )
        yield Family(
            "proxy_overhead_seconds",
            "histogram",
            "Time that a request spent in lproxy itself, acquiring a service included.",
            ((labels, c.overhead) for labels, c in routes),
        )
        yield Family(
            "http_errors_total",
            "counter",
            "HTTP responses that lproxy made because it could not forward the request, by reason.",
            (((*own, ("reason", reason)), n) for reason, n in list(faults.errors.items())),
        )
        yield Family(
            "http_rejected_total",
            "counter",
            "HTTP requests refused because they were malformed, too large or too slow, by reason.",
            (((*own, ("reason", reason)), n) for reason, n in list(faults.rejected.items())),
        )
        yield from h2.families((*own, ("peer", "src")), self.http2)
        yield from self.profiled.families()


class UpstreamMetrics:
    """
    Of all connections to upstreams in one direction: those that were opened for one listener are used by others, and
    last longer.

    @ivar http2: what is counted of those of HTTP/2 beneath their requests
    """

    def __init__(self, outward: Outward) -> None:
        self._labels: Labels = (("direction", outward.direction),)
        self._pools: list[Pool] = []
        self._has_pools = False
        self._prune_at = 16
        self.http2 = h2.PeerCounts()
        outward.counters.families(self.families)

    def opened(self, pool: Pool) -> None:
        """Show C{pool} until it is closed and its last connection gone."""
        if len(self._pools) >= self._prune_at:
            self._prune()
            self._prune_at = max(16, 2 * len(self._pools))
        self._pools.append(pool)
        self._has_pools = True

    def _prune(self) -> None:
        self._pools = [pool for pool in self._pools if not pool.closed or any(pool.connections())]

    def families(self) -> Iterator[Family]:
        """As of now."""
        own = self._labels
        yield from h2.families((*own, ("peer", "dst")), self.http2)
        self._prune()
        found = [pool.connections() for pool in self._pools]
        active, idle = sum([active for active, _ in found]), sum([idle for _, idle in found])
        yield Family(
            "http_upstream_connections",
            "gauge",
            "Connections to HTTP upstreams, in use (active) or not (idle). Listeners of one direction share them.",
            [((*own, ("state", "active")), active), ((*own, ("state", "idle")), idle)] if self._has_pools else (),
        )


def _outcomes(counter: HttpCounter) -> Iterator[tuple[Labels, int]]:
    for status, n in list(counter.responses.items()):
        yield _outcome(status, status), n
    for status, n in list(counter.cut.items()):
        yield _outcome(status, FAILURES), n
    for (status, grpc), n in list(counter.calls.items()):
        yield (*_outcome(status, http_status(grpc)), ("grpc_status", str(grpc))), n


def _outcome(status: int, judged: int) -> Labels:
    return ("classification", "failure" if judged >= FAILURES else "success"), ("status_code", str(status))
