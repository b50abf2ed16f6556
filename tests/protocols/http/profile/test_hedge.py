# -*- test-case-name: tests.protocols.http.profile.test_hedge -*-
"""
L{lproxy.protocols.http.profile.hedge}: a second try beside a first one.
"""

from __future__ import annotations

from typing import Any

from lproxy.profile import Hedge, Retries, RetryBudget, Route
from lproxy.protocols.http.profile.quantile import ENOUGH
from lproxy.testing import Peer
from tests.protocols.http.harness import get, ok, post
from tests.protocols.http.profile.test_router import ProfiledTestCase
from tests.protocols.http.tracer import ScriptedSpan, ScriptedTracer

BAD = ok(b"bad", status="503 X")


class HedgeTests(ProfiledTestCase):
    """A route whose requests are usually answered within ten milliseconds."""

    budget = RetryBudget(minimum=1000.0)

    def setUp(self) -> None:
        super().setUp()
        self.route()

    def route(self, **settings: object) -> None:
        """It is measured."""
        self.begin(Route("r", hedge=Hedge(), **settings), budget=self.budget)  # type: ignore[arg-type]
        self.proxy.acquires["http"].bounded = True
        client = self.client()
        for _ in range(ENOUGH):
            self.say(client, get())
            self.wait(0.01, 0.01)
            self.say(self.up, ok())
            self.assertEqual(ok(), self.heard(client))
        self.heard(self.up)
        self.assertEqual({}, self.counted)

    @property
    def counted(self) -> dict[str, int]:
        """What came of second tries."""
        return self.factory.metrics.profiled.route("upstream.test:9000", "r").hedges or {}

    def two(self, request: bytes = b"") -> tuple[Peer, Peer, Peer]:
        """A client whose request is sent twice, and both upstreams."""
        client = self.client(request or get())
        first = self.ups[0]
        self.assertEqual(request or get(), self.heard(first))
        self.wait(0.02, 0.005)
        self.assertEqual((2, request or get()), (len(self.ups), self.heard(self.up)))
        return client, first, self.up

    def test_quick(self) -> None:
        """What is answered as usual has no second try, and no timer is left."""
        client = self.client(get())
        self.wait(0.01, 0.005)
        self.say(self.up, ok())
        self.wait(1)
        self.assertEqual((ok(), 1, {}), (self.heard(client), len(self.ups), self.counted))
        self.assertEqual("<Deadlines 0>", repr(self.factory.listener.deadlines))

    def test_second(self) -> None:
        """Where the second answers first it is the answer, and the first is given up."""
        client, first, second = self.two()
        self.say(second, ok(b"2"))
        self.assertEqual((ok(b"2"), "reset", {"won": 1}), (self.heard(client), first.ended, self.counted))
        self.assertEqual((1, 2), (self.idle, self.proxy.records[-1]["tries"]))

    def test_slow(self) -> None:
        """A first try that is given up counts as slow for its endpoint's weight; a second one had too little time."""
        took: list[float] = []
        self.patch(self.proxy.acquires["http"], "took", lambda seconds, now: took.append(round(seconds, 3)))
        client, first, second = self.two()
        self.wait(0.03, 0.01)
        self.say(second, ok())
        self.assertEqual([0.05, 0.035], sorted(took, reverse=True))
        self.assertEqual(ok(), self.heard(client))
        took.clear()
        client = self.client(get())
        self.wait(0.05, 0.005)
        self.say(self.ups[1], ok())
        self.assertEqual(1, len(took))
        self.assertEqual(ok(), self.heard(client))

    def test_first(self) -> None:
        """And the reverse."""
        client, first, second = self.two()
        self.say(first, ok(b"1", length=2))
        self.assertEqual("reset", second.ended)
        self.say(first, b"1")
        self.assertEqual((ok(b"11"), {"lost": 1}, 1), (self.heard(client), self.counted, self.idle))

    def test_one_lost(self) -> None:
        """Where one of them comes to nothing the other goes on."""
        for which in (0, 1):
            self.route()
            client, *both = self.two()
            both[which].reset()
            self.settle()
            self.say(both[1 - which], ok(b"2"))
            self.assertEqual((ok(b"2"), {("won", "lost")[which]: 1}), (self.heard(client), self.counted))

    def test_both_lost(self) -> None:
        """Where both do the client hears of it; or the route has another made."""
        client, first, second = self.two()
        for one in (first, second):
            one.reset()
            self.settle()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual({"lost": 1}, self.counted)
        self.route(retries=Retries())
        client, first, second = self.two()
        for one in (first, second):
            one.reset()
            self.settle()
        self.assertEqual(get("/", "l5d-retry-attempt: 2"), self.heard(self.up))
        self.say(self.up, ok())
        self.assertEqual(ok(), self.heard(client))

    def test_informational(self) -> None:
        """What comes before the answer goes on, and decides nothing."""
        client, first, second = self.two()
        early = b"HTTP/1.1 103 Early\r\n\r\n"
        self.say(first, early)
        self.say(second, ok())
        self.assertEqual(early + ok(), self.heard(client))

    def test_body(self) -> None:
        """A body goes with both."""
        client, first, second = self.two(post(b"body", method="PUT"))
        self.say(second, ok())
        self.assertEqual(ok(), self.heard(client))

    def test_not(self) -> None:
        """No second try for what may not be repeated, or has more of a body to come."""
        for request in (post(b"x"), post(b"x", length=2, method="PUT")):
            self.route()
            self.client(request)
            self.wait(1)
            self.assertEqual(1, len(self.ups))
        self.route(retries=Retries(unsafe=True))
        self.two(post(b"x"))

    def test_budget(self) -> None:
        """Second tries are within the budget for all further ones."""
        self.budget = RetryBudget(ratio=0.0, minimum=1.0)
        self.route()
        client, first, _ = self.two()
        self.say(first, ok())
        self.say(client, get())
        self.wait(1)
        self.assertEqual((2, {"lost": 1, "budget": 1}), (len(self.ups), self.counted))

    def test_unwanted(self) -> None:
        """The first answer wins, whatever it is; what its route has it sent once more for is."""
        self.route(retries=Retries())
        client, first, second = self.two()
        self.say(second, BAD)
        self.assertEqual("reset", first.ended)
        self.assertEqual(get("/", "l5d-retry-attempt: 2"), self.heard(self.up))
        self.say(self.up, ok())
        self.assertEqual(ok(), self.heard(client))

    def test_gone(self) -> None:
        """A client that goes ends both, or what is acquired for the second."""
        client, first, second = self.two()
        client.reset()
        self.settle()
        self.assertEqual(("reset", "reset"), (first.ended, second.ended))
        self.route()
        client = self.client(get())
        self.proxy.connector.mode = "wait"
        self.wait(0.02, 0.005)
        client.reset()
        self.settle()
        self.assertEqual([(0, "DC")] * 1, self.rows[-1:])

    def test_late(self) -> None:
        """A second lease that comes when the first has answered is not used."""
        client = self.client(get())
        self.proxy.connector.mode = "wait"
        self.wait(0.02, 0.005)
        self.say(self.ups[0], ok())
        self.assertEqual((ok(), {}), (self.heard(client), self.counted))
        self.assertEqual(1, len(self.ups))

    def test_refused(self) -> None:
        """Where the second cannot be had the first goes on."""
        self.proxy.connector.mode = "refuse"
        client = self.client(get())
        self.wait(0.5)
        self.say(self.ups[0], ok())
        self.assertEqual((ok(), {}), (self.heard(client), self.counted))


class TracedTests(ProfiledTestCase):
    """Each of both has a span of its own, in the request's."""

    def start(self, **changes: Any) -> None:
        self.tracer = ScriptedTracer()
        super().start(tracer=self.tracer, **changes)

    def two(self) -> tuple[Peer, Peer, list[ScriptedSpan]]:
        """Both upstreams that a request is sent to, and their spans."""
        self.begin(Route("r", hedge=Hedge()), budget=RetryBudget(minimum=1000.0))
        self.proxy.acquires["http"].bounded = True
        client = self.client()
        for _ in range(ENOUGH):
            self.say(client, get())
            self.wait(0.01, 0.01)
            self.say(self.up, ok())
        self.tracer.spans.clear()
        self.heard(self.up)
        self.client(get())
        first = self.ups[0]
        self.wait(0.02, 0.005)
        calls = [span for span in self.tracer.spans if span.kind == "client"]
        for up, span in zip((first, self.up), calls, strict=True):
            self.assertIn(f"-{span.span_id}-01".encode(), self.heard(up))
        return first, self.up, calls

    def test_won(self) -> None:
        """The one that was not needed is no failure; the other has the answer."""
        for number in (0, 1):
            *ups, calls = self.two()
            self.say(ups[number], ok())
            won, late = calls[number], calls[1 - number]
            self.assertEqual(("late", None), (late.attributes["lproxy.hedge"], won.attributes.get("lproxy.hedge")))
            self.assertEqual((200, ""), (won.attributes["http.response.status_code"], late.error))
            self.assertEqual({1}, {len(span.ended) for span in self.tracer.spans})
            latency = self.factory.metrics.profiled.route("upstream.test:9000", "r").latency
            traces = {exemplar.trace_id for exemplar in (latency.exemplars or {}).values()}
            self.assertIn(won.parent.trace_id, traces)

    def test_both_lost(self) -> None:
        """Where nobody answers, both say why."""
        first, second, calls = self.two()
        first.reset()
        self.settle()
        second.reset()
        self.settle()
        for up in self.open:
            self.say(up, ok())
        self.assertEqual(["upstream_lost"] * 2, [span.error for span in calls])
        self.assertEqual({1}, {len(span.ended) for span in self.tracer.spans})
