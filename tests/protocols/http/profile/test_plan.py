# -*- test-case-name: tests.protocols.http.profile.test_plan -*-
"""
L{lproxy.protocols.http.profile.plan}: what becomes of a route's requests.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Metrics as MetricsConfig
from lproxy.config import Timeouts
from lproxy.metrics.registry import Metrics
from lproxy.profile import Answer, Fields, Rate, Redirect, ResponseClass, Route, Statuses
from lproxy.protocols.http.grpc import NO_CALL
from lproxy.protocols.http.message import CHUNKED, Request
from lproxy.protocols.http.metrics import HttpMetrics
from lproxy.protocols.http.profile.answer import Elsewhere, Static
from lproxy.protocols.http.profile.plan import Place, Plan
from lproxy.stack.rates import Rates
from lproxy.target import Authority
from lproxy.transport.stream import Conn

CONN = Conn(("10.0.0.9", 4711), ("10.0.0.2", 4140))


def place(host: str = "web.local", rates: Rates | None = None, service: str = "") -> Place:
    """One whose routes nobody else counts."""
    metrics = Metrics(MetricsConfig(), Clock(), lambda name, failure: None)
    counters = HttpMetrics(metrics.plugin("http"), "outbound", "out").profiled
    rates = rates if rates is not None else Rates()
    return Place(Authority(host, 80), service or host, counters, rates, Timeouts())


def request(framing: int = 0) -> Request:
    """One whose body is that long."""
    return Request(b"POST", b"/", [], framing, b"web.local", False)


class PlanTests(SynchronousTestCase):
    """What a route says, ready to be done."""

    def test_name(self) -> None:
        """It is known by its route's name."""
        plan = Plan(Route("GET /books"), place())
        self.assertEqual(("GET /books", "<Plan 'GET /books'>"), (plan.name, repr(plan)))

    def test_nothing(self) -> None:
        """A route that says nothing costs nothing: there is nothing to be done."""
        plan = Plan(Route("a"), place())
        plan.join((), None)
        self.assertEqual([None] * 5, [plan.gate, plan.ours, plan.rewriter, plan.request, plan.response])
        self.assertFalse(plan.bounded)

    def test_ours(self) -> None:
        """A redirect goes before an answer, and both have what the route says of answers' fields."""
        fields = Fields(add=(("X-A", "1"),))
        plan = Plan(Route("a", redirect=Redirect(), answer=Answer(200), response=fields), place())
        self.assertIsInstance(plan.ours, Elsewhere)
        plan = Plan(Route("a", answer=Answer(200), response=fields), place())
        assert isinstance(plan.ours, Static)
        self.assertIn((b"x-a", b"1"), plan.ours.to(request(), False)[0].headers)

    def test_counted(self) -> None:
        """Its requests are counted, and their answers by the route's own classes; it holds its series until closed."""
        plan = Plan(Route("a", classes=(ResponseClass(Statuses(404, 404)),)), place())
        plan.counter.requests += 1
        self.assertTrue(plan.ended(404, 1.0, NO_CALL, True))
        plan.counter.requests += 1
        self.assertTrue(plan.ended(404, 1.0, NO_CALL, False))
        plan.counter.requests += 1
        self.assertFalse(plan.ended(200, 1.0, 0, True))
        plan.counter.requests += 1
        self.assertTrue(plan.ended(0, 1.0, NO_CALL, False))
        plan.counter.requests += 1
        self.assertTrue(plan.ended(200, 1.0, NO_CALL, True, True))
        found = {key: (outcome.answers, outcome.tries) for key, outcome in plan.counter.outcomes.items()}
        self.assertEqual((1, 1), found.pop((200, NO_CALL, True)))
        found.pop((200, NO_CALL, False))
        self.assertEqual({(404, NO_CALL, True): (2, 1), (200, 0, False): (1, 1), (0, NO_CALL, True): (0, 0)}, found)
        self.assertEqual((5, 4), (plan.counter.requests, sum(plan.counter.latency.counts)))
        self.assertTrue(plan.counter.held())
        plan.close()
        self.assertFalse(plan.counter.held())

    def test_body(self) -> None:
        """A body that says to be too long is refused at once; one that does not say, when it is."""
        plan = Plan(Route("a", max_body=10), place())
        self.assertTrue(plan.bounded)
        self.assertIsNone(plan.refuse(request(10), CONN, 0.0))
        self.assertIsNone(plan.refuse(request(CHUNKED), CONN, 0.0))
        refused = plan.refuse(request(11), CONN, 0.0)
        self.assertEqual((413, "web.local:80"), refused and (refused.status, str(refused.target)))
        self.assertIsNone(plan.too_large(10))
        self.assertIsNotNone(plan.too_large(11))
        nothing = Plan(Route("a", max_body=0), place())
        self.assertEqual([False, True], [nothing.too_large(size) is not None for size in (0, 1)])

    def test_rates(self) -> None:
        """A request has to pass the route's rates and the service's; one that does not is counted as such."""
        here = place()
        service = here.rates.of("service", (Rate(3, 60.0),))
        plan, other = [Plan(Route(name, rates=(Rate(2, 60.0),)), here) for name in ("a", "b")]
        plan.join(service, None)
        other.join(service, None)
        passed = [one.refuse(request(), CONN, 0.0) is None for one in (plan, plan, plan, other, other)]
        self.assertEqual([True, True, False, True, False], passed)
        self.assertEqual((1, 1), (plan.counter.limited, other.counter.limited))

    def test_rates_last(self) -> None:
        """What was used up is so for whoever follows: another listener's plan, or a profile that was read anew."""
        rates = Rates()
        route = Route("a", rates=(Rate(1, 60.0),))
        for expected in (True, False):
            plan = Plan(route, place(rates=rates))
            plan.join((), None)
            self.assertEqual(expected, plan.refuse(request(), CONN, 0.0) is None)
        named = Plan(route, place("10.0.0.1", rates, "web.local"))
        named.join((), None)
        self.assertIsNotNone(named.refuse(request(), CONN, 0.0), "one service, by whatever name")
        elsewhere = Plan(route, place("api.local", rates))
        elsewhere.join((), None)
        self.assertIsNone(elsewhere.refuse(request(), CONN, 0.0))
