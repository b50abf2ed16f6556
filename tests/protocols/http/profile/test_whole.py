# -*- test-case-name: tests.protocols.http.profile.test_whole -*-
"""
What routes do to requests and answers, through a whole listener of HTTP/1.
"""

from __future__ import annotations

from lproxy.config import Service
from lproxy.profile import Answer, Fields, Path, Rate, Redirect, Rewrite, Route
from lproxy.stack.rates import Rates
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok, post
from tests.protocols.http.profile.test_router import ProfiledTestCase


def chunked(*pieces: bytes) -> bytes:
    """Parts of a body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


POST = get("/", "Transfer-Encoding: chunked", method="POST")


class AnswerTests(ProfiledTestCase):
    """Routes that ask nobody."""

    def test_static(self) -> None:
        """The answer is the route's; no upstream hears of it, and the client's connection goes on."""
        self.begin(Route("down", Path("/down"), answer=Answer(503, "later\n"), response=Fields(add=(("X-A", "1"),))))
        client = self.client(get("/down"))
        heard = self.heard(client)
        self.assertEqual([], self.ups)
        self.assertTrue(heard.startswith(b"HTTP/1.1 503 Service Unavailable\r\n"), heard)
        self.assertIn(b"\r\ncontent-length: 6\r\nx-a: 1\r\n", heard)
        self.assertTrue(heard.endswith(b"\r\n\r\nlater\n"))
        self.say(client, get("/down", method="HEAD"))
        self.assertTrue(self.heard(client).endswith(b"x-a: 1\r\n\r\n"))
        self.say(client, GET)
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))
        self.assertEqual(({}, ["down", "down", None]), (self.errors, self.routes()))

    def test_redirect(self) -> None:
        """A client is sent elsewhere; what it still sends is none of the upstream's business."""
        self.begin(Route("old", Path("/old", "prefix"), redirect=Redirect(308, host="new.test", prefix="/x")))
        client = self.client(get("/old/a?b", "Content-Length: 10", method="POST") + b"01234")
        self.assertIn(b"308 Permanent Redirect\r\nlocation: http://new.test/x/a?b\r\n", self.heard(client))
        self.say(client, b"56789")
        self.assertEqual([], self.ups)

    def test_redirect_nowhere(self) -> None:
        """Who names no host is not sent anywhere."""
        self.begin(Route("all", redirect=Redirect()))
        client = self.client(b"GET / HTTP/1.0\r\n\r\n")
        self.assertIn(b"400 Bad Request", self.heard(client))
        self.assertEqual({"host": 1}, self.rejected)


class EditTests(ProfiledTestCase):
    """Routes that change what is said."""

    def test_request(self) -> None:
        """The upstream is asked for something else, with other fields, of whatever they are."""
        fields = Fields(set=(("X-Team", "a"),), add=(("Via", "x"),), remove=("cookie",))
        rewrite = Rewrite(prefix="/v1", host="api.test:81")
        self.begin(Route("api", Path("/api", "prefix"), rewrite=rewrite, request=fields))
        self.client(get("/api/%2F?q=/api", "Cookie: a", "x-team: evil", "X-TEAM: worse", "Via: y", "A: \xe9"))
        fields = "Host: api.test:81\r\nX-Team: a\r\nVia: y\r\nA: \xe9\r\nVia: x\r\n\r\n"
        self.assertEqual(f"GET /v1/%2F?q=/api HTTP/1.1\r\n{fields}".encode(), self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual("/api/%2F?q=/api", self.proxy.records[-1]["path"])

    def test_forwarded(self) -> None:
        """What lproxy itself says of a client may be said otherwise."""
        self.listen = {"forwarded": "append"}
        self.begin(Route("a", request=Fields(set=(("X-Forwarded-For", "-"),))))
        self.client(GET)
        self.assertEqual(1, self.heard(self.up).count(b"X-Forwarded-For: -\r\n"))
        self.assertNotIn(b"10.0.0", self.up.heard)

    def test_absent_host(self) -> None:
        """A request without a host has the one that the route says."""
        self.begin(Route("a", rewrite=Rewrite(host="api.test")))
        self.client(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", self.heard(self.up))

    def test_absolute(self) -> None:
        """A target in absolute form is rewritten as any other."""
        self.begin(Route("a", Path("/a", "prefix"), rewrite=Rewrite(prefix="/b")))
        self.client(b"GET http://web.test/a/c HTTP/1.1\r\nHost: web.test\r\n\r\n")
        self.assertEqual(b"GET /b/c HTTP/1.1\r\nHost: web.test\r\n\r\n", self.heard(self.up))

    def test_proxy(self) -> None:
        """An upstream that is a proxy is asked for the other thing in absolute form."""
        self.begin(Route("a", Path("/a", "prefix"), rewrite=Rewrite(prefix="/b", host="api.test")))
        self.start(profiles=self.profiles, service=lambda target: Service(proxy=True))
        self.client(b"GET http://web.test/a/c HTTP/1.1\r\nHost: web.test\r\n\r\n")
        self.assertEqual(b"GET http://api.test/b/c HTTP/1.1\r\nHost: api.test\r\n\r\n", self.heard(self.up))

    def test_cut(self) -> None:
        """An answer that its upstream does not end is a failure of its route, whatever its status."""
        self.begin(Route("a"))
        client = self.client(GET)
        self.say(self.up, ok(b"a", length=2))
        self.heard(client)
        self.up.reset()
        self.settle()
        counter = self.factory.metrics.profiled.route(self.target, "a")
        self.assertEqual([(200, True)], [key[::2] for key, one in counter.outcomes.items() if one.answers])

    def test_once(self) -> None:
        """A request that is sent once more is edited once."""
        self.begin(Route("a", rewrite=Rewrite(prefix="/v1"), request=Fields(add=(("X-A", "1"),))))
        client = self.client(GET)
        self.say(self.up, OK)
        self.heard(client)
        self.say(client, GET)
        self.up.heard = b""
        self.say(client, b"")
        self.up.reset()
        self.settle()
        self.assertEqual((2, get("/v1/", "X-A: 1")), (len(self.ups), self.heard(self.up)))

    def test_response(self) -> None:
        """The client hears other fields; the answer's end is where it was, and an interim answer as it came."""
        fields = Fields(set=(("Server", "us"),), add=(("Cache-Control", "no-store"),), remove=("x-powered-by",))
        self.begin(Route("a", response=fields))
        client = self.client(GET)
        self.say(self.up, b"HTTP/1.1 103 Early Hints\r\nServer: them\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 103 Early Hints\r\nServer: them\r\n\r\n", self.heard(client))
        self.say(self.up, ok(b"ok", "X-Powered-By: y", "server: them"))
        self.assertEqual(ok(b"ok", "Server: us", "Cache-Control: no-store"), self.heard(client))

    def test_other_routes(self) -> None:
        """Nobody else's is changed."""
        self.begin(Route("a", Path("/a"), request=Fields(add=(("X", "1"),)), response=Fields(add=(("X", "1"),))))
        client = self.client(GET)
        self.assertEqual(GET, self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))


class BodyTests(ProfiledTestCase):
    """Routes that take bodies of ten bytes."""

    def setUp(self) -> None:
        super().setUp()
        self.begin(Route("a", max_body=10))

    def refused(self, heard: bytes) -> None:
        """It is the answer to too much."""
        self.assertTrue(heard.startswith(b"HTTP/1.1 413 "), heard)
        self.assertIn(b"takes bodies of 10 bytes at most", heard)
        self.assertEqual({"body_too_large": 1}, self.errors)

    def test_fits(self) -> None:
        """What is no larger passes, however it comes."""
        client = self.client(post(b"0123456789"))
        self.assertEqual(post(b"0123456789"), self.heard(self.up))
        self.say(self.up, OK)
        self.say(client, POST + chunked(b"01234"))
        self.say(client, chunked(b"56789", b""))
        self.say(self.up, OK)
        self.assertEqual(OK + OK, self.heard(client))

    def test_length(self) -> None:
        """What says to be larger is refused at once, before a byte of it was read; nobody is asked."""
        client = self.client(post(length=11))
        self.refused(self.heard(client))
        self.assertEqual([], self.ups)
        # RFC 9112, 9.6: what it sends before it reads that is none that is answered
        self.say(client, b"01234567890")
        self.assertEqual(b"", self.heard(client))

    def test_expected(self) -> None:
        """Who asks before it sends is told at once."""
        client = self.client(post(b"", "Expect: 100-continue", length=1_000_000))
        self.refused(self.heard(client))

    def test_exceeded(self) -> None:
        """What turns out to be larger is refused then; the upstream's request is aborted, and never ends well."""
        client = self.client(POST + chunked(b"01234"))
        up = self.up
        self.assertNotIn(b"\r\n0\r\n", self.heard(up))
        self.say(client, chunked(b"56789", b"0"))
        self.refused(self.heard(client))
        self.assertNotEqual("", up.ended)
        self.assertNotIn(b"0\r\n\r\n", up.heard)
        self.assertEqual(0, self.idle)
        for _ in range(100):
            # it goes on sending, and is read so that the answer gets there
            self.say(client, chunked(b"x" * 1000))
        self.assertEqual(b"", self.heard(client))
        self.assertEqual(0, self.proxy.open)

    def test_at_once(self) -> None:
        """All of it may come in one read."""
        client = self.client(POST + chunked(b"0" * 100, b""))
        self.refused(self.heard(client))
        self.assertEqual([413], [status for status, _ in self.rows])

    def test_answered(self) -> None:
        """Where the answer has begun it cannot become another: it is cut off."""
        client = self.client(POST + chunked(b"01234"))
        self.say(self.up, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
        self.say(client, chunked(b"0123456789"))
        self.assertTrue(self.heard(client).endswith(b"\r\n\r\nsome"))
        self.assertNotEqual("", client.ended)
        self.assertNotEqual("", self.up.ended)


class RateTests(ProfiledTestCase):
    """Routes and services that take so many requests."""

    def statuses(self, *requests: bytes) -> list[int]:
        """Of the answers to each, of one client."""
        before = len(self.rows)
        client = self.client()
        for request in requests:
            ups = [len(up.heard) for up in self.ups]
            self.say(client, request)
            for up in self.ups:
                if len(self.ups) > len(ups) or len(up.heard) > ups[self.ups.index(up)]:
                    self.say(up, OK)
        return [status for status, _ in self.rows[before:]]

    def test_route(self) -> None:
        """What is more is answered 429, and told when to come back; the connection goes on."""
        self.begin(Route("a", Path("/a"), rates=(Rate(2, 10.0),)))
        self.assertEqual([200, 200, 429, 200], self.statuses(*[get("/a")] * 3, GET))
        client = self.client(get("/a"))
        heard = self.heard(client)
        self.assertIn(b"429 Too Many Requests\r\n", heard)
        self.assertIn(b"\r\nretry-after: 5\r\n", heard)
        self.assertIn(b"takes 2 requests in 10 s", heard)
        self.assertEqual("", client.ended)
        self.wait(5.0, 0.5)
        self.assertEqual([200, 429], self.statuses(get("/a"), get("/a")))

    def test_body(self) -> None:
        """Whoever is refused may still be sending: what comes is read, and thrown away."""
        self.begin(Route("a", rates=(Rate(1, 60.0),)))
        self.assertEqual([200], self.statuses(GET))
        client = self.client(post(b"01234", length=10))
        self.assertIn(b" 429 ", self.heard(client))
        self.say(client, b"56789")
        self.assertEqual(b"", self.heard(client))

    def test_service(self) -> None:
        """A service's is for all its requests together, those that no route has among them."""
        self.begin(Route("a", Path("/a")), rates=(Rate(2, 60.0),))
        self.assertEqual([200, 200, 429], self.statuses(get("/a"), GET, GET))

    def test_changed(self) -> None:
        """What was used up is so after a new profile that leaves the rate as it is."""
        self.begin(Route("a", Path("/a"), rates=(Rate(1, 60.0),)))
        self.assertEqual([200], self.statuses(get("/a")))
        self.begin_again(Route("a", Path("/a", "prefix"), rates=(Rate(1, 60.0),)))
        self.assertEqual([429], self.statuses(get("/a")))
        self.begin_again(Route("a", Path("/a"), rates=(Rate(2, 60.0),)))
        self.assertEqual([200], self.statuses(get("/a")))

    def begin_again(self, *routes: Route) -> None:
        """Go on, with other routes."""
        self.profiles.change(type(self.profiles.profile)(routes))  # type: ignore[misc]


class ListenerTests(HttpTestCase):
    """Listeners that take so many requests."""

    def test_listener(self) -> None:
        """Whatever they are for; HTTP goes on, and the next listener of the same name has no more."""
        rates = Rates()
        for expected in (b" 200 ", b" 429 "):
            self.start(listen={"rates": (Rate(1, 60.0),)}, rates=rates)
            client = self.client(GET)
            if expected == b" 200 ":
                self.say(self.up, OK)
            self.assertIn(expected, self.heard(client))
        self.assertEqual({"rate_limited": 1}, self.errors)
        self.assertIn("listener scripted takes 1 request in 60 s", self.proxy.warnings[-1])
        self.assertEqual(([(429, "RL")], []), (self.rows, self.ups))

    def test_none(self) -> None:
        """One that takes all has nothing to ask."""
        self.assertIsNone(self.factory.listener.guard)
