# -*- test-case-name: tests.protocols.http.profile.test_metrics -*-
"""
Tests for L{lproxy.protocols.http.profile.metrics}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.metrics import HttpMetrics
from lproxy.protocols.http.profile.metrics import BUDGET, LIMIT, SUCCESS, WON, Outcome, RouteCounter
from tests.metrics.case import HOSTILE, MetricsCase

ROUTE = {"direction", "listener", "dst", "rt_route"}
ANSWER = ROUTE | {"classification", "status_code", "grpc_status"}
FAMILIES: dict[str, tuple[str, set[str]]] = {
    "route_request_total": ("counter", ROUTE),
    "route_response_total": ("counter", ANSWER),
    "route_response_latency_ms": ("histogram", ROUTE),
    "route_actual_request_total": ("counter", ROUTE),
    "route_actual_response_total": ("counter", ANSWER),
    "route_retry_total": ("counter", ROUTE | {"outcome"}),
    "route_hedge_total": ("counter", ROUTE | {"outcome"}),
    "route_rate_limited_total": ("counter", ROUTE),
}


def ended(counter: RouteCounter, outcome: Outcome | None, milliseconds: float) -> None:
    """Count what came of a request, as L{Plan<lproxy.protocols.http.profile.plan.Plan>} does."""
    if outcome is None:
        counter.unanswered += 1
    else:
        outcome.answers += 1
        counter.latency.observe(milliseconds)


class CounterTests(SynchronousTestCase):
    """What exchanges count into."""

    def test_requests(self) -> None:
        """A request counts when it begins, its answer when it ends; one without an answer has no latency."""
        counter = RouteCounter()
        for status in (200, 200, 503, 0):
            counter.requests += 1
            ended(counter, counter.outcome(status, status >= 500) if status else None, 10.0)
        found = {key: outcome.answers for key, outcome in counter.outcomes.items()}
        self.assertEqual((4, {(200, -1, False): 2, (503, -1, True): 1}), (counter.requests, found))
        self.assertEqual((3, 30.0), (sum(counter.latency.counts), counter.latency.total))

    def test_held(self) -> None:
        """As long as a request is under way, and as long as somebody keeps it."""
        counter = RouteCounter()
        counter.requests += 1
        counter.hold()
        ended(counter, None, 0.0)
        self.assertTrue(counter.held())
        counter.release()
        self.assertFalse(counter.held())

    def test_mark(self) -> None:
        """Whatever is counted of a request changes it."""
        counter = RouteCounter()
        seen = [counter.mark()]
        counter.requests += 1
        seen.append(counter.mark())
        counter.tries += 1
        seen.append(counter.mark())
        counter.outcome(503, True).tries += 1
        seen.append(counter.mark())
        ended(counter, counter.outcome(503, True), 1.0)
        seen.append(counter.mark())
        counter.limited += 1
        seen.append(counter.mark())
        self.assertEqual(sorted(set(seen)), seen)


class FamilyTests(MetricsCase):
    """What is shown."""

    def setUp(self) -> None:
        super().setUp()
        self.routes = HttpMetrics(self.metrics.plugin("http"), "outbound", "out").profiled

    def request(self, name: str, target: str = "web:80") -> None:
        """One that is begun and answered."""
        counter = self.routes.route(target, name)
        counter.requests += 1
        ended(counter, counter.outcome(200, False), 10.0)

    def test_families(self) -> None:
        """Every family has exactly its type and labels, and a sentence of help."""
        counter = self.routes.route("web:80", "GET /")
        counter.requests += 1
        counter.tries += 1
        counter.outcome(200, True, 14).tries += 1
        ended(counter, counter.outcome(200, True, 14), 1.0)
        counter.retried(LIMIT)
        counter.hedged(WON)
        counter.limited += 1
        seen = {}
        for name, kind, help, samples in self.routes.families():
            self.assertTrue(help.endswith(".") and len(help.split()) > 2, name)
            seen[name] = (kind, {key for labels, _ in samples for key, _ in labels})
        self.assertEqual(FAMILIES, seen)

    def test_values(self) -> None:
        """What was counted is what is shown: tries beside requests, and a failure is what the route calls one."""
        counter = self.routes.route("web:80", "GET /")
        counter.requests += 1
        counter.tries += 2
        counter.outcome(503, True).tries += 1
        counter.outcome(200, False).tries += 1
        ended(counter, counter.outcome(200, False), 30.0)
        counter.retried(SUCCESS)
        counter.requests += 1
        ended(counter, counter.outcome(404, True), 10.0)
        counter.retried(BUDGET)
        for name, labels, expected in (
            ("route_request_total", {}, [2]),
            ("route_response_total", {"classification": "success", "status_code": "200"}, [1]),
            ("route_response_total", {"classification": "failure", "status_code": "404"}, [1]),
            ("route_response_latency_ms_sum", {}, [40]),
            ("route_actual_request_total", {}, [2]),
            ("route_actual_response_total", {"classification": "failure", "status_code": "503"}, [1]),
            ("route_retry_total", {"outcome": "success"}, [1]),
            ("route_retry_total", {"outcome": "budget"}, [1]),
            ("route_rate_limited_total", {}, []),
        ):
            where = {"direction": "outbound", "listener": "out", "dst": "web:80", "rt_route": "GET /"}
            self.assertEqual(expected, self.values(name, **where, **labels), name)

    def test_no_route(self) -> None:
        """Requests that no route fits have no name of one."""
        self.request("")
        (sample,) = self.samples("route_request_total")
        self.assertEqual({"direction": "outbound", "listener": "out", "dst": "web:80"}, sample.labels)

    def test_same_name(self) -> None:
        """A route of the same name counts on, whatever else a new profile says of it."""
        self.request("a")
        self.request("a")
        self.request("a", "api:80")
        self.assertEqual([2, 1], self.values("route_request_total", rt_route="a"))

    def test_capped(self) -> None:
        """10,000 routes leave bounded series, and no count is lost."""
        for n in range(10_000):
            self.request(f"route {n}")
        self.assertEqual([9_800], self.values("route_request_total", rt_route="other"))
        for n in range(1_000):
            self.request("a", f"service{n}:80")
        self.assertEqual([801], self.values("route_request_total", dst="other"))

    def test_hostile(self) -> None:
        """A route may be called anything."""
        self.request(HOSTILE)
        (sample,) = self.samples("route_request_total")
        self.assertEqual(HOSTILE.replace("\udc80", "?"), sample.labels["rt_route"])

    def test_idle(self) -> None:
        """A route that is gone is forgotten after 10 minutes, unless it is held."""
        self.request("gone")
        kept = self.routes.route("web:80", "kept")
        kept.hold()
        self.text()
        self.clock.advance(600)
        self.assertEqual([0], self.values("route_request_total"))
