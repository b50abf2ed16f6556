# -*- test-case-name: tests.protocols.http.test_metrics -*-
"""
L{lproxy.protocols.http.metrics}: HTTP's families, as a scrape has them.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.counters import MILLISECONDS
from lproxy.protocols.http.grpc import NO_CALL
from lproxy.protocols.http.metrics import OVERHEAD_SECONDS, HttpCounter, HttpFaults, HttpMetrics, UpstreamMetrics
from tests.metrics.case import HOSTILE, MetricsCase

OWN = {"direction", "listener"}
ROUTE = OWN | {"authority", "tls"}
FAMILIES: dict[str, tuple[str, set[str]]] = {
    "request_total": ("counter", ROUTE),
    "response_total": ("counter", ROUTE | {"classification", "status_code"}),
    "response_latency_ms": ("histogram", ROUTE),
    "proxy_overhead_seconds": ("histogram", ROUTE),
    "http_errors_total": ("counter", OWN | {"reason"}),
    "http_rejected_total": ("counter", OWN | {"reason"}),
    "h2_connections": ("gauge", OWN | {"peer"}),
    "h2_connections_total": ("counter", OWN | {"peer"}),
    "h2_streams_total": ("counter", OWN | {"peer"}),
    "h2_flow_control_waits_total": ("counter", OWN | {"peer"}),
    "h2_resets_total": ("counter", OWN | {"peer", "by", "code"}),
    "h2_goaways_total": ("counter", OWN | {"peer", "by", "code"}),
}
#: those of connections that no listener has for itself
UPSTREAM = {
    **{name: (kind, labels - {"listener"}) for name, (kind, labels) in FAMILIES.items() if name.startswith("h2_")},
    "http_upstream_connections": ("gauge", {"direction", "state"}),
}


class Pool:
    """The connections to an endpoint."""

    def __init__(self, load: int, idle: int) -> None:
        self.load = load
        self.idle = [None] * idle
        self.closed = False

    def connections(self) -> tuple[int, int]:
        """Those in use, and those that are not."""
        return self.load, len(self.idle)


class CounterTests(SynchronousTestCase):
    """What sessions count into."""

    def test_bounds(self) -> None:
        """All bounds rise; latency has linkerd's, 1 ms to 50 s."""
        for bounds in (OVERHEAD_SECONDS, MILLISECONDS):
            self.assertEqual(sorted(set(bounds)), list(bounds))
        self.assertEqual((1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100), MILLISECONDS[:11])
        self.assertEqual(50_000, MILLISECONDS[-1])

    def test_requests(self) -> None:
        """A request counts when it begins, its answer when it ends; one without an answer has no latency."""
        counter = HttpCounter()
        for status in (200, 200, 503, 0):
            counter.began()
            counter.ended(status, 10.0, 0.001)
        self.assertEqual((4, {200: 2, 503: 1}), (counter.requests, counter.responses))
        self.assertEqual((3, 30.0), (sum(counter.latency.counts), counter.latency.total))
        self.assertEqual(3, sum(counter.overhead.counts))

    def test_cut(self) -> None:
        """An answer that ended too early is a failure, once, whatever its status."""
        counter = HttpCounter()
        for status, grpc in ((200, NO_CALL), (503, NO_CALL), (200, 14)):
            before = counter.mark()
            counter.began()
            counter.ended(status, 1.0, 0.0, grpc, True)
            self.assertEqual(before + 2, counter.mark())
        self.assertEqual(({200: 1}, {503: 1}, {(200, 14): 1}), (counter.cut, counter.responses, counter.calls))

    def test_held(self) -> None:
        """As long as a request is under way, and as long as somebody keeps it."""
        counter = HttpCounter()
        counter.began()
        counter.hold()
        self.assertTrue(counter.held())
        counter.ended(0, 0.0, 0.0)
        self.assertTrue(counter.held())
        counter.release()
        self.assertFalse(counter.held())

    def test_mark(self) -> None:
        """Every request and every answer changes it."""
        counter = HttpCounter()
        seen = [counter.mark()]
        for status in (200, 503, 200):
            counter.began()
            seen.append(counter.mark())
            counter.ended(status, 1.0, 0.0)
            seen.append(counter.mark())
        self.assertEqual(len(seen), len(set(seen)))

    def test_faults(self) -> None:
        """Every reason counts by itself."""
        faults = HttpFaults()
        for reason in ("timeout", "timeout", "refused"):
            faults.error(reason)
        faults.reject("slow")
        self.assertEqual(({"timeout": 2, "refused": 1}, {"slow": 1}), (faults.errors, faults.rejected))

    def test_slotted(self) -> None:
        """No counter has a dictionary for attributes: there are many."""
        for counter in (HttpCounter(), HttpFaults()):
            self.assertFalse(hasattr(counter, "__dict__"), counter)


class FamilyTests(MetricsCase):
    """What is shown."""

    def setUp(self) -> None:
        super().setUp()
        self.http = self.listener("in")
        outward: Any = SimpleNamespace(direction="inbound", counters=self.metrics.plugin("http"))
        self.out = UpstreamMetrics(outward)

    def listener(self, name: str) -> HttpMetrics:
        """Another listener's."""
        return HttpMetrics(self.metrics.plugin("http"), "inbound", name)

    def request(self, authority: str, status: int = 200, http: HttpMetrics | None = None) -> None:
        """One that is begun and answered."""
        counter = (http or self.http).route(authority)
        counter.began()
        counter.ended(status, 10.0, 0.0001)

    def test_families(self) -> None:
        """Every family has exactly its type and labels, and a sentence of help."""
        self.request("a:80")
        self.http.faults.error("timeout")
        self.http.faults.reject("slow")
        pool: Any = Pool(1, 1)
        self.out.opened(pool)
        for http2 in (self.http.http2, self.out.http2):
            http2.connections += 1
            http2.reset("us", 8)
            http2.goaway("peer", 0)
        for metrics, families in ((self.http, FAMILIES), (self.out, UPSTREAM)):
            seen = {}
            for name, kind, help, samples in metrics.families():
                if name.startswith("route_"):
                    continue  # theirs are tested with them
                self.assertTrue(help.endswith(".") and len(help.split()) > 2, name)
                seen[name] = (kind, {key for labels, _ in samples for key, _ in labels})
            self.assertEqual(families, seen)

    def test_values(self) -> None:
        """What was counted is what is shown."""
        for status in (200, 200, 503):
            self.request("a:80", status)
        self.http.faults.error("timeout")
        self.http.faults.reject("slow")
        for name, labels, expected in (
            ("request_total", {"authority": "a:80", "tls": "false"}, [3]),
            ("response_total", {"classification": "success", "status_code": "200"}, [2]),
            ("response_total", {"classification": "failure", "status_code": "503"}, [1]),
            ("response_latency_ms_sum", {}, [30]),
            ("proxy_overhead_seconds_count", {}, [3]),
            ("http_errors_total", {"reason": "timeout"}, [1]),
            ("http_rejected_total", {"reason": "slow"}, [1]),
        ):
            self.assertEqual(expected, self.values(name, direction="inbound", listener="in", **labels), name)

    def test_listeners(self) -> None:
        """Each listener has its own series, under one header."""
        out = self.listener("out")
        self.request("a:80")
        self.request("a:80", http=out)
        for listener in ("in", "out"):
            self.assertEqual([1], self.values("request_total", listener=listener))
        self.assertEqual(1, self.text().count("# TYPE request_total counter\n"))
        self.assertEqual([], self.failures)

    def test_pools(self) -> None:
        """Connections of all pools together; one that is closed counts until its last request has ended."""
        self.assertEqual([], self.values("http_upstream_connections"))
        pools: list[Any] = [Pool(1, 2), Pool(3, 4)]
        for pool in pools:
            self.out.opened(pool)
        self.assertEqual([4], self.values("http_upstream_connections", state="active"))
        self.assertEqual([6], self.values("http_upstream_connections", state="idle"))
        pools[1].closed, pools[1].idle = True, []
        self.assertEqual([4, 2], self.values("http_upstream_connections"))
        pools[1].load = 0
        self.assertEqual([1, 2], self.values("http_upstream_connections"))
        pools[0].closed, pools[0].load, pools[0].idle = True, 0, []
        self.assertEqual([0, 0], self.values("http_upstream_connections"))

    def test_pools_come_and_go(self) -> None:
        """Those that are gone are forgotten, whether or not anybody scrapes."""
        lasting: list[Any] = [Pool(0, 0) for _ in range(100)]
        for n in range(10_000):
            pool: Any = Pool(0, 0) if n >= len(lasting) else lasting[n]
            self.out.opened(pool)
            pool.closed = n >= len(lasting)
        self.assertLess(len(self.out._pools), 250)
        self.assertEqual(lasting, self.out._pools[:100])

    def test_capped(self) -> None:
        """10,000 hosts leave bounded series, and no count is lost; new ones after that make no new series."""
        for host in range(10_000):
            self.request(f"host{host}.example:80")
        self.assertEqual([9_800], self.values("request_total", authority="other"))
        self.assertEqual([1] * 200, self.values("request_total")[:-1])
        before = len(self.text().splitlines())
        for host in range(1_000):
            self.request(f"again{host}.example:80")
        self.assertEqual(before, len(self.text().splitlines()))

    def test_hostile(self) -> None:
        """An authority of 8 KiB, or with whatever in it, stays one value on one line."""
        self.request("h" * 8_000)
        self.request(HOSTILE)
        seen = {s.labels["authority"] for s in self.samples("request_total")}
        self.assertEqual({"h" * 261, HOSTILE.replace("\udc80", "?")}, seen)

    def test_idle(self) -> None:
        """An authority that nobody asks for any more is gone after 10 minutes, unless it is held."""
        self.request("a")
        kept = self.http.route("b")
        kept.hold()
        self.text()
        self.clock.advance(600)
        self.assertEqual([0], self.values("request_total"))
        kept.began()
        self.assertEqual([1], self.values("request_total", authority="b"))

    def test_faults_stay(self) -> None:
        """A fault that happened once is never forgotten."""
        self.http.faults.reject("slow")
        for _ in range(3):
            self.clock.advance(100_000)
            self.assertEqual([1], self.values("http_rejected_total"))
