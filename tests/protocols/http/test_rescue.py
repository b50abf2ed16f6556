# -*- test-case-name: tests.protocols.http.test_rescue -*-
"""
L{lproxy.protocols.http.rescue}: what clients are told of failures.
"""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.host import ResolveFailed
from lproxy.discover.literal import NoRoute
from lproxy.errors import Bug, ProxyError, judge, known
from lproxy.identity.policy import IdentityDenied, IdentityRefused, IdentityRequired
from lproxy.identity.refusal import Refusal
from lproxy.profile import Rate
from lproxy.protocols.http import rescue
from lproxy.protocols.http.check import NotServing
from lproxy.protocols.http.deadlines import DeadlineExceeded
from lproxy.protocols.http.h2.call import NoWebSocket
from lproxy.protocols.http.h2.client import NotHttp2
from lproxy.protocols.http.h2.codes import StreamReset
from lproxy.protocols.http.h2.faults import ENHANCE_YOUR_CALM, ConnectionFault
from lproxy.protocols.http.message import Rejected, Request, Response
from lproxy.protocols.http.profile.hedge import SlowTry
from lproxy.protocols.http.profile.limits import BodyTooLarge, RateLimited
from lproxy.protocols.http.retry import Unwanted
from lproxy.protocols.http.route import NoAuthority
from lproxy.protocols.http.standing import ServerErrors
from lproxy.protocols.http.streams import BadResponse, UpstreamLost
from lproxy.protocols.http.timeouts import BodyNotTaken, CallTimedOut
from lproxy.protocols.runtime import PlainRefused
from lproxy.stack.active import CheckTimedOut
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.balance import NoEndpointReady
from lproxy.stack.cache import CacheFull
from lproxy.stack.failfast import FailedFast
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority, Endpoint
from lproxy.transport.connect import ConnectFailed, ConnectTimedOut, LoopRefused, OutOfDescriptors
from lproxy.transport.tls.failure import HandshakeFailed, HandshakeTimedOut
from tests.protocols.http.harness import GET, OK, HttpTestCase, get

WEB = Authority("web.local", 80)
END = Endpoint("10.0.0.7", 8080)


def caused(error: BaseException, cause: BaseException) -> Any:
    """C{error} from C{cause}."""
    error.__cause__ = cause
    return error


REFUSED = ConnectFailed(END, "ECONNREFUSED")

#: cause -> status, gRPC status, label, flags, whether the client's connection lives on, and the whole message
TABLE: tuple[tuple[Any, int, int, str, str, bool, str], ...] = (
    (
        NoAuthority(),
        404,
        5,
        "no_route",
        "NR",
        True,
        "route: request names no host and the listener has no target of its own",
    ),
    (NoRoute(WEB), 404, 5, "no_route", "NR", True, "web.local"),
    (ResolveFailed(WEB), 503, 14, "resolve", "UH", True, "resolve: web.local:80 could not be resolved"),
    (
        TooManyInFlight(WEB, 7),
        503,
        14,
        "in_flight",
        "UO",
        True,
        "admit: web.local:80 refused: 7 requests in flight (limits.in_flight)",
    ),
    (
        CacheFull(WEB, 7),
        503,
        14,
        "cache_full",
        "UO",
        True,
        "cache: web.local:80 refused: all 7 cached services are in use",
    ),
    (
        caused(AcquireTimedOut(WEB, 3.0), REFUSED),
        503,
        14,
        "acquire_timeout",
        "UT",
        True,
        "acquire: web.local:80 not ready within 3 s: connect: 10.0.0.7:8080 refused",
    ),
    (
        caused(FailedFast(WEB, 2.0), REFUSED),
        503,
        14,
        "failfast",
        "UH",
        True,
        "failfast: web.local:80 not ready for 2 s, failing at once until it is: connect: 10.0.0.7:8080 refused",
    ),
    (REFUSED, 502, 14, "connect", "UF", True, "connect: 10.0.0.7:8080 refused"),
    (ConnectFailed(END, "EHOSTUNREACH"), 502, 14, "connect", "UF", True, "connect: 10.0.0.7:8080 EHOSTUNREACH"),
    (
        caused(NoEndpointReady(WEB, 2), REFUSED),
        502,
        14,
        "connect",
        "UF",
        True,
        "web.local:80 none of 2 endpoints could be connected to, one of them: connect: 10.0.0.7:8080 refused",
    ),
    (
        ConnectTimedOut(END, 1.0),
        504,
        4,
        "connect_timeout",
        "UF",
        True,
        "connect: 10.0.0.7:8080 did not answer within 1 s",
    ),
    (
        HandshakeFailed(END, Refusal("expired", "certificate of web.local (serial 1f) has expired")),
        502,
        14,
        "tls",
        "UF",
        True,
        "tls: 10.0.0.7:8080 TLS handshake failed (expired): certificate of web.local (serial 1f) has expired",
    ),
    (
        HandshakeTimedOut(END, 10.0),
        504,
        4,
        "tls_timeout",
        "UF",
        True,
        "tls: 10.0.0.7:8080 TLS handshake failed (timeout): it was not done within 10 s",
    ),
    (
        caused(NoEndpointReady(WEB, 2), ConnectTimedOut(END, 1.0)),
        504,
        4,
        "connect_timeout",
        "UF",
        True,
        "did not answer within 1 s",
    ),
    (
        OutOfDescriptors(END, "EMFILE"),
        503,
        14,
        "descriptors",
        "UO",
        True,
        "connect: 10.0.0.7:8080 not tried: this proxy is out of descriptors or memory (EMFILE)",
    ),
    (LoopRefused(END), 508, 10, "loop", "LP", False, "connect: 10.0.0.7:8080 is this proxy itself: refused to loop"),
    (
        UpstreamLost(END, "ECONNRESET", "without an answer"),
        502,
        14,
        "upstream_lost",
        "UC",
        True,
        "upstream: 10.0.0.7:8080 reset the connection without an answer",
    ),
    (
        UpstreamLost(END, "", "without an answer"),
        502,
        14,
        "upstream_lost",
        "UC",
        True,
        "upstream: 10.0.0.7:8080 closed the connection without an answer",
    ),
    (
        StreamReset(END, ENHANCE_YOUR_CALM, "without an answer"),
        502,
        8,
        "upstream_reset",
        "UR",
        True,
        "upstream: 10.0.0.7:8080 reset the stream (ENHANCE_YOUR_CALM) without an answer",
    ),
    (
        caused(BadResponse(END), Rejected("", 502, "malformed", "not HTTP")),
        502,
        14,
        "bad_response",
        "UP",
        True,
        "upstream: 10.0.0.7:8080 sent a malformed answer: http:",
    ),
    (
        BodyNotTaken(WEB, 60.0),
        504,
        4,
        "body_timeout",
        "UT",
        False,
        "call: web.local:80 took nothing of the request's body for 60 s (timeouts.body)",
    ),
    (
        CallTimedOut(WEB, "timeouts.stream", 9.5),
        504,
        4,
        "response_timeout",
        "UT",
        True,
        "call: web.local:80 did not answer within 9.5 s (timeouts.stream)",
    ),
    (
        DeadlineExceeded(WEB, 0.25),
        504,
        4,
        "deadline",
        "UT",
        True,
        "call: web.local:80 did not answer within 0.25 s, which is how long its caller waits (grpc-timeout)",
    ),
    (SlowTry(WEB), 504, 4, "slow_try", "UT", True, "upstream: web.local:80 takes longer than most"),
    (Unwanted(END, 503, -1), 502, 14, "unwanted_answer", "UF", True, "upstream: 10.0.0.7:8080 answered 503"),
    (Unwanted(END, 200, 14), 502, 14, "unwanted_answer", "UF", True, "10.0.0.7:8080 answered with grpc-status 14"),
    (NotServing(END, "503"), 503, 14, "not_serving", "UF", True, "health: 10.0.0.7:8080 answered a health check with"),
    (CheckTimedOut(END, 2.0), 504, 4, "check_timeout", "UT", True, "did not answer a health check within 2 s"),
    (
        ServerErrors(END, 503),
        502,
        14,
        "server_errors",
        "UF",
        True,
        "upstream: 10.0.0.7:8080 answered 503",
    ),
    (
        PlainRefused("listener web"),
        400,
        3,
        "plain",
        "ID",
        False,
        "tls: listener web speaks TLS alone: come by https, or whatever else is TLS",
    ),
    (
        IdentityRequired(WEB, ""),
        403,
        7,
        "identity_required",
        "ID",
        True,
        "policy: web.local:80 is only for clients that prove an identity, with a certificate",
    ),
    (
        IdentityDenied(WEB, "a.mesh"),
        403,
        7,
        "identity_denied",
        "ID",
        True,
        "policy: web.local:80 is denied to a.mesh",
    ),
    (
        IdentityRefused(WEB, "a.mesh"),
        403,
        7,
        "identity_not_allowed",
        "ID",
        True,
        "policy: web.local:80 is not for a.mesh",
    ),
    (
        NotHttp2(END, "it answers in HTTP/1"),
        502,
        14,
        "not_http2",
        "UP",
        True,
        "connect: 10.0.0.7:8080 does not speak HTTP/2: it answers in HTTP/1 "
        '(protocol = "http1" for its service: it is spoken to in that)',
    ),
    (
        NoWebSocket(END),
        501,
        12,
        "no_websocket",
        "UP",
        True,
        "upstream: 10.0.0.7:8080 takes no WebSockets over HTTP/2",
    ),
    (
        RateLimited(WEB, Rate(10, by="client"), 0.5),
        429,
        8,
        "rate_limited",
        "RL",
        True,
        "rate: web.local:80 takes 10 requests of each client in 1 s, and is asked for more",
    ),
    (
        BodyTooLarge(WEB, 1024),
        413,
        8,
        "body_too_large",
        "BL",
        True,
        "http: web.local:80 takes bodies of 1024 bytes at most",
    ),
    (ZeroDivisionError("secret"), 500, 13, "bug", "BUG", False, "internal error"),
)


class TableTests(HttpTestCase):
    """Every cause, through a session."""

    crashed = 1

    def test_causes(self) -> None:
        """Each has its status, label, flags and fate of the connection, and says layer, target, cause and the wait."""
        for error, status, _, reason, flags, keep, message in TABLE:
            self.proxy.connector.mode = "wait"
            client = self.client(GET)
            self.wait(0.25)
            _, connecting = self.proxy.connector.waiting.pop()
            connecting.errback(Failure(error))
            heard = self.heard(client).decode()
            head, _, body = heard.partition("\r\n\r\n")
            self.assertRegex(head, rf"^HTTP/1.1 {status} ")
            self.assertEqual(1, self.errors.pop(reason), error)
            self.assertEqual((status, flags), self.rows[-1])
            self.assertEqual("" if keep else "eof", client.ended, error)
            self.assertEqual(not keep, "\r\nconnection: close" in head)
            self.assertIn(message, body)
            self.assertEqual(status == 500, "(after 0.2" not in body)
            self.assertIn(f"l5d-proxy-error: {body.strip()}", head)
            self.assertNotIn("secret", heard)
            self.assertEqual(0, self.proxy.open)
            client.reset()
            self.settle()

    def test_complete(self) -> None:
        """No error that lproxy can raise is without a test, but for what is refused with bytes of its own."""
        tested = {type(error) for error, *_ in TABLE}
        told = (Rejected, ConnectionFault)
        own = {kind for kind in known() if kind.__module__.startswith("lproxy.") and not issubclass(kind, told)}
        self.assertEqual(set(), own - tested - {ProxyError, Bug})
        self.crashed = 0


class StrippedTests(HttpTestCase):
    """What peers say under our name."""

    def test_stripped(self) -> None:
        """The field is ours: an upstream's is not passed on, nor is a client's."""
        client = self.client(get("/", "l5d-proxy-error: x", "L5D-Client-ID: admin"))
        self.assertEqual(GET, self.heard(self.up))
        self.say(self.up, OK.replace(b"\r\n\r\n", b"\r\nL5D-Proxy-Error: x\r\n\r\n"))
        self.assertEqual(OK, self.heard(client))


class AnswerTests(SynchronousTestCase):
    """Answers of our own, as messages."""

    def request(self, method: bytes = b"GET", *headers: tuple[bytes, bytes]) -> Request:
        """One."""
        return Request(method, b"/", list(headers), 0, b"web.local", False)

    def answer(
        self, error: ProxyError, request: Request, tell: bool = False
    ) -> tuple[Response, dict[bytes, bytes], bytes]:
        """The answer, its fields, and its body."""
        head, body = rescue.answer(judge(error), error, 0.1, request, tell)
        self.assertTrue(head.ours)
        self.assertEqual(len(head.headers), len(dict(head.headers)), head.headers)
        return head, dict(head.headers), body

    def test_grpc(self) -> None:
        """gRPC callers get 200 and their own status, in the head; the message as gRPC encodes it."""
        request = self.request(b"POST", (b"Content-Type", b"application/grpc+proto"))
        for error, _, grpc, *_ in TABLE:
            head, fields, body = self.answer(error, request)
            self.assertEqual((200, b"OK", b"%d" % grpc), (head.status, head.reason, fields[b"grpc-status"]))
            self.assertEqual(b"application/grpc", fields[b"content-type"])
            self.assertRegex(fields[b"grpc-message"], b"^[ -~]+$")
            self.assertEqual((b"", 0, b"0"), (body, head.framing, fields[b"content-length"]))

    def test_head(self) -> None:
        """HEAD gets no body, and the length that it would have."""
        _, get, body = self.answer(REFUSED, self.request(b"GET"))
        _, head, nothing = self.answer(REFUSED, self.request(b"HEAD"))
        self.assertEqual(get, head)
        self.assertEqual((b"%d" % len(body), b""), (head[b"content-length"], nothing))

    def test_told(self) -> None:
        """The field is left out where the client may not have it."""
        self.assertNotIn(b"l5d-proxy-error", self.answer(REFUSED, self.request())[1])
        self.assertIn(b"refused", self.answer(REFUSED, self.request(), True)[1][b"l5d-proxy-error"])

    def test_retry_after(self) -> None:
        """Where it is known when to come back, everybody is told, in whole seconds, rounded up."""
        error = RateLimited(WEB, Rate(1), 2.1)
        grpc = self.request(b"POST", (b"content-type", b"application/grpc"))
        for request in (self.request(), grpc):
            self.assertEqual(b"3", self.answer(error, request)[1][b"retry-after"])
        self.assertNotIn(b"retry-after", self.answer(REFUSED, self.request())[1])

    def test_one_line(self) -> None:
        """Whatever an error says, it is one line of ASCII in the head."""
        error = UpstreamLost(END, "x\r\nSet-Cookie: a\x1b[2J\u2603", "")
        _, fields, _ = self.answer(error, self.request(), True)
        self.assertRegex(fields[b"l5d-proxy-error"], b"^[ -~]+$")

    def test_refusal(self) -> None:
        """A refusal says what was wrong, and that it was the last."""
        head, body = rescue.refusal(Rejected("", 431, "too_large", "the header block is longer than 5 bytes"))
        self.assertEqual((431, b"Request Header Fields Too Large", True), (head.status, head.reason, head.last))
        self.assertEqual(b"431 Request Header Fields Too Large: the header block is longer than 5 bytes\n", body)
