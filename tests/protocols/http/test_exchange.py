# -*- test-case-name: tests.protocols.http.test_exchange -*-
"""
L{lproxy.protocols.http.exchange}: one request and its answer, between two ends.
"""

from __future__ import annotations

import gc
from typing import Any
from unittest.mock import Mock

from twisted.internet.defer import CancelledError, Deferred, fail, succeed

import lproxy.testing
from lproxy.config import Service
from lproxy.protocols.http.exchange import Exchange
from lproxy.protocols.http.message import NO_TRAILERS, Headers, Rejected, Request, Response
from lproxy.protocols.http.streams import UpstreamLost
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.lease import FREE, Hold
from lproxy.target import Authority, Endpoint
from lproxy.transport.stream import Conn
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok, post

CHUNKED = "Transfer-Encoding: chunked"


class UploadTests(HttpTestCase):
    """Bodies on their way upstream."""

    def test_length(self) -> None:
        """A body goes on as it comes: what came with the head goes with the head."""
        client = self.client(post(b"ab", length=6))
        self.assertEqual(post(b"ab", length=6), self.heard(self.up))
        for piece in (b"c", b"def"):
            self.say(client, piece)
            self.assertEqual(piece, self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual((OK, "", 1), (self.heard(client), client.ended, self.idle))

    def test_chunked(self) -> None:
        """Chunks are cut anew; extensions end here; trailers go on, but those that are not for them."""
        head = get("/", CHUNKED, method="POST")
        client = self.client(head + b"3;ext=1\r\nabc\r\n2\r\nd")
        self.assertEqual(head + b"4\r\nabcd\r\n", self.heard(self.up))
        self.say(client, b"e\r\n")
        self.assertEqual(b"1\r\ne\r\n", self.heard(self.up))
        self.say(client, b"0\r\nX-T: 1\r\nContent-Length: 3\r\nHost: evil\r\n")
        self.assertEqual(b"", self.heard(self.up))
        self.say(client, b"\r\n")
        self.assertEqual(b"0\r\nX-T: 1\r\n\r\n", self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))
        self.say(client, GET)
        self.assertEqual(GET, self.heard(self.up))

    def test_empty(self) -> None:
        """Bodies of no bytes."""
        for request in (post(b""), get("/", CHUNKED, method="POST") + b"0\r\n\r\n"):
            client = self.client(request)
            self.assertEqual(request, self.heard(self.up))
            self.say(self.up, OK)
            self.assertEqual(OK, self.heard(client))
        self.assertEqual(1, len(self.ups))

    def test_slow_upstream(self) -> None:
        """Who takes his time pauses the client; nothing is lost, and the connection goes on with the next request."""
        client = self.client()
        self.proxy.connector.mode = "wait"
        client.say(post(b"", length=3_000_000))
        self.settle()
        self.proxy.connector.accept()
        self.up.room = 100
        body = bytes(range(256)) * 12_000
        body = body[:3_000_000]
        self.say(client, body)
        self.assertGreater(client.unread, 2_700_000)
        self.assertLess(self.stream(self.up).buffered, 3 * 65536)
        self.up.room = None
        self.wait(0.1)
        self.assertEqual(post(body), self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))
        self.say(client, GET)
        self.assertEqual(GET, self.heard(self.up))

    def test_paused_at_the_last_piece(self) -> None:
        """A client that was paused by the last piece of its body is read again for its next request."""
        for size in (65600, 70_000):
            client = self.client(post(b"", length=size))
            self.up.room = 0
            self.say(client, b"x" * size)
            self.up.room = None
            self.settle()
            self.assertEqual(post(b"x" * size), self.heard(self.up)[-len(post(b"x" * size)) :])
            self.say(self.up, OK)
            self.assertEqual(OK, self.heard(client))
            self.say(client, GET)
            self.assertEqual(GET, self.heard(self.up))
            self.say(self.up, OK)
            self.assertEqual(OK, self.heard(client))

    def test_paused_and_answered(self) -> None:
        """The same where the answer comes while the upstream has yet to take the body: it is not used again."""
        client = self.client(post(b"", length=65600))
        self.up.room = 0
        self.say(client, b"x" * 65600)
        self.say(self.up, OK)
        self.assertEqual((OK, "reset", 0), (self.heard(client), self.up.ended, self.idle))
        self.say(client, GET)
        self.assertEqual(GET, self.heard(self.up))

    def test_while_acquiring(self) -> None:
        """While a service is waited for a body waits, too: so much of it is read, and the rest afterwards."""
        for size in (100_000, 1_000_000):
            self.proxy.connector.mode = "wait"
            client = self.client()
            body = b"x" * size
            client.say(post(body))
            self.settle()
            self.assertGreater(client.unread, len(post(body)) - 3 * 65536)
            self.proxy.connector.accept()
            self.assertEqual(post(body), self.heard(self.up))
            self.say(self.up, OK)
            self.assertEqual(OK, self.heard(client))
            # and the connection is read again
            self.say(client, GET)
            self.assertEqual(GET, self.heard(self.up))
            client.reset()
            self.settle()

    def test_pipelined_behind_a_body(self) -> None:
        """What follows a body is the next request, and waits for its turn."""
        client = self.client(post(b"ab", length=4), b"cd" + GET)
        self.assertEqual(post(b"abcd"), self.heard(self.up))
        self.say(self.up, ok(b"1"))
        self.assertEqual((ok(b"1"), GET), (self.heard(client), self.heard(self.up)))

    def test_upstream_lost(self) -> None:
        """An upstream that goes in the middle of a body is told to the client, which is read on so that it hears it."""
        for end in ("hang_up", "reset"):
            client = self.client(post(b"ab", length=1_000_000))
            getattr(self.up, end)()
            self.settle()
            self.assertRegex(self.heard(client), b"^HTTP/1.1 502 Bad Gateway\r\n(?s:.*)connection: close\r\n")
            self.assertEqual("eof", client.ended)
            self.say(client, b"x" * 900_000)
            self.assertEqual(("eof", 0), (client.ended, client.unread))
            self.wait(7)
            self.assertEqual("closed", client.ended)
        self.assertEqual([(502, "UC")] * 2, self.rows)

    def test_upstream_lost_while_full(self) -> None:
        """The same where the client was paused."""
        client = self.client(post(b"ab", length=1_000_000))
        self.up.room = 0
        self.say(client, b"x" * 200_000)
        self.up.reset()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual(("eof", 0), (client.ended, client.unread))

    def test_nobody_answers(self) -> None:
        """A body whose request cannot be dispatched is read and dropped behind our answer."""
        self.proxy.connector.mode = "refuse"
        client = self.client(post(b"ab", length=100_000))
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.say(client, b"x" * 99_998 + GET)
        self.assertEqual(("eof", 0, b""), (client.ended, client.unread, client.heard))

    def test_nothing_kept(self) -> None:
        """An idle connection does not keep the body of its latest request."""
        # others' tests may have left some
        before = {id(one) for one in gc.get_objects() if type(one) is Exchange}
        client = self.client(post(b"x" * 5000))
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))
        gc.collect()
        self.assertEqual([], [one for one in gc.get_objects() if type(one) is Exchange and id(one) not in before])

    def test_gone_while_paused(self) -> None:
        """A client that breaks while it is not read is noticed."""
        client = self.client(post(b"", length=1_000_000))
        self.up.room = 0
        self.say(client, b"x" * 300_000)
        self.assertGreater(client.unread, 0)
        client.reset()
        self.settle()
        self.assertEqual(("reset", []), (self.up.ended, self.proxy.sessions))


class ProxyFieldTests(HttpTestCase):
    """What is between a client and a proxy, which we are unless the service is one."""

    secret = "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="
    challenge = "Proxy-Authenticate: Basic realm=x"
    absolute = "http://web.test/a?b"

    def test_ours(self) -> None:
        """Credentials for a proxy go no further, nor does what asks for them; targets are in origin form."""
        client = self.client(get(self.absolute, self.secret, "X-A: b", "proxy-authorization: x"))
        self.assertEqual(get("/a?b", "X-A: b"), self.heard(self.up))
        self.say(self.up, b"HTTP/1.1 103 Early\r\n" + self.challenge.encode() + b"\r\n\r\n")
        self.say(self.up, ok(b"", self.challenge, "Proxy-Authentication-Info: x", status="407 No"))
        self.assertEqual(b"HTTP/1.1 103 Early\r\n\r\n" + ok(b"", status="407 No"), self.heard(client))

    def test_theirs(self) -> None:
        """A service that is a proxy gets and says all that, and targets as they came."""
        self.start(service=lambda target: Service(proxy=True))
        client = self.client(get(self.absolute, self.secret))
        self.assertEqual(get(self.absolute, self.secret), self.heard(self.up))
        answer = ok(b"", self.challenge, status="407 No")
        self.say(self.up, answer)
        self.assertEqual(answer, self.heard(client))
        self.say(client, get("/a"))
        self.assertEqual(get("/a"), self.heard(self.up))

    def test_tunnel(self) -> None:
        """A tunnel's answer says no more than others."""
        client = self.client(get("web.test:80", self.secret, method="CONNECT"))
        self.assertEqual(get("web.test:80", method="CONNECT"), self.heard(self.up))
        self.say(self.up, b"HTTP/1.1 200 OK\r\nProxy-Authenticate: x\r\nX: y\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", self.heard(client))


class Ends:
    """
    An exchange's client, in the hands of a test: what it is told, in order.

    @ivar at_hand: of the request's body, what it has when it is given credit
    """

    def __init__(self) -> None:
        self.conn = Conn(("10.0.0.1", 1), ("10.0.0.2", 2))
        self.own = None
        self.more = True
        self.told: list[Any] = []
        self.exchange: Exchange
        self.at_hand: list[tuple[bytes, bool]] = []

    def sending(self) -> bool:
        """Whether more of its body is about to come."""
        return self.more

    def informational(self, head: Response) -> None:
        """Remember it."""
        self.told.append(head.status)

    def respond(self, head: Response, body: bytes, end: bool, trailers: Headers) -> int:
        """Remember it; there is room for seven bytes."""
        self.told.append((head.status, head.ours, end))
        return 7

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """Remember it; there is room for seven bytes."""
        self.told.append((raw, end))
        return 7

    def credit(self, n: int) -> None:
        """Hand over what is there."""
        if self.at_hand:
            raw, end = self.at_hand.pop(0)
            self.exchange.upload(raw, end, NO_TRAILERS)

    def tunnel(self, head: Response, stream: Any, rest: bytes) -> None:
        """Remember it."""
        self.told.append(("tunnel", head.status, rest))

    def reset(self, error: BaseException) -> None:
        """Remember it."""
        self.told.append(error)

    def complete(self) -> None:
        """Remember it."""
        self.told.append("complete")


class Upstream:
    """
    A lease, and what a request is sent on by.

    @ivar sent: head's target, body, end
    """

    def __init__(self, log: list[str]) -> None:
        self.hold: Hold = FREE
        self.address = "10.0.0.9:9000"
        self.sent: list[Any] = []
        self.closed = 0
        self.fails: BaseException | None = None
        self._log = log

    def call(self, head: Request, body: bytes, end: bool, to: Any) -> Upstream:
        """Remember it."""
        self.sent.append((head.target, body, end))
        if self.fails is not None:
            raise self.fails
        return self

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """Remember it; there is room for five bytes."""
        if raw or end:
            self.sent.append((raw, end, trailers))
        return 5

    def credit(self, n: int) -> None:
        """Remember it."""
        self.sent.append(("credit", n))

    def reset(self, error: BaseException) -> None:
        """Remember it."""
        self.sent.append(error)

    def close(self) -> None:
        """Count it."""
        self.closed += 1
        self._log.append("closed")


class ExchangeTests(HttpTestCase):
    """Two ends that a test holds, and the stack between them."""

    def setUp(self) -> None:
        super().setUp()
        self.log: list[str] = []
        self.acquire: Any = ScriptedAcquire()
        self.factory.listener.upstreams.http1 = self.acquire

    def begin(self, *at_hand: tuple[bytes, bool], ready: int = 1, method: bytes = b"GET") -> Ends:
        """An exchange; C{ready} leases are to be had at once."""
        self.upstreams = [Upstream(self.log) for _ in range(3)]
        self.acquire.warm[:] = self.upstreams[:ready]
        client: Any = Ends()
        client.at_hand += at_hand
        framing = 4 if at_hand else 0
        request = Request(method, b"/", [], framing, b"web.test", False)
        client.exchange = Exchange(self.factory.listener, client, request, not at_hand)
        client.exchange.start()
        return client  # type: ignore[no-any-return]

    def lost(self, **facts: bool) -> UpstreamLost:
        """An upstream's end."""
        return UpstreamLost(Endpoint("10.0.0.9", 9000), "", "without an answer", **{"answered": False, **facts})

    def test_warm(self) -> None:
        """Where a service is ready nothing is waited for; the answer passes, the lease ends, the client goes on."""
        client = self.begin()
        self.assertEqual(([(b"/", b"", True)], []), (self.upstreams[0].sent, self.acquire.calls))
        exchange = client.exchange
        exchange.informational(Response(103, b"Early", [], 0))
        self.assertEqual(7, exchange.respond(Response(200, b"OK", [], 3), b"a", False, NO_TRAILERS))
        exchange.taken(9)
        self.assertEqual(7, exchange.data(b"b", False, NO_TRAILERS))
        self.assertEqual(0, self.upstreams[0].closed)
        exchange.data(b"c", True, NO_TRAILERS)
        self.assertEqual(
            [103, (200, False, False), (b"b", False), (b"c", True), "complete"],
            client.told,
        )
        self.assertEqual(
            (("credit", 9), 1, [(200, "")]), (self.upstreams[0].sent[-1], self.upstreams[0].closed, self.rows)
        )

    def test_given_back_first(self) -> None:
        """When the client goes on, to its next request, the connection is free for that."""
        client: Any = self.begin()
        client.complete = lambda: self.log.append("complete")
        client.exchange.respond(Response(200, b"OK", [], 0), b"", True, NO_TRAILERS)
        self.assertEqual(["closed", "complete"], self.log)

    def test_body(self) -> None:
        """What is at hand of the body when a service is ready goes with the head, the rest as there is room."""
        client = self.begin((b"ab", False), (b"cd", True))
        self.assertEqual([(b"/", b"ab", False), (b"cd", True, [])], self.upstreams[0].sent)
        client.exchange.cancel()

    def test_again(self) -> None:
        """A request that may be sent once more is, to a new lease, the old one given back before; the clock runs on."""
        client = self.begin()
        error = self.lost(reused=True)
        self.acquire.again_with(self.upstreams[1:])
        client.exchange.reset(error)
        self.assertEqual(([error], ["closed"]), (self.acquire.errors, self.log))
        self.assertEqual([(b"/", b"", True)], self.upstreams[1].sent)
        client.exchange.respond(Response(200, b"OK", [], 0), b"", True, NO_TRAILERS)
        self.assertEqual(([(200, False, True), "complete"], [(200, "")]), (client.told, self.rows))

    def test_again_unsent(self) -> None:
        """One whose connection was found dead is sent elsewhere with all that it had, whatever its method."""
        client = self.begin((b"abcd", True), ready=0, method=b"POST")
        self.upstreams[0].fails = self.lost(unsent=True)
        self.acquire.again_with(self.upstreams[1:])
        self.acquire.give(self.upstreams[0])
        self.assertEqual([[(b"/", b"abcd", True)]] * 2, [upstream.sent for upstream in self.upstreams[:2]])
        self.assertEqual([1, 0], [upstream.closed for upstream in self.upstreams[:2]])
        client.exchange.cancel()

    def test_again_in_vain(self) -> None:
        """What the further try fails with is what the client hears."""
        client = self.begin()
        self.acquire.again_fails(TooManyInFlight(Authority("web.test", 80), 7))
        client.exchange.reset(self.lost(reused=True))
        self.assertEqual(([(503, True, True), "complete"], {"in_flight": 1}), (client.told, self.errors))

    def test_three_times(self) -> None:
        """Three times in all, and then the answer is ours."""
        client = self.begin()
        self.acquire.again_with(self.upstreams[1:])
        for _ in range(3):
            self.assertEqual([], client.told)
            client.exchange.reset(self.lost(reused=True))
        self.assertEqual([(502, True, True), "complete"], client.told)
        self.assertEqual([1, 1, 1], [upstream.closed for upstream in self.upstreams])

    def test_not_after_the_beginning(self) -> None:
        """Where the answer has begun there is only an abrupt end."""
        client = self.begin()
        client.exchange.respond(Response(200, b"OK", [], 3), b"a", False, NO_TRAILERS)
        error = self.lost(reused=True)
        client.exchange.reset(error)
        self.assertEqual(([error], 1), (client.told[1:], self.upstreams[0].closed))

    def test_cancelled(self) -> None:
        """A client that goes ends whatever is under way: what is waited for, and what was dispatched."""
        client = self.begin(ready=0)
        client.exchange.cancel()
        self.assertEqual(1, len(self.acquire.cancelled))
        client = self.begin()
        client.exchange.cancel()
        client.exchange.cancel()
        self.assertIsInstance(self.upstreams[0].sent[-1], CancelledError)
        self.assertEqual((1, [], [(0, "DC")] * 2), (self.upstreams[0].closed, client.told, self.rows))

    def test_told_upstream(self) -> None:
        """Whatever ends it is told to the upstream, whose work nobody wants any more."""
        client = self.begin()
        error = Rejected("", 400, "chunk_size", "not a chunk size")
        client.exchange.reset(error)
        self.assertEqual(
            ((b"/", b"", True), error, [(400, True, True), "complete"]), (*self.upstreams[0].sent, client.told)
        )

    def test_cannot_be_told(self) -> None:
        """A mistake on the way to the client costs its connection; nothing is left over."""
        client: Any = self.begin()
        bug = ZeroDivisionError()
        client.respond = Mock(side_effect=bug)
        client.exchange.reset(self.lost())
        self.assertEqual(([bug], 1, 1), (client.told, self.upstreams[0].closed, len(self.proxy.crashes)))
        self.crashed = 1

    def test_over(self) -> None:
        """Whoever is late, a clock or an upstream, changes nothing any more."""
        client = self.begin()
        client.exchange.respond(Response(200, b"OK", [], 0), b"", True, NO_TRAILERS)
        told = list(client.told)
        client.exchange.reset(ZeroDivisionError())
        client.exchange.taken(9)
        self.assertEqual((told, {}), (client.told, self.errors))


class ScriptedAcquire(lproxy.testing.ScriptedAcquire):
    """One whose leases are of a test's own making."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[BaseException] = []
        self._again: list[Any] = []

    def again_with(self, leases: list[Any]) -> None:
        """What further tries get."""
        self._again += leases

    def again_fails(self, error: Exception) -> None:
        """What they fail with."""
        self._again.append(error)

    def again(self, target: Any, error: Any, hint: Any = None) -> Deferred[Any]:
        """As of a stack."""
        self.errors.append(error)
        result = self._again.pop(0)
        return fail(result) if isinstance(result, Exception) else succeed(result)

    def give(self, lease: Any) -> None:
        """To the one that has waited longest."""
        self._next().callback(lease)
