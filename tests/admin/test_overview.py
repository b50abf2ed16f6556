# -*- test-case-name: tests.admin.test_overview -*-
"""
L{lproxy.admin.overview}: what the page shows, as values.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin.order import Asked, Traffic
from lproxy.admin.overview import KAFKA_REQUESTS, LATENCY, NAMES, REQUESTS, ROWS, overview
from lproxy.admin.window import Window
from lproxy.app.rows import Standing
from lproxy.metrics.counters import MILLISECONDS, Histogram
from lproxy.metrics.family import Family, Labels


class Told:
    """A proxy that tells what a test wants."""

    version = "1"

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.open: list[dict[str, Any]] = []
        self.asked = 0

    def ready(self) -> str | None:
        return "draining"

    def describe_config(self) -> dict[str, Any]:
        return {}

    def glance(self) -> dict[str, Any]:
        return {"listen": [{"name": "web", "target": "authority"}, {"name": "db"}], "live": {"hash": "abc"}}

    def addresses(self) -> dict[str, tuple[str, int]]:
        return {"web": ("127.0.0.1", 80)}

    def services(self, wanted: str = "") -> list[dict[str, Any]]:
        return [row for row in self.rows if wanted in row["target"]]

    def standings(self, wanted: str) -> list[Standing]:
        return [
            Standing(row["target"], row["state"] != "down", int(row["state"] == "degraded"), 0, partial(self.row, row))
            for row in self.services(wanted)
            if row["state"] != "unused"
        ]

    def row(self, row: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        return row

    def unused(self, wanted: str) -> list[dict[str, Any]]:
        return [row for row in self.services(wanted) if row["state"] == "unused"]

    def connections(self, limit: int = 1_000) -> list[dict[str, Any]]:
        return self.open[:limit]

    def spoken(self) -> Counter[tuple[str, str]]:
        return Counter((row["listener"], row["protocol"] or "undecided") for row in self.open)

    def workers(self) -> list[dict[str, Any]]:
        return []

    def draining(self) -> list[dict[str, Any]]:
        return [{"pid": 7}]

    def failures(self) -> list[dict[str, Any]]:
        return [{"at": 1.0, "kind": "http", "text": "x", "times": 1}]


def of(service: str, endpoint: str) -> Labels:
    return ("service", service), ("endpoint", endpoint)


class OverviewTests(SynchronousTestCase):
    """Of services, listeners, routes."""

    def setUp(self) -> None:
        self.proxy, self.window = Told(), Window(NAMES)
        self.requests: dict[Labels, float] = {}
        self.latency: dict[Labels, Histogram] = {}
        self.now = 0.0

    def answered(self, service: str, endpoint: str, good: int, bad: int = 0, ms: float = 10.0) -> None:
        labels = of(service, endpoint)
        for word, n in (("success", good), ("failure", bad)):
            key = (*labels, ("classification", word))
            self.requests[key] = self.requests.get(key, 0) + n
        histogram = self.latency.setdefault(labels, Histogram(MILLISECONDS))
        for _ in range(good + bad):
            histogram.observe(ms)

    def look(self, *more: Family) -> None:
        self.now += 2.0
        families = [
            Family(REQUESTS, "counter", "Help.", list(self.requests.items())),
            Family(LATENCY, "histogram", "Help.", list(self.latency.items())),
            *more,
        ]
        self.window.look(families, self.now)

    def names(self, wanted: str = "") -> list[str]:
        return [row["target"] for row, _, _ in overview(self.proxy, self.window, Asked(wanted)).services]

    def test_traffic(self) -> None:
        """A service's traffic is that of its endpoints together, in the time that was looked at."""
        self.proxy.rows = [{"target": "web:80", "state": "open"}]
        self.answered("web:80", "a", 100)
        self.look()
        self.answered("web:80", "a", 6, ms=1.0)
        self.answered("web:80", "b", 1, 1, ms=3.0)
        self.look()
        shown = overview(self.proxy, self.window)
        ((_, whole, endpoints),) = shown.services
        self.assertEqual((2.0, 4.0, 0.875), (shown.seconds, whole.rate, whole.success))
        self.assertEqual({"a": 3.0, "b": 1.0}, {name: traffic.rate for name, traffic in endpoints.items()})
        p50, _, p99 = whole.quantiles
        assert p50 is not None and p99 is not None
        self.assertTrue(p50 <= 1.0 < p99 <= 3.0, whole)

    def test_together(self) -> None:
        """What services do that have no series of their own is known of all of them."""
        self.proxy.rows = [{"target": "web:80", "state": "open"}]
        self.answered("web:80", "a", 1)
        self.look()
        self.assertIsNone(overview(self.proxy, self.window).rest)
        self.answered("other", "a", 3, 1)
        self.look()
        rest = overview(self.proxy, self.window).rest
        assert rest is not None
        self.assertEqual((2.0, 0.75), (rest.rate, rest.success))

    def test_none(self) -> None:
        """Of what nobody used there is nothing to say, which is not nought."""
        self.proxy.rows = [{"target": "web:80", "state": "unused"}]
        self.look()
        ((_, traffic, endpoints),) = overview(self.proxy, self.window).services
        self.assertEqual((Traffic(0.0, None, (None, None, None)), {}), (traffic, endpoints))

    def test_worst_first(self) -> None:
        """What somebody should look at comes first, then what is used most."""
        states = {"idle": "unused", "fine": "open", "busy": "open", "sick": "degraded", "gone": "down"}
        self.proxy.rows = [{"target": name, "state": state} for name, state in states.items()]
        self.answered("busy", "a", 9)
        self.answered("fine", "a", 1)
        self.look()
        self.assertEqual(["gone", "sick", "busy", "fine", "idle"], self.names())

    def test_many(self) -> None:
        """Of thousands those that matter are shown, how many there are besides is said, and names find the others."""
        self.proxy.rows = [{"target": f"s{n}.local:80", "state": "open"} for n in range(5_000)]
        self.proxy.rows[4_321]["state"] = "down"
        self.look()
        shown = overview(self.proxy, self.window)
        self.assertEqual((ROWS, 4_900), (len(shown.services), shown.more))
        self.assertEqual(ROWS, self.proxy.asked, "nothing is asked of the others")
        self.assertEqual("s4321.local:80", self.names()[0])
        self.assertEqual(["s77.local:80"], self.names("s77."))

    def test_listeners(self) -> None:
        """Where each listens, and who speaks what there now."""
        self.proxy.open = [
            {"listener": "web", "protocol": "http"},
            {"listener": "web", "protocol": "http"},
            {"listener": "web", "protocol": None},
        ]
        web, db = overview(self.proxy, self.window).listeners
        self.assertEqual((3, "http 2, undecided 1"), (web["connections"], web["speaks"]))
        self.assertEqual((None, 0), (db["address"], db["connections"]))

    def test_routes(self) -> None:
        """By authority, from what clients were answered."""
        labels: Labels = (("direction", "outbound"), ("listener", "web"), ("authority", "web.local"), ("tls", "false"))
        answers = [
            ((*labels, ("classification", word), ("status_code", code)), float(n))
            for word, code, n in (("success", "200", 8), ("success", "404", 1), ("failure", "503", 1))
        ]
        self.look(
            Family("request_total", "counter", "Help.", [(labels, 10.0)]),
            Family("response_total", "counter", "Help.", answers),
        )
        ((route, traffic),) = overview(self.proxy, self.window).routes
        self.assertEqual(("web.local", 10.0, 0.9), (route["authority"], traffic.rate, traffic.success))
        self.assertEqual([], overview(self.proxy, self.window, Asked("other")).routes)

    def test_profiled(self) -> None:
        """Routes of services with a profile, and how often their requests were sent."""
        route: Labels = (("listener", "web"), ("dst", "web.local:80"), ("rt_route", "GET /books"))
        answers = [((*route, ("classification", "success"), ("status_code", "200")), 10.0)]
        self.look(
            Family("route_request_total", "counter", "Help.", [(route, 10.0)]),
            Family("route_actual_request_total", "counter", "Help.", [(route, 12.0)]),
            Family("route_response_total", "counter", "Help.", answers),
        )
        shown = overview(self.proxy, self.window)
        ((labels, traffic, tries),) = shown.profiled
        self.assertEqual(("GET /books", 10.0, 1.0, 12.0), (labels["rt_route"], traffic.rate, traffic.success, tries))
        self.assertEqual(([], []), (shown.routes, overview(self.proxy, self.window, Asked("other")).profiled))

    def test_kafka(self) -> None:
        """Requests by API, the most frequent first."""
        samples = [((("api", api), ("version", v)), n) for api, v, n in (("Fetch", "1", 2.0), ("Produce", "1", 3.0))]
        self.look(Family(KAFKA_REQUESTS, "counter", "Help.", [*samples, ((("api", "Fetch"), ("version", "2")), 2.0)]))
        self.assertEqual([("Fetch", 4.0), ("Produce", 3.0)], overview(self.proxy, self.window).kafka)

    def test_certificates(self) -> None:
        """The one that ends first comes first."""
        name = "identity_cert_expiration_timestamp_seconds"
        samples = [((("name", "b"),), 20.0), ((("name", "a"),), 10.0)]
        self.look(Family(name, "gauge", "Help.", samples))
        found = overview(self.proxy, self.window).certificates
        self.assertEqual([({"name": "a"}, 10.0), ({"name": "b"}, 20.0)], found)

    def test_whole(self) -> None:
        """What the proxy says of itself."""
        self.look(Family("in_flight", "gauge", "Help.", [((), 3.0)]))
        shown = overview(self.proxy, self.window)
        self.assertEqual(("draining", {"hash": "abc"}), (shown.not_ready, shown.live))
        self.assertEqual("3", shown.figures["requests and streams in flight"])
        self.assertNotIn("services that serve", shown.figures, "there is none")
        self.proxy.rows = [{"target": str(n), "state": "down" if n else "ready"} for n in range(3)]
        self.assertEqual("1 of 3", overview(self.proxy, self.window).figures["services that serve"])
        self.assertNotIn("services that serve", overview(self.proxy, self.window, Asked("1")).figures, "of all or none")
        self.assertEqual((1, [{"pid": 7}]), (len(shown.failures), shown.draining))
