# -*- test-case-name: tests.protocols.http.test_tries -*-
"""
L{lproxy.protocols.http.tries}: requests that are sent more than once as their routes have it. That of requests without
a route is in L{tests.protocols.http.test_exchange} and L{tests.protocols.http.test_retry}.
"""

from __future__ import annotations

from typing import Any

from lproxy.config import Timeouts
from lproxy.profile import ALWAYS, Profile, ResponseClass, Retries, RetryBudget, Route, RouteTimeouts, Statuses
from lproxy.stack.admit import TooManyInFlight
from lproxy.target import Authority
from lproxy.testing import Peer
from tests.protocols.http.h2.case import Client
from tests.protocols.http.h2.upstream import ANSWER, Http2UpstreamCase
from tests.protocols.http.harness import get, ok, post
from tests.protocols.http.profile.test_router import ProfiledTestCase, ScriptedProfiles

BAD = ok(b"bad", status="503 Service Unavailable")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NUMBER = "l5d-retry-attempt: %d"


class TriesCase(ProfiledTestCase):
    """A listener whose requests' destination has one route."""

    budget: RetryBudget | None = RetryBudget(minimum=1000.0)

    def setUp(self) -> None:
        super().setUp()
        self.route()

    def route(self, retries: Retries | None = None, **settings: object) -> None:
        """It says that."""
        route = Route("r", retries=retries or Retries(), **settings)  # type: ignore[arg-type]
        self.begin(route, budget=self.budget)
        self.proxy.acquires["http"].bounded = True

    def counted(self) -> dict[str, int]:
        """What came of the wish for further tries."""
        return self.factory.metrics.profiled.route("upstream.test:9000", "r").retries or {}

    def asked(self) -> tuple[Peer, bytes]:
        """The upstream that was asked last, and what it has heard."""
        self.settle()
        (up,) = (up for up in self.ups if up.heard)
        return up, self.heard(up)

    def answered(self, request: bytes, answer: bytes, again: bytes | None = None) -> Peer:
        """A client, whose C{request} is answered so; and whether it came C{again}."""
        client = self.client(request)
        up, heard = self.asked()
        self.assertEqual(request, heard)
        self.say(up, answer)
        if again is not None:
            self.again, heard = self.asked()
            self.assertEqual(again, heard)
        return client


class AnswerTests(TriesCase):
    """Answers that are not wanted."""

    def test_better(self) -> None:
        """One that is a failure is not the client's, which gets the next; the upstream is told which try it is."""
        client = self.answered(get(), BAD, get("/", NUMBER % 1))
        self.assertEqual(b"", self.heard(client))
        self.say(self.again, ok())
        self.assertEqual((ok(), [(200, "")]), (self.heard(client), self.rows))
        self.assertEqual(({"success": 1}, 2), (self.counted(), self.proxy.records[0]["tries"]))
        # what was answered to the end left its connection as it was
        self.assertEqual(2, self.idle)

    def test_limit(self) -> None:
        """After as many as the route says the last answer is the client's."""
        client = self.answered(get(), BAD)
        for n in (1, 2):
            up, heard = self.asked()
            self.assertEqual(get("/", NUMBER % n), heard)
            self.say(up, ok(b"%d" % n, status="500 No"))
        self.assertEqual((ok(b"2", status="500 No"), {"limit": 1}), (self.heard(client), self.counted()))

    def test_reasons(self) -> None:
        """What its classes call a failure, and statuses that it names; not what speaks of the request."""
        classes = (ResponseClass(Statuses(503, 503), failure=False), ResponseClass(Statuses(404, 404)))
        self.route(Retries(statuses=((409, 409), (501, 501))), classes=classes)
        for status, wanted in ((503, True), (404, False), (409, False), (501, False), (505, True), (500, False)):
            answer = ok(b"", status=f"{status} X")
            client = self.answered(get(), answer)
            self.assertEqual(answer if wanted else b"", self.heard(client), status)
            client.reset()
            self.settle()
            for up in self.ups:
                up.heard = b""
        self.route(Retries(classified=False))
        self.assertEqual(BAD, self.heard(self.answered(get(), BAD)))

    def test_health(self) -> None:
        """What its classes call no failure is not held against the endpoint."""
        self.route(classes=(ResponseClass(Statuses(503, 503), failure=False),))
        failures = self.proxy.acquires["http"].failures
        for answer, held in ((BAD, 0), (ok(b"", status="500 X"), 1)):
            self.answered(get(), answer)
            self.assertEqual(held, len(failures))

    def test_methods(self) -> None:
        """What is not idempotent only if the route says that it may be."""
        self.assertEqual(BAD, self.heard(self.answered(post(b"x"), BAD)))
        self.assertEqual({}, self.counted())
        self.route(Retries(unsafe=True))
        client = self.answered(post(b"x"), BAD, get("/", "Content-Length: 1", NUMBER % 1, method="POST") + b"x")
        self.say(self.up, ok())
        self.assertEqual(ok(), self.heard(client))

    def test_continue(self) -> None:
        """Who has sent a body because that was asked for is not asked for it once more by the next upstream."""
        self.route(Retries(unsafe=True))
        client = self.client(post(b"", "Expect: 100-continue", length=1))
        first, _ = self.asked()
        self.say(first, CONTINUE)
        self.assertEqual(CONTINUE, self.heard(client))
        self.say(client, b"x")
        self.assertEqual(b"x", self.heard(first))
        self.say(first, BAD)
        second, heard = self.asked()
        self.assertTrue(heard.endswith(b"\r\n\r\nx"), heard)
        self.say(second, CONTINUE + ok())
        self.assertEqual(ok(), self.heard(client))

    def test_not_all_there(self) -> None:
        """An answer that was to go on is broken off with its connection; another gets the next try."""
        self.answered(get(), ok(b"b", status="500 No", length=9), get("/", NUMBER % 1))
        self.assertEqual(("reset", 2), (self.ups[0].ended, len(self.ups)))

    def test_body(self) -> None:
        """A body is sent again byte by byte up to what the route keeps of it; with a byte more it is not."""
        limit = 70_000
        for size, pieces in ((0, 1), (1, 1), (limit, 1), (limit, 7), (limit + 1, 1), (limit + 1, 7)):
            self.route(Retries(body=limit))
            body = (bytes(range(256)) * 300)[:size]
            client = self.client(post(b"", length=size, method="PUT"))
            step = max(1, size // pieces)
            for at in range(0, size, step):
                self.say(client, body[at : at + step])
            self.assertEqual(post(body, method="PUT"), self.heard(self.up))
            self.say(self.up, BAD)
            if size > limit:
                self.assertEqual((BAD, {"body": 1}), (self.heard(client), self.counted()))
                continue
            self.assertEqual(post(body, NUMBER % 1, method="PUT"), self.heard(self.up))
            self.say(self.up, ok())
            self.assertEqual(ok(), self.heard(client))

    def test_chunked(self) -> None:
        """So are chunks, with their trailers."""
        head = get("/", "Transfer-Encoding: chunked", method="PUT")
        client = self.client(head, b"3\r\nabc\r\n", b"2\r\nde\r\n", b"0\r\nX-T: 1\r\n\r\n")
        self.heard(self.up)
        self.say(self.up, BAD)
        again = get("/", "Transfer-Encoding: chunked", NUMBER % 1, method="PUT")
        self.assertEqual(again + b"5\r\nabcde\r\n0\r\nX-T: 1\r\n\r\n", self.heard(self.up))
        self.say(self.up, ok())
        self.assertEqual(ok(), self.heard(client))

    def test_early(self) -> None:
        """An answer that comes before all of the request was sent is the client's."""
        client = self.client(post(b"ab", length=4, method="PUT"))
        self.say(self.up, BAD)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 503 ")

    def test_upgrade(self) -> None:
        """What may become another protocol is no request to be repeated."""
        request = get("/", "Connection: Upgrade", "Upgrade: websocket")
        self.assertEqual(BAD, self.heard(self.answered(request, BAD)))

    def test_no_budget(self) -> None:
        """Where the budget refuses another the answer that there is is the client's; its connection goes on."""
        self.budget = RetryBudget(ratio=0.0, minimum=1.0)
        self.route()
        client = self.answered(get(), BAD, get("/", NUMBER % 1))
        self.say(self.again, BAD)
        self.assertEqual((BAD, {"budget": 1}), (self.heard(client), self.counted()))
        self.assertEqual(BAD, self.heard(self.answered(get("/2"), BAD)))
        self.assertEqual(({"budget": 2}, 2), (self.counted(), self.idle))
        client, up = self.client(get("/3")), self.asked()[0]
        up.reset()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual({"budget": 3}, self.counted())

    def test_challenge(self) -> None:
        """What demands that a connection be authenticated is the client's."""
        self.route(Retries(statuses=((401, 401),)))
        challenge = ok(b"", "WWW-Authenticate: Negotiate", status="401 X")
        self.assertEqual(challenge, self.heard(self.answered(get(), challenge)))

    def test_total_failure(self) -> None:
        """However much fails, further tries are so many of a hundred, and the few of each second besides."""
        self.budget = RetryBudget(ratio=0.2, minimum=10.0)
        self.route()
        sent = 0
        client = self.client()
        for _ in range(300):
            client.say(get())
            while not self.heard(client):
                sent += 1
                self.say(self.asked()[0], BAD)
        self.assertLessEqual(sent, 300 * 1.2 + 11)
        self.assertGreater(sent, 300 * 1.19)

    def test_acquired_in_vain(self) -> None:
        """Where the next try gets no lease the answer that was to be bettered is the client's."""
        self.proxy.connector.mode = "wait"
        client = self.client(get())
        self.proxy.connector.accept()
        self.settle()
        first = self.up
        self.proxy.connector.mode = "refuse"
        bad = BAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        self.say(first, bad)
        self.assertEqual((BAD, [(503, "")]), (self.heard(client), self.rows))

    def test_gone(self) -> None:
        """A client that goes while the next try is acquired, or waited for, leaves nothing."""
        for mode in ("wait", "accept"):
            self.route()
            client = self.answered(get(), ok(b"b", status="500 No", length=9))
            self.proxy.connector.mode = mode
            client.reset()
            self.settle()
            self.assertEqual((0, "DC"), self.rows[-1])


class LostTests(TriesCase):
    """Tries that come to nothing."""

    def test_lost(self) -> None:
        """An upstream that ends without an answer, or in the middle of its head, on a new connection too."""
        for said in (b"", b"HTTP/1.1 2", b"nonsense\r\n\r\n"):
            self.route()
            client = self.client(get())
            first = self.up
            self.say(first, said)
            if not first.ended:
                first.reset()
                self.settle()
            self.assertEqual(get("/", NUMBER % 1), self.heard(self.up))
            self.say(self.up, ok())
            self.assertEqual(ok(), self.heard(client), said)

    def test_begun(self) -> None:
        """Not after a byte of the answer went out."""
        client = self.client(get())
        self.say(self.up, ok(b"1", length=2))
        self.up.reset()
        self.settle()
        self.assertEqual((ok(b"1", length=2), "reset", 1), (client.heard, client.ended, len(self.ups)))

    def test_uploading(self) -> None:
        """What was sent of a body so far goes again, and the rest after it."""
        client = self.client(post(b"ab", length=6, method="PUT"))
        self.say(client, b"cd")
        self.up.reset()
        self.settle()
        self.assertEqual(post(b"abcd", NUMBER % 1, length=6, method="PUT"), self.heard(self.up))
        self.say(client, b"ef")
        self.assertEqual(b"ef", self.heard(self.up))
        self.say(self.up, ok())
        self.assertEqual(ok(), self.heard(client))

    def test_shed(self) -> None:
        """What was refused to spare somebody is not tried again."""
        client = self.client(get())
        self.say(self.up, BAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        self.assertEqual(b"", self.heard(client))
        stack = self.proxy.acquires["http"]
        self.assertEqual(["unwanted_answer"], [error.reason for error in stack.retried])
        stack.error = TooManyInFlight(Authority("upstream.test", 9000), 1)
        self.say(self.up, BAD)
        self.assertEqual(2, len(stack.retried))
        self.assertEqual(BAD, self.heard(client))
        other = self.client(get())
        self.assertRegex(self.heard(other), b"^HTTP/1.1 503 ")
        self.assertEqual(2, len(stack.retried))


class TimeTests(TriesCase):
    """Clocks of routes."""

    def test_per_try(self) -> None:
        """A try that takes too long is over, and counts against its endpoint; the last one is answered 504."""
        self.route(timeouts=RouteTimeouts(per_try=1.0))
        client = self.client(get())
        for n in (1, 2):
            self.wait(1.1)
            self.assertEqual("reset", self.ups[-2].ended)
            self.assertEqual(get("/", NUMBER % n), self.heard(self.up))
        self.wait(1.1)
        heard = self.heard(client)
        self.assertRegex(heard, b"^HTTP/1.1 504 ")
        self.assertIn(b"did not answer within 1 s (timeouts.per_try of route 'r')", heard)
        self.assertEqual((3, {"limit": 1}), (len(self.proxy.acquires["http"].failures), self.counted()))
        self.assertEqual(
            [], [c for c in self.proxy.reactor.getDelayedCalls() if c.func == self.factory.listener.deadlines._passed]
        )

    def test_whole(self) -> None:
        """The whole has one clock for all tries, acquisitions among them."""
        self.route(timeouts=RouteTimeouts(per_try=1.0, stream=1.5))
        client = self.client(get())
        self.wait(1.1)
        self.assertEqual(2, len(self.ups))
        self.wait(0.5)
        heard = self.heard(client)
        self.assertRegex(heard, b"^HTTP/1.1 504 ")
        self.assertIn(b"within 1.5 s (timeouts.stream of route 'r')", heard)

    def test_answered(self) -> None:
        """An answer that has begun is on no try's clock."""
        self.route(timeouts=RouteTimeouts(per_try=1.0))
        client = self.client(get())
        self.say(self.up, ok(b"1", length=2))
        self.wait(3)
        self.say(self.up, b"2")
        self.assertEqual(ok(b"12"), self.heard(client))

    def test_headers(self) -> None:
        """A route's own limit takes the place of all routes'; it is no reason for another try."""
        self.timeouts = Timeouts(response_headers=5.0)
        self.route(timeouts=RouteTimeouts(response_headers=1.0))
        client = self.client(get())
        self.wait(1.1)
        self.assertIn(b"within 1 s (timeouts.response_headers of route 'r')", self.heard(client))
        self.route()
        client = self.client(get())
        self.wait(5.1)
        self.assertIn(b"within 5 s (timeouts.response_headers)", self.heard(client))


class ChangeTests(TriesCase):
    """Profiles that change meanwhile."""

    def test_under_way(self) -> None:
        """What is under way goes on as it began."""
        client = self.client(get())
        self.heard(self.up)
        self.profiles.change(Profile())
        self.say(self.up, BAD)
        self.assertEqual((b"", get("/", NUMBER % 1)), (self.heard(client), self.heard(self.up)))
        self.say(self.up, ok())
        self.assertEqual(ok(), self.heard(client))
        self.say(client, get())
        self.say(self.up, BAD)
        self.assertEqual(BAD, self.heard(client))

    def test_budget(self) -> None:
        """The budget outlasts the profile, and is as the new one says."""
        budget = self.proxy.acquires["http"].budget
        self.client(get())
        target = self.factory.listener._known[b"web.test"].target
        mine = self.factory.listener._known[b"web.test"].budget
        self.assertEqual((1, 1000.0), (mine.requests, mine.settings.minimum))
        self.profiles.change(Profile((Route("r", ALWAYS),), budget=RetryBudget(minimum=5.0)))
        self.client(get())
        self.assertEqual((2, 5.0), (mine.requests, mine.settings.minimum))
        self.assertIs(mine, budget(target, RetryBudget(minimum=5.0)))


class Http2Tests(Http2UpstreamCase):
    """Calls of gRPC and other requests, from clients of HTTP/2 to an upstream of the same."""

    def begin(self, retries: Retries, **settings: Any) -> Client:
        """Start anew, with a route of all requests; a client."""
        route = Route("r", retries=retries, **settings)
        self.profiles = ScriptedProfiles(Profile((route,), budget=RetryBudget(minimum=1000.0)))
        self.start(profiles=self.profiles)
        return Client(self, self.client())

    def sent(self) -> list[tuple[int, bytes | None]]:
        """Which streams there were, and the number of the try that each says it is."""
        return [(stream, fields.get(b"l5d-retry-attempt")) for stream, fields in self.server.requests.items()]

    def call(self, client: Client, message: bytes = b"") -> int:
        """A call."""
        stream = client.request(("content-type", "application/grpc"), method="POST", end=not message)
        if message:
            client.body(stream, message, True)
        return stream

    def test_trailers_only(self) -> None:
        """A call that failed without a message is repeated, for the statuses that are named and as often as may be."""
        client = self.begin(Retries(classified=False, grpc=(14,), unsafe=True))
        stream = self.call(client, b"message")
        unavailable = (*ANSWER[:1], ("content-type", "application/grpc"), ("grpc-status", "14"))
        self.server.head(1, unavailable, True)
        self.settle()
        self.assertEqual([(1, None), (3, b"1")], self.sent())
        self.assertEqual(b"message", self.server.bodies[3])
        # told with its trailers, and without a message
        self.server.head(3)
        self.server.head(3, (("grpc-status", "14"),), True)
        self.settle()
        self.assertEqual([(1, None), (3, b"1"), (5, b"2")], self.sent())
        self.server.head(5, unavailable, True)
        client.hear()
        answer = client.answers[stream]
        self.assertEqual(("14", True), (answer.headers["grpc-status"], answer.ended))
        self.assertEqual([14], [row["grpc_status"] for row in self.proxy.records])

    def test_other_status(self) -> None:
        """Not for others; nor once a message was passed on."""
        client = self.begin(Retries(classified=False, grpc=(14,), unsafe=True))
        one, two = self.call(client), self.call(client)
        self.server.head(1, (*ANSWER[:1], ("grpc-status", "5")), True)
        self.server.head(3)
        self.server.body(3, b"part")
        client.hear()
        self.server.head(3, (("grpc-status", "14"),), True)
        client.hear()
        self.assertEqual(2, len(self.sent()))
        self.assertEqual("5", client.answers[one].headers["grpc-status"])
        self.assertEqual("14", client.answers[two].trailers["grpc-status"])

    def test_messages(self) -> None:
        """Nor where there is a message, however soon its status follows."""
        client = self.begin(Retries(grpc=(14,), unsafe=True))
        stream = self.call(client)
        self.server.head(1)
        self.server.body(1, b"part")
        self.server.head(1, (("grpc-status", "14"),), True)
        client.hear()
        self.assertEqual(1, len(self.sent()))
        answer = client.answers[stream]
        self.assertEqual((b"part", "14"), (answer.body, answer.trailers["grpc-status"]))

    def test_classes(self) -> None:
        """What is a failure in HTTP's terms is one of a call."""
        client = self.begin(Retries(unsafe=True))
        self.call(client)
        for stream, status in ((1, "14"), (3, "5")):
            self.server.head(stream, (*ANSWER[:1], ("grpc-status", status)), True)
            self.settle()
        self.assertEqual([(1, None), (3, b"1")], self.sent())
        self.assertEqual(1, len(self.acquires().failures))

    def test_unfinished(self) -> None:
        """An answer that had more to come is taken back; others on the connection are not concerned."""
        client = self.begin(Retries())
        one, two = client.request(), client.request()
        self.server.head(1, ((":status", "503"),))
        self.server.body(1, b"x" * 1000)
        self.settle()
        self.assertEqual(({1: 8}, [(1, None), (3, None), (5, b"1")]), (self.server.resets, self.sent()))
        for stream in (3, 5):
            self.server.answer(stream)
        client.hear()
        self.assertEqual((b"ok", b"ok"), (client.answers[one].body, client.answers[two].body))

    def test_reset(self) -> None:
        """A stream that the upstream resets is repeated; and one that it takes too long for, which is told so."""
        client = self.begin(Retries(), timeouts=RouteTimeouts(per_try=1.0))
        stream = client.request()
        self.server.reset(1, 2)
        self.settle()
        self.wait(1.1)
        self.assertEqual({3: 8}, self.server.resets)
        self.server.answer(5)
        client.hear()
        self.assertEqual((b"ok", [(1, None), (3, b"1"), (5, b"2")]), (client.answers[stream].body, self.sent()))

    def test_early(self) -> None:
        """An answer that comes while the upstream has yet to take some of the body is the caller's."""
        self.settings = {4: 10}
        for size, early in ((10, False), (11, True)):
            client = self.begin(Retries())
            stream = client.request(method="PUT", end=False)
            self.server.credit = False
            client.body(stream, b"x" * size, True)
            self.assertEqual(b"x" * 10, self.server.bodies[1])
            self.server.head(1, ((":status", "503"),), True)
            client.hear()
            self.assertEqual((503 if early else 0, 2 - early), (client.answers[stream].status, len(self.sent())))

    def test_cancelled(self) -> None:
        """A caller that gives up in any try is told to the upstream."""
        client = self.begin(Retries())
        stream = client.request()
        self.server.head(1, ((":status", "503"),), True)
        self.settle()
        client.reset(stream)
        self.settle()
        self.assertEqual(({3: 8}, 2), (self.server.resets, len(self.sent())))
        self.assertEqual((0, 0), self.slots.connections()[:1] + (self.slots.load,))
