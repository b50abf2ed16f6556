# -*- test-case-name: tests.protocols.http.test_metrics -*-
"""
What is counted of HTTP, and the metric families that this becomes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Protocol

from lproxy.api import Counters
from lproxy.metrics.counters import MILLISECONDS, Bounds, Histogram
from lproxy.metrics.family import Family, Labels

#: seconds; what one request may cost the proxy itself
OVERHEAD_SECONDS: Bounds = (0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1)


class HttpCounter:
    """
    Requests of one route (listener, authority, tls).

    @ivar responses: answers by status code, proxy-made ones included
    @ivar latency: milliseconds from a request's head to the end of its answer
    @ivar overhead: seconds that requests spent in the proxy itself
    """

    __slots__ = ("_holders", "latency", "overhead", "requests", "responses")

    def __init__(self) -> None:
        self._holders = 0
        self.requests = 0
        self.responses: dict[int, int] = {}
        self.latency = Histogram(MILLISECONDS)
        self.overhead = Histogram(OVERHEAD_SECONDS)

    def began(self) -> None:
        """Count a request; it L{ended} once, whatever became of it."""
        self.requests += 1
        self._holders += 1

    def ended(self, status: int, milliseconds: float, overhead: float) -> None:
        """Count its answer. C{status} is zero where there was none."""
        self._holders -= 1
        if status:
            self.responses[status] = self.responses.get(status, 0) + 1
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
        return self.requests + sum(self.responses.values())

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

    #: connections in use
    load: int
    #: whether it opens no more
    closed: bool

    @property
    def idle(self) -> Sized:
        """Connections that wait for a request."""


class HttpMetrics:
    """
    One listener's.

    @ivar faults: what it answered itself, and refused
    """

    def __init__(self, counters: Counters, direction: str, listener: str) -> None:
        self._labels: Labels = (("direction", direction), ("listener", listener))
        self._routes = counters.series(HttpCounter, "authority")
        self._pools: list[Pool] = []
        self._has_pools = False
        self._prune_at = 16
        self.faults = HttpFaults()
        counters.families(self.families)

    def route(self, authority: str, tls: bool = False) -> HttpCounter:
        """
        Where requests to C{authority} are counted. L{HttpCounter.hold} it before it is kept.

        @param tls: whether they came by TLS that ended here
        """
        return self._routes.get((*self._labels, ("authority", authority), ("tls", "true" if tls else "false")))

    def opened(self, pool: Pool) -> None:
        """Show C{pool} until it is closed and its last connection gone."""
        if len(self._pools) >= self._prune_at:
            self._prune()
            self._prune_at = max(16, 2 * len(self._pools))
        self._pools.append(pool)
        self._has_pools = True

    def _prune(self) -> None:
        self._pools = [pool for pool in self._pools if pool.load or len(pool.idle) or not pool.closed]

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
            "HTTP responses, including those that lproxy made itself. A status of 500 and above is a failure.",
            (((*labels, *_outcome(s)), n) for labels, c in routes for s, n in list(c.responses.items())),
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
        self._prune()
        active, idle = sum(pool.load for pool in self._pools), sum(len(pool.idle) for pool in self._pools)
        yield Family(
            "http_upstream_connections",
            "gauge",
            "Connections to HTTP upstreams, in use (active) or not (idle). Listeners of one direction share them; "
            "they are shown with the first of these.",
            [((*own, ("state", "active")), active), ((*own, ("state", "idle")), idle)] if self._has_pools else (),
        )


def _outcome(status: int) -> Labels:
    return ("classification", "failure" if status >= 500 else "success"), ("status_code", str(status))
