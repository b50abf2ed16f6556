# -*- test-case-name: tests.admin.test_page -*-
"""
L{lproxy.admin.page}: the first page, as HTML.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin.order import SORTS, Asked, Traffic
from lproxy.admin.overview import Shown
from lproxy.admin.page import main, page
from tests.admin.case import PATHS, AdminCase

HOSTILE = '<script>alert("x")</script>&\'\ud800'
QUIET = Traffic(0.0, None, (None, None, None))


class Balanced(HTMLParser):
    """Sees that every element is ended, and that no id comes twice."""

    EMPTY = frozenset(("meta", "link", "input", "br"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.scripts: list[str | None] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if known.get("id"):
            self.ids.append(str(known["id"]))
        if tag == "script":
            self.scripts.append(known.get("src"))
        assert not [name for name in known if name.startswith("on")], attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag


PARTS = {"layer": "connect", "target": "web:80", "cause": "refused", "waited_seconds": 0.25}


def shown(**more: Any) -> Shown:
    """A picture in which there is something of each kind."""
    listener = {
        "name": "web",
        "address": ("127.0.0.1", 80),
        "target": "authority",
        "detect": ["http"],
        "connections": 5,
    }
    services = [
        (
            {
                "target": "web:80",
                "direction": "outbound",
                "protocol": "http",
                "state": "degraded",
                "lock": {"holders": 1, "held_seconds": 0.25},
                "waiters": 3,
                "in_flight": 2,
                "endpoints": [
                    {"address": "10.0.0.1:80", "state": "healthy", "idle": 1, "in_flight": 2},
                    {
                        "address": "10.0.0.2:80",
                        "state": "backoff",
                        "last_error": "refused",
                        "last_error_seconds": 61.0,
                        "down_seconds": 90.0,
                        "backoff_seconds": 4.0,
                    },
                ],
            },
            Traffic(12.5, 0.97, (1.234, 20.0, None)),
            {"10.0.0.1:80": Traffic(12.5, 0.9995, (1.0, 2.0, 3.0))},
        )
    ]
    picture = Shown(
        version="1.2",
        not_ready=None,
        seconds=10.0,
        live={"file": "lproxy.toml", "hash": "abc", "since": "1970-01-02T03:46:30.123+00:00"},
        figures={"connections": "5"},
        workers=[
            {
                "worker": 0,
                "pid": 7,
                "state": "serving",
                "seconds": 61.0,
                "silent_seconds": 0.4,
                "restarts": {"died": 2},
            },
            {"worker": 1, "pid": 8, "state": "hung", "seconds": 5.0, "silent_seconds": 9.0, "held_by": "x.py, line 1"},
        ],
        draining=[{"pid": 9, "connections": 3, "in_flight": 2, "seconds": 5.0, "within": 25.0}],
        listeners=[{**listener, "connections": 5}],
        services=services,
        more=0,
        rest=None,
        routes=[({"authority": "web.local", "listener": "web"}, QUIET)],
        profiled=[({"listener": "web", "dst": "web.local:80", "rt_route": "GET /books"}, QUIET, 12.0)],
        kafka=[("Fetch", 0.5)],
        brokers=[
            {
                "cluster": "kafka",
                "address": "10.0.0.3:9092",
                "node": "7",
                "state": "healthy",
                "connections": 2,
                "in_flight": 1,
                "client_ids": ["app", "job"],
            }
        ],
        connections=[
            {
                "client": "10.9.9.9:5",
                "remote_identity": "app.mesh",
                "listener": "web",
                "protocol": None,
                "state": "acquiring",
                "target": "web:80",
                "upstream": None,
                "seconds": 3.2,
            }
        ],
        certificates=[({"name": "web.mesh"}, 100_000.0 + 90_000)],
        failures=[{"at": 99_990.0, "kind": "http", "text": "it broke", "times": 7, "key": "a", **PARTS}],
    )
    return picture._replace(**more)


def row(html: str, key: str) -> list[str]:
    """The texts of a row's cells."""
    found = re.search(rf'<tr id="{re.escape(key)}"[^>]*>(.*?)</tr>', html, re.DOTALL)
    assert found is not None, key
    return [re.sub("<[^>]*>", "", cell) for cell in re.findall("<td>(.*?)</td>", found[1], re.DOTALL)]


class MainTests(SynchronousTestCase):
    """What changes of it."""

    def html(self, **more: Any) -> str:
        return main(shown(**more), 100_000.0)

    def test_service(self) -> None:
        """A service with its traffic, who waits, and each endpoint with its own."""
        html = self.html()
        key = "service-outbound-http-web:80"
        self.assertEqual(
            [
                *("web:80 outbound http", "degraded", "12.5", "97 %", "1.23 ms", "20 ms", "-", "2"),
                *("3 behind 1 acquiring, for 0 s", ""),
            ],
            row(html, key),
        )
        self.assertEqual(
            ["10.0.0.1:80", "healthy", "12.5", "99.95 %", "1 ms", "2 ms", "3 ms", "2", "1 idle", ""],
            row(html, f"{key}-10.0.0.1:80"),
        )
        _, state, *_, error = row(html, f"{key}-10.0.0.2:80")
        self.assertEqual(
            ("backoff for 1 min 30 s, next try in 4 s", "refused 1 min 1 s ago"), (state, error), "since when, and why"
        )

    def test_rest(self) -> None:
        """Listeners, routes, Kafka's APIs, certificates, failures."""
        html = self.html()
        self.assertEqual(["web", "", "127.0.0.1:80", "authority", "http", "off", "5 "], row(html, "listener-web"))
        self.assertEqual(["web.local", "web", "0", "-", "-", "-", "-"], row(html, "route-web.local-web"))
        profiled = ["web.local:80", "GET /books", "web", "0", "-", "-", "-", "-", "12"]
        self.assertEqual(profiled, row(html, "profiled-web-web.local:80-GET /books"))
        self.assertEqual(["Fetch", "0.5"], row(html, "kafka-Fetch"))
        worker = ["0", "7", "serving", "1 min 1 s", "0 s ago", "died 2", ""]
        self.assertEqual(worker, row(html, "worker-0"))
        self.assertEqual(["hung", "x.py, line 1"], [row(html, "worker-1")[n] for n in (2, 6)])
        self.assertEqual(["9", "3", "2", "5 s ago", "20 s"], row(html, "draining-9"))
        broker = ["kafka", "7", "10.0.0.3:9092", "healthy", "2", "1", "app, job"]
        self.assertEqual(broker, row(html, "broker-kafka-10.0.0.3:9092"))
        connection = ["10.9.9.9:5", "app.mesh", "web", "undecided", "acquiring", "web:80", "-", "3 s"]
        self.assertEqual(connection, row(html, "connection-web-10.9.9.9:5"))
        rows = [{"client": "a", "listener": "web"}, {"client": "b", "listener": "web", "request_seconds": 0.25}]
        ages = [row(self.html(connections=rows), f"connection-web-{name}")[-1] for name in "ab"]
        self.assertEqual(["-", "250 ms request"], ages, "of which nobody knows since when they are")
        self.assertEqual(["web.mesh", "1970-01-03 04:46:40Z", "1 d 1 h"], row(html, "certificate-web.mesh"))
        (failure,) = re.findall('<tr id="(failure-[^"]*)"', html)
        self.assertEqual(["10 s ago", "7", "connect", "web:80", "250 ms", "it broke"], row(html, failure))

    def test_keys(self) -> None:
        """A row has an id of its own, and the same when others come and go, by which the script knows it again."""
        one = {"client": "10.9.9.9:5", "listener": "web"}
        connections = [{**one, "client": "10.9.9.8:4"}, one, one]
        found = Balanced(self.html(connections=connections)).ids
        self.assertEqual(len(set(found)), len(found))
        self.assertEqual(set(), set(Balanced(self.html(connections=connections[1:])).ids) - set(found))
        failures = [{"at": 0.0, "kind": "http", "text": text, "times": 1, "key": text} for text in "ab"]
        both = set(Balanced(self.html(failures=failures)).ids)
        self.assertEqual(1, len(both - set(Balanced(self.html(failures=failures[1:])).ids)))

    def test_sorted(self) -> None:
        """Heads of columns sort by them and keep the filter; of that by which it is sorted, they end that."""
        asked = Asked("we&b", "p99")
        html = main(shown(), 100_000.0, asked)
        self.assertIn('<th scope="col"><a href="/?q=we%26b&amp;sort=requests">requests/s</a></th>', html)
        self.assertIn('<th scope="col" aria-sort="descending"><a href="/?q=we%26b">p99</a></th>', html)
        self.assertIn('<th scope="col" aria-sort="ascending"><a href="/">name</a></th>', self.html_by("name"))
        for sort in SORTS:
            self.assertIn("aria-sort", self.html_by(sort), sort)
        self.assertNotIn("aria-sort", self.html())

    def html_by(self, sort: str) -> str:
        return main(shown(), 100_000.0, Asked(sort=sort))

    def test_nothing(self) -> None:
        """Where there is nothing, that is said; what does not concern this proxy is left out."""
        left_out = ("profiled", "kafka", "brokers", "certificates")
        empty: dict[str, Any] = {name: [] for name in ("services", "routes", "connections", "failures", *left_out)}
        html = self.html(**empty, listeners=[], workers=[], draining=[])
        self.assertEqual(5, html.count("<p>None.</p>"))
        self.assertNotIn("Kafka", html)
        self.assertNotIn("profile", html)
        self.assertNotIn("Certificates", html)
        self.assertNotIn("drain", html)

    def test_all_time(self) -> None:
        """Figures say what they are of."""
        self.assertIn("the last 10 seconds", self.html())
        self.assertIn("requests/s", self.html())
        first = self.html(seconds=0.0)
        self.assertIn("all time", first)
        self.assertNotIn("requests/s", first)

    def test_not_ready(self) -> None:
        """Why not."""
        self.assertIn("not ready: draining", self.html(not_ready="draining"))

    def test_closed(self) -> None:
        """A listener that does not listen."""
        listeners = [{"name": "web", "address": None, "target": "x", "protocol": "tcp", "connections": 0}]
        self.assertEqual("closed", row(self.html(listeners=listeners), "listener-web")[2])

    def test_made_of(self) -> None:
        """What a figure is made of is behind it: the samples, the service, the connections."""
        html = self.html()
        for where in (
            "/metrics?q=service%3D%22web%3A80%22",
            "/metrics?q=endpoint%3D%2210.0.0.1%3A80%22",
            "/metrics?q=api%3D%22Fetch%22",
            "/connections?q=10.9.9.9%3A5",
            "/services?q=web%3A80",
            "/?q=web%3A80",
        ):
            self.assertIn(f'href="{where}"', html)
        failure = {"at": 0.0, "kind": "x", "text": "y", "times": 1, "key": "z", "target": "listener web"}
        self.assertNotIn("q=listener", self.html(failures=[failure]), "which is no service")

    def test_since(self) -> None:
        """Since when the configuration is live, and how long that is."""
        self.assertIn(" since 1970-01-02 03:46:30Z, 10 s ago, hash abc.", self.html())
        self.assertIn(" since &lt;b&gt;, hash -", self.html(live={"since": "<b>"}))

    def test_more(self) -> None:
        """How many services are not shown, and what those do together that have no series of their own."""
        self.assertNotIn("more are in use", self.html())
        html = self.html(more=4_900, rest=Traffic(2.5, 0.999, (1.0, 2.0, 3.0)))
        self.assertIn("4900 more are in use", html)
        text = re.sub("<[^>]*>", "", html)
        self.assertIn("counted together: requests/s 2.5, success 99.9 %, p50 1 ms, p95 2 ms, p99 3 ms.", text)

    def test_expired(self) -> None:
        """A certificate that has ended stands out."""
        html = self.html(certificates=[({"name": "old"}, 99_000.0)])
        self.assertIn('<span class="bad">-16 min 40 s</span>', html)

    def test_hostile(self) -> None:
        """Whatever names and errors peers choose, they are text."""
        hostile = [{"target": HOSTILE, "state": HOSTILE, "last_error": HOSTILE, "endpoints": [{"address": HOSTILE}]}]
        html = self.html(
            services=[(hostile[0], QUIET, {})],
            failures=[{"at": 0.0, "kind": "x", "text": HOSTILE, "times": 1, "key": HOSTILE}],
            routes=[({"authority": HOSTILE, "listener": HOSTILE}, QUIET)],
            profiled=[({"dst": HOSTILE, "rt_route": HOSTILE, "listener": HOSTILE}, QUIET, 0.0)],
            not_ready=HOSTILE,
        )
        self.assertEqual([], Balanced(html).open)
        self.assertEqual([], Balanced(html).scripts)


class PageTests(AdminCase):
    """The whole page."""

    def test_served(self) -> None:
        """It leads to all others, and loads nothing but what is ours."""
        self.proxy.reason = '<script>"&'
        answer = self.ask("GET /")
        self.assertEqual((200, "text/html; charset=utf-8"), (answer.status, answer.fields["content-type"]))
        links = set(re.findall('href="([^"#?]+)"', answer.text))
        self.assertEqual({*PATHS, "/lproxy.css", "data:,"}, links)
        self.assertIn("1.2&lt;3", answer.text)
        self.assertIn("&lt;script&gt;&quot;&amp;", answer.text)
        for outside in ("http:", "https:", "url(", "@import"):
            self.assertNotIn(outside, answer.text)

    def test_well_formed(self) -> None:
        """Elements end, ids are there once, and the one script has a file of its own."""
        text = page(shown(), {"": "this", "metrics": "numbers"}, 100_000.0, Asked('"><b')).decode()
        seen = Balanced(text)
        self.assertEqual(([], ["/lproxy.js"]), (seen.open, seen.scripts))
        self.assertEqual(len(set(seen.ids)), len(seen.ids), seen.ids)
        self.assertNotIn('"><b', text)

    def test_filter(self) -> None:
        """What was asked for stands in the field, and rows say which they are."""
        answer = self.ask("GET /?q=we%22b%ff")
        self.assertIn('value="we&quot;b\ufffd"', answer.text)

    def test_sort(self) -> None:
        """Whoever filters what is sorted has both; what cannot be sorted by is as if nothing were asked for."""
        self.assertIn('name="sort" value="p99"', self.ask("GET /?sort=p99").text)
        self.assertNotIn('name="sort"', self.ask("GET /?sort=p98").text)
