# -*- test-case-name: tests.configfile.profile.test_read -*-
"""
The profile in a service's table.
"""

from __future__ import annotations

import json
from typing import Any

from lproxy.configfile import load, render
from lproxy.configfile.problem import Report
from lproxy.configfile.profile.read import MAX_ROUTES, read_profile, write_profile
from lproxy.profile import (
    Answer,
    AnyOf,
    Backend,
    Fields,
    Header,
    Hedge,
    Not,
    Path,
    Profile,
    Rate,
    Redirect,
    ResponseClass,
    Retries,
    RetryBudget,
    Rewrite,
    Route,
    RouteTimeouts,
    Statuses,
    Sticky,
)
from tests.configfile.case import FileTestCase

SERVICE = '[services."web:80"]\nendpoints = ["127.0.0.1:1"]\n'

EVERYTHING = (
    SERVICE
    + """
backends = [{ service = "web:80", weight = 90 }, { service = "v2.local:80", weight = 0 }, "v3.local:80"]
sticky = { cookie = "Session" }
retry_budget = { ratio = 0, minimum = 2.5, ttl = "5s" }
rates = [{ requests = 10, per = "1m", burst = 20, header = "X-Key" }, { requests = 5, by = "client" }]
opaque_ports = [3306, 25]

[services."web:80".routes.zebra]
match = { method = "GET", path_prefix = "/books" }
retries = { tries = 2, failures = false, statuses = [503, "5xx"], grpc = ["unavailable", 4], unsafe = true, body = 1 }
timeouts = { response_headers = "1s", stream = "3s", per_try = "500ms" }
hedge = { quantile = 0.9, at_least = "10ms" }
response_classes = [{ status = 404 }, { not = { status = "2xx" }, failure = false }]
request_headers = { set = { X-A = "1" }, add = { x-b = "2" }, remove = "x-c" }
response_headers = { remove = ["server"] }
rewrite = { prefix = "/b", host = "books.internal" }
max_body = "1MiB"
rates = [{ requests = 1 }]

[services."web:80".routes.apple]
match = [{ path = "/old" }, { headers = { x-old = false } }]
redirect = { status = 308, scheme = "https", host = "new.example", port = 8443, path = "/new" }

[services."web:80".routes."3 things"]
match = { path = "/3" }
retries = true
hedge = true
backends = ["v2.local:80"]

[services."web:80".routes.down]
answer = { status = 503, body = "back at 9\\n", content_type = "text/html" }
"""
)


class ProfileTests(FileTestCase):
    def profile(self, text: str) -> Profile:
        profile = self.good(text).services["web:80"].profile
        assert profile is not None
        return profile

    def test_everything(self) -> None:
        """Each key means what its value says, and routes are in the order of the file."""
        profile = self.profile(EVERYTHING)
        self.assertEqual(
            (
                RetryBudget(0.0, 2.5, 5.0),
                (Backend("web:80", 90), Backend("v2.local:80", 0), Backend("v3.local:80", 1)),
                Sticky(cookie="Session"),
                (Rate(10, 60.0, 20, "header", "X-Key"), Rate(5, by="client")),
                frozenset((25, 3306)),
            ),
            (profile.budget, profile.backends, profile.sticky, profile.rates, profile.opaque_ports),
        )
        zebra, apple, things, down = profile.routes
        self.assertEqual(["zebra", "apple", "3 things", "down"], [route.name for route in profile.routes])
        self.assertEqual(Retries(2, False, ((503, 503), (500, 599)), (14, 4), True, 1), zebra.retries)
        self.assertEqual(RouteTimeouts(1.0, 3.0, 0.5), zebra.timeouts)
        self.assertEqual(Hedge(0.9, 0.01), zebra.hedge)
        self.assertEqual(
            (ResponseClass(Statuses(404, 404)), ResponseClass(Not(Statuses(200, 299)), False)), zebra.classes
        )
        self.assertEqual(Fields((("x-a", "1"),), (("x-b", "2"),), ("x-c",)), zebra.request)
        self.assertEqual(Fields(remove=("server",)), zebra.response)
        self.assertEqual(Rewrite(prefix="/b", host="books.internal"), zebra.rewrite)
        self.assertEqual((1024 * 1024, (Rate(1),)), (zebra.max_body, zebra.rates))
        self.assertEqual(AnyOf((Path("/old"), Not(Header("x-old")))), apple.condition)
        self.assertEqual(Redirect(308, "https", "new.example", 8443, "/new"), apple.redirect)
        self.assertEqual(
            Route("3 things", Path("/3"), retries=Retries(), hedge=Hedge(), backends=(Backend("v2.local:80"),)), things
        )
        self.assertEqual(Route("down", answer=Answer(503, "back at 9\n", "text/html")), down)

    def test_none(self) -> None:
        """A service that says nothing of a profile has none."""
        self.assertIsNone(self.good(SERVICE).services["web:80"].profile)
        self.assertEqual({}, write_profile(None))

    def test_round_trip(self) -> None:
        """What is rendered is what a file would say, as JSON, too."""
        config = self.good(EVERYTHING)
        rendered = json.loads(json.dumps(render(config)))["services"]["web:80"]
        report = Report("")
        self.assertEqual(config.services["web:80"].profile, read_profile(rendered, (), report))
        self.assertEqual([], report.problems)

    def test_backends_instead_of_endpoints(self) -> None:
        """A service that others serve needs no endpoints."""
        self.good('[services."web:80"]\nbackends = ["v2.local:80"]')
        self.says('[services."web:80".routes.a]\nretries = true', "has no endpoints")

    def test_wrong(self) -> None:
        """What contradicts itself, or means nothing, is an error that names file, line and key path."""
        for keys, said in (
            ("retrys = true", '.retrys: unknown key; did you mean "retries"?'),
            ('timeout = "1s"', '.timeout: unknown key; write timeouts = { stream = "2s" }'),
            ('path = "/a"', ".path: unknown key; it belongs in match"),
            ('mirror = "x"', ".mirror: unknown key; lproxy mirrors no requests"),
            ("timeouts = { stream = 2 }", '.timeouts.stream: 2 has no unit; write "2s"'),
            ('timeouts = { per_try = "0s" }', '.timeouts.per_try: "0s" is not more than zero'),
            ("retries = { tries = 0 }", ".retries.tries: 0 is less than 1; write a number such as 3"),
            ("retries = { tries = 101 }", ".retries.tries: 101 is more than 100; write a number such as 3"),
            ("retries = 3", ".retries: must be a table, not an integer; write { tries = ... }"),
            (
                'retries = { grpc = "ok" }',
                '.retries.grpc: ok is no failure; write those that are, such as "unavailable"',
            ),
            (
                'retries = { grpc = "unavaible" }',
                '.retries.grpc: "unavaible" is no status of gRPC; did you mean "unavailable"?',
            ),
            ("retries = { grpc = 17 }", ".retries.grpc: 17 is no status of gRPC; they are 0 to 16, or names"),
            ("hedge = { quantile = 1.0 }", ".hedge.quantile: 1.0 is not less than 1; write a number such as 0.95"),
            ("backends = []", ".backends: is empty; leave it out"),
            (
                'backends = [{ service = "" }]',
                '.backends[0].service: is empty; write an authority such as "web-v2.local:80", or',
            ),
            (
                'backends = [{ service = "a.local:80", weight = -1 }]',
                ".backends[0].weight: -1 is negative; write a number such as 90",
            ),
            (
                'backends = [{ service = "a.local:80", weight = 0.5 }]',
                ".backends[0].weight: must be a whole number, not a float; write a number such as 90",
            ),
            (
                'backends = [{ service = "a.local:80", weight = 2000000 }]',
                ".backends[0].weight: 2000000 is more than 1000000; write a number such as 90",
            ),
            (
                'backends = [{ service = "a.local:80", weight = 0 }]',
                ".backends: have no weight at all: nobody would be asked; give one of them a weight",
            ),
            (
                'backends = ["a.local:80", "a.local:80"]',
                '.backends[1]: "a.local:80" is given twice; give it the sum of both weights',
            ),
            ("request_headers = {}", ".request_headers: is empty; leave it out"),
            ('request_headers = { set = { Host = "a" } }', ".request_headers.set.Host: is changed by a rewrite's host"),
            (
                'request_headers = { set = { X = "a\\nb" } }',
                '.request_headers.set.X: "a\\nb" has control characters in it',
            ),
            (
                'request_headers = { remove = "te" }',
                '.request_headers.remove: "te" belongs to one connection, and is lproxy\'s own',
            ),
            (
                'rewrite = { path = "/a", prefix = "/b" }',
                ".rewrite: has a path and a prefix; write the one or the other",
            ),
            (
                'rewrite = { prefix = "/b" }',
                ': has a prefix in its rewrite, and matches by none; write match = { path_prefix = "/..." }',
            ),
            ('rewrite = { path = "a" }', '.rewrite.path: "a" does not begin with /'),
            ('rewrite = { host = "a b" }', '.rewrite.host: "a b" is no host'),
            ("redirect = { status = 200 }", ".redirect.status: 200 is no redirect: they are 301, 302, 303, 307, 308"),
            ('redirect = { scheme = "ftp" }', '.redirect.scheme: "ftp" is neither http nor https'),
            ("redirect = { port = 0 }", ".redirect.port: 0 is less than 1; write a number such as 443"),
            ("answer = {}", ".answer.status: is missing; of the answer, such as 503"),
            ("answer = { status = 204, body = 'a' }", ".answer: has a body, and an answer of status 204 has none"),
            ("answer = { status = 99 }", ".answer.status: 99 is no status of an answer: they are 200 to 599"),
            (
                'answer = { status = 503 }\nbackends = ["a.local:80"]',
                ": has backends and answer, and can have one of them; leave out the others",
            ),
            ("rates = [{ requests = 0 }]", ".rates[0]: requests 0 is not more than zero"),
            (
                'rates = [{ requests = 1, by = "header" }]',
                '.rates[0]: by = "header" needs the field\'s name; write header = "x-api-key" beside it',
            ),
            (
                'rates = [{ requests = 1, by = "client", header = "x" }]',
                '.rates[0]: header is unused beside by = "client"; write by = "header"',
            ),
            (
                "max_body = 0",
                '.max_body: 0 is not more than zero; write a number of bytes, or a size such as "64KiB" or "1MiB"',
            ),
            (
                "response_classes = [{ failure = true }]",
                '.response_classes[0]: has no condition; write { status = "5xx", failure = true }',
            ),
            (
                'response_classes = [{ status = 500, failure = "yes" }]',
                ".response_classes[0].failure: must be a boolean, not a string; write true or false",
            ),
        ):
            # of the route as a whole, the line of its header
            line = 3 if said.startswith(":") else 4
            loaded = load(f'{SERVICE}[services."web:80".routes.a]\n{keys}', "f", {})
            problems = [str(one) for one in loaded.problems]
            self.assertEqual(1, len(problems), (keys, problems))
            self.assertTrue(problems[0].startswith(f'f:{line}: services."web:80".routes.a{said}'), (keys, problems))
            self.assertIsNone(loaded.config)

    def test_never_asked(self) -> None:
        """A route behind one that has every request is told of; one behind others is not."""
        everything = "[services.'web:80'.routes.all]\nmax_body = 1\n"
        some = '[services."web:80".routes.x]\nmatch = { path = "/x" }\n'
        wrong = 'warning: services."web:80".routes.x: is never asked: "all", which is before it, has every request'
        self.says(SERVICE + everything + some, wrong)
        self.good(SERVICE + some + everything)

    def test_wrong_service(self) -> None:
        """So are a service's own keys."""
        for keys, said in (
            ("retry = 3", "retry: unknown key; where it does no harm"),
            ('sticky = { cookie = "a", header = "b" }', "sticky: needs a header or a cookie, and one of them alone"),
            ("sticky = {}", "sticky: needs a header or a cookie, and one of them alone"),
            ("retry_budget = { ratio = -0.1 }", "retry_budget.ratio: -0.1 is not more than zero"),
            ("opaque_ports = [70000]", "opaque_ports[0]: 70000 is more than 65535"),
            ("routes = []", 'routes: must be a table, not an array; write [services."NAME".routes.ROUTE]'),
            ('[[services."web:80".routes]]\nname = "a"', "routes: must be one table for each route"),
            ('[services."web:80".routes.""]', 'routes."": a name is needed'),
            ('[services."web:80".routes."a\\tb"]', "has control characters in it"),
        ):
            self.says(SERVICE + keys, said)

    def test_many(self) -> None:
        """There may be very many routes, and not more; keys that stand a table too high are told where they belong."""
        routes: dict[str, Any] = {f"r{n}": {"match": {"path": f"/{n}"}} for n in range(MAX_ROUTES)}
        report = Report("")
        profile = read_profile({"routes": routes}, (), report)
        assert profile is not None
        self.assertEqual((MAX_ROUTES, []), (len(profile.routes), report.problems))
        read_profile({"routes": {**routes, "one": {}}}, (), report)
        self.assertEqual(["routes: are 10001 routes, and 10000 are the most"], [str(one) for one in report.problems])
        self.says(SERVICE + "max_body = 1", 'it belongs in [services."NAME".routes.ROUTE]')
