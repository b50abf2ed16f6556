# -*- test-case-name: tests.integration.test_routes -*-
"""
What a service's routes do to its requests and answers, over sockets, as a file says it: from either version of HTTP to
either.
"""

from __future__ import annotations

from lproxy.app.plugins import configures, find
from lproxy.config import Config
from lproxy.configfile import load
from tests.integration.crossing_case import Answer, Asked, CrossingCase
from tests.integration.http_case import eventually, threaded

FILE = """
[admin]
address = ""

[[listen]]
name = "web"
address = "127.0.0.1:0"
rates = [{{ requests = 100, per = "1h", by = "header", header = "X-Key" }}]

[services."web.local:80"]
endpoints = ["{address}"]
protocol = "http{version}"

[services."web.local:80".routes.down]
match = {{ path = "/down" }}
answer = {{ status = 503, body = "closed" }}

[services."web.local:80".routes.old]
match = {{ path_prefix = "/old" }}
redirect = {{ status = 301, host = "new.local", prefix = "/new" }}

[services."web.local:80".routes.api]
match = {{ path_prefix = "/api" }}
rewrite = {{ prefix = "/v2", host = "api.local" }}
request_headers = {{ set = {{ X-Team = "a" }}, remove = ["cookie"] }}
response_headers = {{ set = {{ Server = "us" }}, add = {{ X-Served = "1" }}, remove = ["x-secret"] }}

[services."web.local:80".routes.small]
match = {{ path = "/small" }}
max_body = 1000

[services."web.local:80".routes.seldom]
match = {{ path = "/seldom" }}
rates = [{{ requests = 2, per = "1m" }}]
"""


class Routes(CrossingCase):
    """What is the same in each crossing."""

    def config(self) -> Config:
        """As the file has it."""
        loaded = load(FILE.format(address=self.upstream.address, version=self.back), "f", configures(find()))
        assert loaded.config is not None, [str(problem) for problem in loaded.problems]
        return loaded.config

    def asked(self) -> list[Asked]:
        """What the application is asked, whose answers say who made them."""
        asked: list[Asked] = []

        def app(request: Asked) -> Answer:
            asked.append(request)
            return Answer(200, [("server", "them"), ("x-secret", "s")], b"hello")

        self.serve(app)
        return asked

    @threaded
    def test_ours(self) -> None:
        """Static answers and redirects ask nobody; a HEAD hears no body; the connection goes on."""
        asked = self.asked()
        speaker = self.speaker()
        posted = self.ask("POST", "/down", body=b"body")
        self.assertEqual((503, b"closed"), (posted.status, posted.body))
        for method, body in (("GET", b"closed"), ("HEAD", b"")):
            answer = speaker.ask(Asked(method, "/down", []))
            self.assertEqual((503, body, "6"), (answer.status, answer.body, answer.get("content-length")))
        answer = speaker.ask(Asked("GET", "/old/a?b=c", []))
        self.assertEqual((301, "http://new.local/new/a?b=c"), (answer.status, answer.get("location")))
        self.assertEqual([], asked)
        self.assertEqual(b"hello", speaker.ask(Asked("GET", "/", [])).body)

    @threaded
    def test_edited(self) -> None:
        """The application is asked for something else, with other fields; the client hears others."""
        asked = self.asked()
        speaker = self.speaker()
        fields = [("Cookie", "a=1"), ("x-team", "evil"), ("X-Other", "1")]
        for n in range(2):
            answer = speaker.ask(Asked("POST", "/api/%2fa?b", fields, b"body"))
            self.assertEqual(("/v2/%2fa?b", b"body"), (asked[n].path, asked[n].body))
            names = ("host", "x-team", "x-other", "cookie")
            self.assertEqual(["api.local", "a", "1", None], [asked[n].get(name) for name in names])
            self.assertEqual(["us", "1", None], [answer.get(name) for name in ("server", "x-served", "x-secret")])
            self.assertEqual(b"hello", answer.body)
        self.assertEqual("them", speaker.ask(Asked("GET", "/", [])).get("server"))
        self.assertEqual("web.local", asked[-1].get("host"))

    @threaded
    def test_body(self) -> None:
        """More than a route takes is refused while it is still being sent; what fits passes."""
        asked = self.asked()
        self.assertEqual(200, self.ask("POST", "/small", body=b"x" * 1000).status)
        answer = self.ask("POST", "/small", body=b"x" * 200_000)
        self.assertEqual(413, answer.status)
        self.assertIn(b"bodies of 1000 bytes", answer.body)
        self.assertEqual(200, self.ask("POST", "/", body=b"x" * 200_000).status)
        self.assertEqual([1000, 200_000], [len(one.body) for one in asked])
        eventually(lambda: self.in_flight == 0)

    @threaded
    def test_grpc(self) -> None:
        """Callers of gRPC are told in their own words."""
        if self.front == 1:
            return
        self.asked()
        call = ("content-type", "application/grpc")
        speaker = self.speaker()
        for status in (None, None, "8"):
            answer = speaker.ask(Asked("POST", "/seldom", [call], b"\0\0\0\0\0"))
            self.assertEqual((200, status), (answer.status, answer.get("grpc-status")))
        self.assertEqual("30", answer.get("retry-after"))

    @threaded
    def test_rates(self) -> None:
        """A route's own, and the listener's by a field's value; others of either go on."""
        self.asked()
        statuses = [self.ask("GET", "/seldom").status for _ in range(3)]
        self.assertEqual([200, 200, 429], statuses)
        speaker = self.speaker()
        statuses = [speaker.ask(Asked("GET", "/", [("x-key", "a")])).status for _ in range(101)]
        self.assertEqual([200] * 100 + [429], statuses)
        self.assertEqual(200, speaker.ask(Asked("GET", "/", [("x-key", "b")])).status)


class Http1ToHttp1(Routes):
    """From HTTP/1.1 to HTTP/1.1."""

    front, back = 1, 1


class Http1ToHttp2(Routes):
    """From HTTP/1.1 to HTTP/2."""

    front, back = 1, 2


class Http2ToHttp1(Routes):
    """From HTTP/2 to HTTP/1.1."""

    front, back = 2, 1


class Http2ToHttp2(Routes):
    """From HTTP/2 to HTTP/2."""

    front, back = 2, 2


del Routes
