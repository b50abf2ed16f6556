# -*- test-case-name: tests.protocols.http.test_check -*-
"""
Tests for L{lproxy.protocols.http.check}.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from lproxy.balancing import HealthCheck
from lproxy.config import Service
from lproxy.errors import explain
from lproxy.protocols.http.check import GRPC_PATH, NotServing
from lproxy.target import UNKNOWN, Secure
from lproxy.testing import shown
from lproxy.transport.connect import ConnectFailed
from tests.protocols.http.h2.upstream import ANSWER, Http2UpstreamCase
from tests.protocols.http.harness import GET, OK, HttpTestCase

CHECK = HealthCheck("http", "/up?deep=1", "web.local:80")
QUESTION = b"GET /up?deep=1 HTTP/1.1\r\nhost: web.local:80\r\nuser-agent: lproxy-health-check\r\n\r\n"


class Http1Tests(HttpTestCase):
    """A GET by HTTP/1.1."""

    def setUp(self) -> None:
        super().setUp()
        # whose pool is asked
        self.client(GET)
        self.say(self.up, OK)

    def ask(self, check: HealthCheck = CHECK) -> Deferred[None]:
        """By a connection that stands."""
        asked = self.pool.check(check)
        self.settle()
        return asked

    def test_good(self) -> None:
        """Asked on a connection of its own, which is closed then, whatever of the body is still to come."""
        asked = self.ask()
        self.assertEqual((2, QUESTION), (len(self.ups), self.heard(self.up)))
        self.assertNoResult(asked)
        self.say(self.up, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nwell")
        self.successResultOf(asked)
        self.settle()
        self.assertTrue(self.up.ended)

    def test_bad(self) -> None:
        """Any other status is why not."""
        asked = self.ask()
        self.say(self.up, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        error = self.failureResultOf(asked, NotServing).value
        self.assertEqual(f"health: {self.pool.endpoint} answered a health check with 503", explain(error))

    def test_expected(self) -> None:
        """Unless it is what is wanted."""
        asked = self.ask(HealthCheck(expect=((503, 503),)))
        self.assertIn(f"host: {self.pool.endpoint}\r\n".encode(), self.heard(self.up), "where no name is known")
        self.say(self.up, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        self.successResultOf(asked)

    def test_beside(self) -> None:
        """It is no request: not counted, no load, and no failure of the endpoint's."""
        counter = self.pool.standing.counter
        before = counter.mark()
        asked = self.ask()
        self.assertEqual({"in_flight": 0, "idle": 1}, shown(self.pool))
        self.up.hang_up()
        self.settle()
        self.failureResultOf(asked)
        self.assertEqual((before, []), (counter.mark(), self.proxy.acquires["http"].failures))

    def test_not_connected(self) -> None:
        """One that cannot be connected to says so in its own words."""
        self.proxy.connector.mode = "refuse"
        self.failureResultOf(self.ask(), ConnectFailed)

    def test_cancelled(self) -> None:
        """Given up, its connection is closed, however far it has come."""
        for _ in range(2):
            asked = self.ask()
            asked.addErrback(lambda failure: None)
            asked.cancel()
            self.settle()
            self.assertTrue(self.up.ended)
            self.proxy.connector.mode = "wait"
        self.assertEqual(0, self.pool.load)

    def test_connection(self) -> None:
        """TCP is connected and nothing said; and so is what would need HTTP/2."""
        for kind in ("tcp", "grpc"):
            self.successResultOf(self.ask(HealthCheck(kind)))  # type: ignore[arg-type]
            self.assertEqual((b"", "closed"), (self.heard(self.up), self.up.ended))


class AnnouncedTests(Http1Tests):
    """An upstream that is told of clients."""

    metadata = UNKNOWN._replace(proxy_protocol="v1")

    def test_good(self) -> None:
        """It is told that it is the proxy itself that asks."""
        asked = self.ask()
        self.assertEqual(b"PROXY UNKNOWN\r\n" + QUESTION, self.heard(self.up))
        self.say(self.up, OK)
        self.successResultOf(asked)

    def test_beside(self) -> None:
        """Its connections are one client's each: none is idle."""
        self.assertEqual({"in_flight": 0, "idle": 0}, shown(self.pool))


class Http2Tests(Http2UpstreamCase):
    """By HTTP/2."""

    def setUp(self) -> None:
        super().setUp()
        self.client(GET)
        self.server.answer(1)
        self.settle()

    def ask(self, check: HealthCheck) -> Deferred[None]:
        asked = self.slots.check(check)
        self.settle()
        return asked

    def answer(self, body: bytes, status: bytes = b"0") -> None:
        """gRPC's."""
        self.server.head(1, [(b":status", b"200"), (b"content-type", b"application/grpc")])
        self.server.body(1, body)
        self.server.head(1, [(b"grpc-status", status)], True)
        self.settle()

    def test_get(self) -> None:
        """A GET is a stream on a connection of its own."""
        asked = self.ask(CHECK)
        self.assertEqual(2, len(self.ups))
        fields = self.server.requests[1]
        self.assertEqual(
            (b"GET", b"/up?deep=1", b"web.local:80"), tuple(fields[n] for n in (b":method", b":path", b":authority"))
        )
        self.server.head(1, [(b":status", b"200")])
        self.settle()
        self.successResultOf(asked)
        self.settle()
        self.assertTrue(self.up.ended)

    def test_grpc(self) -> None:
        """The question is grpc.health.v1's, and SERVING is the only good answer."""
        asked = self.ask(HealthCheck("grpc", host="web.local:80", service="books.Books"))
        fields = self.server.requests[1]
        self.assertEqual((b"POST", GRPC_PATH), (fields[b":method"], fields[b":path"]))
        self.assertEqual((b"application/grpc", b"trailers"), (fields[b"content-type"], fields[b"te"]))
        self.assertEqual(b"\0\0\0\0\x0d\x0a\x0bbooks.Books", self.server.bodies[1])
        self.answer(b"\0\0\0\0\x02\x08\x01")
        self.successResultOf(asked)

    def test_not_serving(self) -> None:
        """Every other one says what it is."""
        for body, status, said in (
            (b"\0\0\0\0\x02\x08\x02", b"0", "NOT_SERVING"),
            (b"\0\0\0\0\0", b"0", "UNKNOWN"),
            (b"\0\0\0\0\x02\x08\x09", b"0", "9"),
            (b"", b"5", "grpc-status 5"),
        ):
            asked = self.ask(HealthCheck("grpc"))
            self.answer(body, status)
            self.assertEqual(said, self.failureResultOf(asked, NotServing).value.said)

    def test_no_such_service(self) -> None:
        """An answer without a message is one; so is that of a server that has nothing to do with gRPC."""
        for fields, said in (
            ([(b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"12")], "grpc-status 12"),
            ([(b":status", b"404")], "404, which is not gRPC"),
        ):
            asked = self.ask(HealthCheck("grpc"))
            self.server.head(1, fields, True)
            self.settle()
            self.assertEqual(said, self.failureResultOf(asked, NotServing).value.said)

    def test_much(self) -> None:
        """Whoever says more than such an answer has is not listened to for ever."""
        asked = self.ask(HealthCheck("grpc"))
        self.server.head(1, ANSWER)
        self.server.body(1, bytes(4096))
        self.settle()
        self.failureResultOf(asked, NotServing)

    def test_beside(self) -> None:
        """It is neither counted nor load, and its end is nobody's failure."""
        before = self.slots.standing.counter.mark()
        asked = self.ask(CHECK)
        self.assertEqual({"in_flight": 0, "idle": 1, "connections": 1}, shown(self.slots))
        self.up.hang_up()
        self.settle()
        self.failureResultOf(asked)
        self.assertEqual((before, []), (self.slots.standing.counter.mark(), self.acquires().failures))


class AgreedTests(HttpTestCase):
    """An upstream whose version is agreed upon turns out to speak HTTP/1.1."""

    metadata = UNKNOWN._replace(secure=Secure("upstream.test"))

    def start(self, **changes: object) -> None:
        """The service has TLS."""
        super().start(service=lambda target: Service("upstream.test:9000", tls=True), **changes)

    def test_other(self) -> None:
        """It is asked in that."""
        self.client(GET)
        self.say(self.up, OK)
        service = self.proxy.acquires["http/2"].service
        asked = service.check(CHECK)
        self.settle()
        self.assertEqual(QUESTION, self.heard(self.up))
        self.say(self.up, OK)
        self.successResultOf(asked)
