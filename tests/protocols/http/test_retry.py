# -*- test-case-name: tests.protocols.http.test_retry -*-
"""
L{lproxy.protocols.http.retry}: requests that are sent once more, or not.
"""

from __future__ import annotations

from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import Retries
from lproxy.protocols.http.grpc import NO_CALL
from lproxy.protocols.http.message import Rejected, Request
from lproxy.protocols.http.profile.classes import Classes
from lproxy.protocols.http.retry import Again, attempt, broken_off, may_replay
from lproxy.protocols.http.streams import BadResponse, UpstreamLost
from lproxy.protocols.http.timeouts import CallTimedOut
from lproxy.target import Endpoint
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok, post

METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PATCH", "FROB")
IDEMPOTENT = METHODS[:6]
CHUNKED = get("/", "Transfer-Encoding: chunked", method="POST")


class MayReplayTests(SynchronousTestCase):
    """The rule."""

    def may(self, method: bytes, whole: bool = True, upgrade: bytes = b"", **facts: bool) -> bool:
        """Whether a request may be sent again, whose connection was lost with C{facts}."""
        headers = [(b"Upgrade", upgrade)] if upgrade else []
        error = UpstreamLost(Endpoint("10.0.0.9", 9000), "", "without an answer", **{"answered": False, **facts})
        return may_replay(Request(method, b"/", headers, 0, b"web.test", bool(upgrade)), whole, error)

    def test_idempotent(self) -> None:
        """On a connection that had been idle, what may be done twice; as far as it is there to be sent."""
        self.assertTrue(self.may(b"GET", reused=True))
        self.assertFalse(self.may(b"POST", reused=True))
        self.assertFalse(self.may(b"PUT", whole=False, reused=True))

    def test_unsent(self) -> None:
        """Anything that the upstream cannot have seen."""
        self.assertTrue(self.may(b"POST", unsent=True))
        self.assertTrue(self.may(b"POST", whole=False, unsent=True))
        self.assertTrue(self.may(b"GET", upgrade=b"x", unsent=True))

    def test_answered(self) -> None:
        """Nothing of which a byte of the answer has come."""
        self.assertFalse(self.may(b"GET", answered=True, reused=True, unsent=True))

    def test_fresh(self) -> None:
        """On a connection that was new, only where others serve the same."""
        self.assertFalse(self.may(b"GET"))
        error = UpstreamLost(Endpoint("10.0.0.9", 9000), "", "without an answer", answered=False)
        error.elsewhere = True
        self.assertTrue(may_replay(Request(b"GET", b"/", [], 0, b"web.test", False), True, error))

    def test_upgrade(self) -> None:
        """WebSockets as the GET that they are, in whatever spelling; no other upgrade."""
        self.assertTrue(self.may(b"GET", upgrade=b"WebSocket", reused=True))
        self.assertFalse(self.may(b"GET", upgrade=b"h3", reused=True))

    def test_extended_connect(self) -> None:
        """The same as it comes in HTTP/2."""
        error = UpstreamLost(Endpoint("10.0.0.9", 9000), "", "without an answer", answered=False, reused=True)
        for protocol, may in ((b"websocket", True), (b"connect-ip", False)):
            request = Request(b"CONNECT", b"/", [], 0, b"web.test", False)
            request.protocol = protocol
            self.assertEqual(may, may_replay(request, True, error))

    def test_other_errors(self) -> None:
        """What an upstream has answered, however wrong, is an answer."""
        request = Request(b"GET", b"/", [], 0, b"web.test", False)
        self.assertFalse(may_replay(request, True, BadResponse(Endpoint("10.0.0.9", 9000))))
        self.assertFalse(may_replay(request, True, ZeroDivisionError()))


class RetryTests(HttpTestCase):
    """A kept connection that dies as it is used."""

    def used(self) -> None:
        """There is one."""
        self.client(GET)
        self.say(self.up, OK)
        self.heard(self.clients[-1])
        self.heard(self.up)

    def dies(self, request: bytes, how: str = "hang_up") -> bytes:
        """What a client hears whose C{request} was sent on a connection that then dies without a word."""
        self.used()
        kept = self.up
        client = self.client(request)
        self.assertEqual(request, self.heard(kept))
        getattr(kept, how)()
        self.settle()
        if self.up is not kept:
            self.assertEqual(request, self.heard(self.up))
            self.say(self.up, ok(b"2"))
        return self.heard(client)

    def test_idempotent(self) -> None:
        """A request that may be sent twice is, with all of its body; the client notices nothing."""
        for method in IDEMPOTENT:
            answer = ok(b"", length=1) if method == "HEAD" else ok(b"2")
            for how in ("hang_up", "reset"):
                if method != "HEAD":
                    self.assertEqual(answer, self.dies(post(b"body" * 100, method=method), how), method)
                self.assertEqual(ok(b"2")[: len(answer)], self.dies(get(method=method), how)[: len(answer)], method)
        self.assertEqual({}, self.errors)

    def test_not_idempotent(self) -> None:
        """Another is not, as nobody knows what it did: 502."""
        for method in METHODS[6:]:
            for how in ("hang_up", "reset"):
                self.assertRegex(self.dies(post(b"body", method=method), how), b"^HTTP/1.1 502 ", method)
        self.assertEqual({"upstream_lost": 6}, self.errors)

    def test_nothing_written(self) -> None:
        """Where the kernel refused every byte of it, it is: it did nothing."""
        self.used()
        self.up.reset()
        client = self.client()
        client.say(post(b"body"))
        # the reset is not read before the request is written
        self.stream(client).turn()
        self.settle()
        self.assertEqual(post(b"body"), self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual((OK, 2), (self.heard(client), len(self.ups)))

    def closed_unnoticed(self, request: bytes) -> None:
        """C{request} is dispatched before the proxy has read that the kept connection was closed."""
        self.used()
        self.up.hang_up()
        client = self.client()
        client.say(request)
        self.stream(client).turn()
        self.settle()

    def test_closed_while_idle(self) -> None:
        """A POST on a connection that the upstream has closed already is not lost, nor sent there."""
        self.closed_unnoticed(post(b"body"))
        self.assertEqual([b"", post(b"body")], [up.heard for up in self.ups])
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(self.clients[-1]))
        self.assertEqual(1, self.idle)

    def test_closed_while_idle_upload(self) -> None:
        """Nor is one with a body that is still coming, in whatever form, connected at once or later."""
        for head, encode in ((post(b"", length=9), bytes), (CHUNKED, lambda data: b"3\r\n" + data + b"\r\n")):
            for mode in ("accept", "wait"):
                self.proxy.connector.mode = "accept"
                self.used()
                self.up.hang_up()
                self.proxy.connector.mode = mode
                client = self.client()
                client.say(head + encode(b"abc"))
                self.stream(client).turn()
                self.settle()
                self.say(client, encode(b"def"))
                self.wait(0.5)
                if mode == "wait":
                    self.proxy.connector.accept()
                self.say(client, encode(b"ghi") + (b"0\r\n\r\n" if head == CHUNKED else b""))
                heard = self.heard(self.up)
                self.assertEqual(b"abcdefghi", heard.partition(b"\r\n\r\n")[2].translate(None, b"0369\r\n"))
                self.assertEqual(head == CHUNKED, heard.endswith(b"\r\n0\r\n\r\n"))
                self.say(self.up, OK)
                self.assertEqual(OK, self.heard(client))
                self.say(client, get("/next"))
                self.assertEqual(get("/next"), self.heard(self.up))
                client.reset()
                self.settle()

    def test_closed_while_idle_long_upload(self) -> None:
        """While the second connection is waited for no more of a body is read than is to be kept."""
        self.used()
        self.up.hang_up()
        self.proxy.connector.mode = "wait"
        client = self.client()
        client.say(post(b"x" * 1_000_000))
        self.stream(client).turn()
        self.settle()
        self.assertGreater(client.unread, 700_000)
        self.proxy.connector.accept()
        self.assertEqual(post(b"x" * 1_000_000), self.heard(self.up))

    def test_once(self) -> None:
        """A fresh connection that dies as well, to the only endpoint, is not followed by another."""
        self.used()
        client = self.client(GET)
        for up in (1, 2):
            self.assertEqual(up, len(self.ups))
            self.up.hang_up()
            self.settle()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual((2, 0), (len(self.ups), self.idle))

    def test_not_a_fresh_one(self) -> None:
        """A connection that was never used before did not die of idleness."""
        client = self.client(GET)
        self.up.hang_up()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual(1, len(self.ups))

    def test_fresh_one(self) -> None:
        """The second try is not made on another kept connection, which may be as dead."""
        self.client(GET)
        self.client(GET)
        for up in list(self.ups):
            self.say(up, OK)
        client = self.client(GET)
        self.ups[1].hang_up()
        self.settle()
        self.assertEqual(3, len(self.ups))
        self.say(self.up, ok(b"3"))
        self.assertEqual((ok(b"3"), 2), (self.heard(client), self.idle))

    def test_not_after_a_byte(self) -> None:
        """Not where anything of the answer came."""
        for said in (b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\n\r\n"):
            self.used()
            client = self.client(GET)
            n = len(self.ups)
            self.say(self.up, said)
            self.up.hang_up()
            self.assertIn(b"HTTP/1.1 502 ", self.heard(client))
            self.assertEqual(n, len(self.ups))

    def test_not_half_a_body(self) -> None:
        """Not where a part of the body is gone, whatever the method."""
        self.used()
        client = self.client(post(b"ab", method="PUT", length=4))
        self.up.hang_up()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual(1, len(self.ups))

    def test_not_in_pieces(self) -> None:
        """Not where the body was sent in pieces, as they are not kept."""
        self.used()
        client = self.client(post(b"ab", method="PUT", length=4), b"cd")
        self.up.hang_up()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual(1, len(self.ups))

    def test_websocket(self) -> None:
        """A WebSocket's handshake is a GET like others, until it is answered."""
        handshake = get("/", "Connection: Upgrade", "Upgrade: WebSocket")
        self.assertEqual(ok(b"2"), self.dies(handshake))

    def test_not_an_upgrade(self) -> None:
        """Not where something else was asked for beside an answer."""
        self.used()
        client = self.client(get("/", "Connection: Upgrade", "Upgrade: x"))
        self.up.hang_up()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")

    def test_not_connected(self) -> None:
        """The second try's own failure is what the client hears."""
        for mode in ("refuse", "wait"):
            self.proxy.connector.mode = "accept"
            self.used()
            self.proxy.connector.mode = mode
            client = self.client(GET)
            self.up.hang_up()
            self.settle()
            if mode == "wait":
                self.proxy.connector.refuse()
            self.assertIn(b"connect: 10.0.0.9:9000 refused", self.heard(client))
            self.assertEqual((0, 0), (self.idle, self.proxy.open))
            client.reset()

    def test_not_connected_after_all(self) -> None:
        """A dead connection that nothing was sent on is not kept either."""
        self.proxy.connector.mode = "accept"
        self.used()
        self.up.hang_up()
        self.proxy.connector.mode = "refuse"
        client = self.client()
        client.say(post(b"body"))
        self.stream(client).turn()
        self.assertEqual(0, self.idle)
        self.assertIn(b"connect: 10.0.0.9:9000 refused", self.heard(client))

    def test_client_leaves(self) -> None:
        """A client that leaves meanwhile stops it."""
        for request in (GET, post(b"body")):
            self.proxy.connector.mode = "accept"
            self.used()
            self.proxy.connector.mode = "wait"
            if request is GET:
                client = self.client(GET)
                self.up.hang_up()
                self.settle()
            else:
                self.up.hang_up()
                client = self.client()
                client.say(request)
                self.stream(client).turn()
            self.assertEqual(1, len(self.proxy.connector.waiting))
            client.reset()
            self.settle()
            self.assertEqual((0, 0, 0), (self.idle, self.proxy.open, len(self.proxy.connector.waiting)))
        self.assertEqual(2, self.proxy.connector.cancelled)

    def test_lease(self) -> None:
        """However often a request is sent, one lease is held for it, and one load."""
        self.used()
        self.client(GET)
        self.up.hang_up()
        self.settle()
        self.assertEqual((1, 1), (self.proxy.open, self.pool.load))
        self.say(self.up, OK)
        self.assertEqual((0, 0), (self.proxy.open, self.pool.load))

    def test_speaking_while_idle(self) -> None:
        """A POST is not sent where something waits that nobody asked for, and that is never taken for its answer."""
        self.used()
        self.up.say(ok(b"evil"))
        client = self.client()
        client.say(post(b"body"))
        self.stream(client).turn()
        self.settle()
        self.say(self.up, ok(b"good"))
        self.assertEqual((ok(b"good"), 2), (self.heard(client), len(self.ups)))

    def test_three_tries(self) -> None:
        """Where others serve the same it is tried on them, three times in all; only then the client hears of it."""
        with patch.object(self.proxy.acquires["http"], "failed", return_value=True):
            client = self.client(GET)
            for n in range(1, 4):
                self.assertEqual((n, GET, b""), (len(self.ups), self.heard(self.up), self.heard(client)))
                self.up.reset()
                self.settle()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual((3, 0, 0), (len(self.ups), self.idle, self.proxy.open))
        self.assertEqual({"upstream_lost": 1}, self.errors)

    def test_new_acquisition(self) -> None:
        """Each further try is one that the stack knows of, with what went wrong; the lease before has ended."""
        self.used()
        self.client(GET)
        self.up.hang_up()
        self.settle()
        (error,) = self.proxy.acquires["http"].retried
        self.assertEqual("closed the connection without an answer", error.what())
        self.assertEqual((3, 1), (len(self.proxy.leases), self.proxy.open))

    def test_what_the_endpoint_did(self) -> None:
        """A connection that died of idleness is no fault of the endpoint's; any other that was in use is."""
        acquire = self.proxy.acquires["http"]
        self.used()
        self.client(GET)
        self.up.hang_up()
        self.settle()
        self.assertEqual([], acquire.failures)
        self.up.hang_up()
        self.settle()
        self.assertEqual(["without an answer"], [error.when for error in acquire.failures])

    def test_idle_408(self) -> None:
        """What a server says to a connection that was idle for too long is not the answer to a request that met it."""
        self.used()
        client = self.client(GET)
        self.say(self.up, ok(b"slow", "Connection: close", status="408 Request Timeout"))
        self.assertEqual((b"", 2), (self.heard(client), len(self.ups)))
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))

    def test_real_408(self) -> None:
        """On a connection that is new, or to a request that was not yet whole, it is the answer."""
        answer = ok(b"slow", "Connection: close", status="408 Request Timeout")
        client = self.client(GET)
        self.say(self.up, answer)
        self.assertEqual(ok(b"slow", status="408 Request Timeout"), self.heard(client))
        self.used()
        client = self.client(post(b"ab", length=4))
        self.say(self.up, answer)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 408 ")


class AgainTests(SynchronousTestCase):
    """What routes have sent again."""

    def test_unwanted(self) -> None:
        """Failures, and what is named; not what speaks of the request; of gRPC as its statuses have it."""
        again = Again(Retries(statuses=((409, 410),), grpc=(9,)), Classes(()))
        for status, grpc, wanted in (
            (200, NO_CALL, False),
            (500, NO_CALL, True),
            (501, NO_CALL, False),
            (410, NO_CALL, True),
            (411, NO_CALL, False),
            (200, 14, True),
            (200, 12, False),
            (200, 9, True),
            (200, 5, False),
            (200, 0, False),
        ):
            for _ in range(2):
                self.assertEqual(wanted, again.unwanted(status, grpc), (status, grpc))
        self.assertFalse(Again(Retries(classified=False), Classes(())).unwanted(500, NO_CALL))

    def test_broken_off(self) -> None:
        """Whatever an upstream breaks off, and a try that took too long; no other limit, and nothing else."""
        end = Endpoint("10.0.0.9", 9000)
        for error, is_so in (
            (UpstreamLost(end, "", "in the middle of its answer's head"), True),
            (BadResponse(end), True),
            (CallTimedOut(end, "x", 1.0, True), True),
            (CallTimedOut(end, "x", 1.0), False),
            (Rejected("", 400, "host", "none"), False),
        ):
            self.assertEqual(is_so, broken_off(error), error)

    def test_attempt(self) -> None:
        """Its number is said once."""
        said = attempt(attempt([(b"a", b"b")], 1), 2)
        self.assertEqual([(b"a", b"b"), (b"l5d-retry-attempt", b"2")], said)
