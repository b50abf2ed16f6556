# -*- test-case-name: tests.protocols.http.h2.test_call -*-
"""
L{lproxy.protocols.http.h2.call}: one exchange with an upstream that speaks HTTP/2.
"""

from __future__ import annotations

import random
from typing import Any

from h2.settings import SettingCodes

from lproxy.config import Limits, Timeouts
from lproxy.errors import explain
from lproxy.protocols.http.h2.faults import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    INTERNAL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
)
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.streams import UpstreamLost
from lproxy.testing import Peer
from tests.protocols.http.h2.test_outward import UPGRADE as HANDSHAKE
from tests.protocols.http.h2.upstream import ANSWER, Http2UpstreamCase
from tests.protocols.http.harness import GET, get, post

UPGRADE = get("/chat", *[f"{name.decode()}: {value.decode()}" for name, value in HANDSHAKE[1:]])
LENGTH_9 = ((":status", "200"), ("content-length", "9"))


class AnswerTests(Http2UpstreamCase):
    """What comes of a request."""

    def test_informational(self) -> None:
        """1xx are passed on before the answer; more than a hundred are not."""
        client = self.client(GET)
        self.server.head(1, ((":status", "103"), ("link", "</a>")))
        self.assertEqual(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", self.heard(client))
        self.server.answer(1)
        self.assertIn(b"HTTP/1.1 200 OK\r\n", self.heard(client))
        client = self.client(GET)
        for _ in range(101):
            self.server.head(3, ((":status", "103"),))
        self.assertIn(b"more than 100 informational answers", self.heard(client))
        self.assertEqual({3: PROTOCOL_ERROR}, self.server.resets)

    def test_expect(self) -> None:
        """A client that waits for a 100 is told it by the upstream, and then sends its body."""
        client = self.client(get("/", "Expect: 100-continue", "Content-Length: 5", method="POST"))
        self.assertEqual((b"100-continue", []), (self.server.requests[1][b"expect"], self.server.ended))
        self.server.head(1, ((":status", "100"),))
        self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n", self.heard(client))
        self.say(client, b"hello")
        self.assertEqual((b"hello", [1]), (self.server.bodies[1], self.server.ended))
        self.server.answer(1)
        self.assertIn(b"HTTP/1.1 200 OK\r\n", self.heard(client))

    def test_http10(self) -> None:
        """A client of HTTP/1.0 has a body of unknown length until the connection ends."""
        client = self.client(get("/", version="1.0"))
        self.server.answer(1, b"hello")
        self.settle()
        self.assertTrue(client.heard.endswith(b"\r\n\r\nhello"), client.heard)
        self.assertEqual("closed", client.ended)

    def test_without_body(self) -> None:
        """HEAD, 204 and 304 have a head and no more, with the length that there would be."""
        for method, status, length in (("HEAD", "200", "5"), ("GET", "304", "5"), ("GET", "204", None)):
            client = self.client(get("/", method=method))
            fields = [(":status", status)] + ([("content-length", length)] if length else [])
            self.server.head(self.server.last, fields, True)
            heard = self.heard(client)
            self.assertTrue(heard.endswith(b"\r\n\r\n"), heard)
            self.assertEqual(length is not None, b"content-length: 5" in heard)
            self.assertNotIn(b"chunked", heard)
            self.say(client, GET)
            self.server.answer(self.server.last)
            self.assertTrue(self.heard(client).startswith(b"HTTP/1.1 200 OK"))

    def test_one_write(self) -> None:
        """Head, body and end that come together go on together."""
        client = self.client(GET)
        self.server.answer(1, b"x" * 40_000, ((":status", "200"), ("content-length", "40000")))
        stream = self.stream(client)
        writes: list[int] = []
        write = stream.write
        stream.write = lambda data: (writes.append(len(data)), write(data))[1]  # type: ignore[method-assign,func-returns-value]
        self.settle()
        self.assertEqual(1, len(writes))

    def test_malformed(self) -> None:
        """What is no answer, or is shorter or longer than it said, costs its stream, and not the connection."""
        other = self.client(GET)
        bad: list[tuple[Any, bytes]] = [
            ((("x", "y"),), b"x"),
            (((":status", "99"),), b"x"),
            (((":status", "200"), ("connection", "x")), b"x"),
            (((":status", "200"), ("Upper", "y")), b"x"),
        ]
        for fields, body in bad:
            client = self.client(GET)
            stream = self.server.last
            self.server.head(stream, fields)
            self.server.body(stream, body)
            self.assertIn(b"502 Bad Gateway", self.heard(client))
            self.assertIn(stream, self.server.resets)
        self.assertEqual({"bad_response": 4}, self.errors)
        for data, end in ((b"x" * 5, True), (b"x" * 10, False)):
            client = self.client(GET)
            self.server.head(self.server.last, LENGTH_9)
            self.server.body(self.server.last, data, end)
            self.settle()
            self.assertNotIn(b"x" * 9, client.heard)
            self.assertEqual("reset", client.ended or "reset")
        self.server.answer(1)
        self.settle()
        self.assertIn(b"200 OK", other.heard)
        self.assertEqual(1, len(self.ups))

    def test_memory(self) -> None:
        """A client that does not read has the upstream stop at a stream's window; others on the connection go on."""
        client = self.client(GET)
        client.room = 0
        self.server.head(1, ((":status", "200"),))
        sent = 0
        for _ in range(100):
            window = self.server.connection.local_flow_control_window(1)
            if not window:
                break
            piece = min(window, 16_384)
            self.server.body(1, b"x" * piece)
            sent += piece
            self.settle()
        # what the client's side keeps for it, and what the stream's window holds back
        self.assertLess(sent, 3 * 65_536)
        self.assertEqual(0, self.server.connection.local_flow_control_window(1))
        other = self.client(GET)
        for _ in range(100):
            self.server.head(self.server.last, ((":status", "200"), ("content-length", "65000")))
            self.server.body(self.server.last, b"y" * 65_000, True)
            self.settle()
            self.say(other, GET)
        self.assertEqual(6_500_000, other.heard.count(b"y"))
        client.room = None
        self.settle()
        self.assertGreater(self.server.connection.local_flow_control_window(1), 30_000)
        self.server.body(1, b"", True)
        self.settle()
        self.assertEqual(sent, client.heard.count(b"x"))


class CreditTests(Http2UpstreamCase):
    """What is given back of the connection's window."""

    def send(self, stream: int, size: int) -> None:
        """So many bytes of an answer, or as many as its stream's window allows."""
        size = min(size, self.server.connection.local_flow_control_window(stream))
        for start in range(0, size, 16_384):
            self.server.body(stream, b"d" * min(16_384, size - start))

    def test_never_leaks(self) -> None:
        """Whatever is read or not, reset by whom and when: the connection's credit comes back, and a stream's."""
        rng = random.Random(9113)
        self.server_knows()
        connection = self.server.connection
        clients: dict[int, Peer] = {}
        for _ in range(600):
            what = rng.random()
            stream = rng.choice(list(clients)) if clients else 0
            if what < 0.25 or not stream:
                client = self.client()
                client.room = rng.choice((None, 0, 1000))
                self.say(client, GET)
                clients[self.server.last] = client
                self.server.head(self.server.last)
            elif what < 0.7:
                self.send(stream, rng.choice((1, 100, 16_384, 40_000)))
            elif what < 0.8:
                clients[stream].room = None
            elif what < 0.87:
                clients.pop(stream).reset()
            elif what < 0.93:
                self.server.reset(stream, rng.choice((CANCEL, INTERNAL_ERROR, NO_ERROR)))
                clients.pop(stream).room = None
            else:
                self.server.body(stream, b"", True)
                clients.pop(stream).room = None
            self.settle()
            if len(clients) > 50:
                clients.pop(min(clients)).reset()
        self.assertEqual(1, len(self.ups))
        # no more than what is told of at once is ever missing
        self.assertGreater(connection.outbound_flow_control_window, 512 * 1024)
        client = self.client(GET)
        self.server.head(self.server.last, ((":status", "200"), ("content-length", "300000")))
        for _ in range(15):
            self.send(self.server.last, 20_000)
            self.settle()
        self.assertEqual(300_000, client.heard.count(b"d"))

    def server_knows(self) -> None:
        """A first exchange, so that there is a connection."""
        self.client(GET)
        self.server.answer(1)
        self.settle()


class ResetTests(Http2UpstreamCase):
    """How streams end before their time."""

    def test_before(self) -> None:
        """Before an answer: the client is told which code, and the endpoint blamed."""
        for code, name in ((INTERNAL_ERROR, b"INTERNAL_ERROR"), (CANCEL, b"CANCEL"), (NO_ERROR, b"NO_ERROR")):
            client = self.client(GET)
            self.server.reset(self.server.last, code)
            heard = self.heard(client)
            self.assertIn(b"502 Bad Gateway", heard)
            self.assertIn(b"reset the stream (" + name + b") without an answer", heard)
        self.assertEqual(3, len(self.acquires().failures))
        self.assertEqual({"upstream_reset": 3}, self.errors)

    def test_within(self) -> None:
        """In mid-answer: it is cut, and never ends as if it were whole."""
        for fields in (LENGTH_9, ANSWER):
            client = self.client(GET)
            self.server.head(self.server.last, fields)
            self.server.body(self.server.last, b"half")
            self.settle()
            self.server.reset(self.server.last, CANCEL)
            self.settle()
            self.assertEqual(("reset", True), (client.ended, client.heard.rstrip(b"\r\n").endswith(b"half")))
            self.assertEqual((200, "UR"), self.rows[-1])

    def test_refused_in_mid_answer(self) -> None:
        """REFUSED_STREAM of an answer that has begun is not believed."""
        client = self.client(GET)
        self.server.head(1)
        self.settle()
        self.server.reset(1, REFUSED_STREAM)
        self.settle()
        self.assertEqual(("reset", [1]), (client.ended, list(self.server.requests)))

    def test_after(self) -> None:
        """After a whole answer, in the middle of a body: the answer is delivered, and the rest of the body dropped."""
        for code in (NO_ERROR, CANCEL):
            client = self.client(post(b"begin", length=100))
            stream = self.server.last
            self.server.answer(stream, b"early", ((":status", "200"), ("content-length", "5")))
            self.server.reset(stream, code)
            self.settle()
            self.assertTrue(client.heard.endswith(b"\r\n\r\nearly"), client.heard)
            self.say(client, b"x" * 95)
            self.assertEqual((200, ""), self.rows[-1])
        self.assertEqual({}, self.errors)

    def test_after_with_a_shut_window(self) -> None:
        """The same where the client does not read: it has all of it when it does."""
        client = self.client(post(b"begin", length=100))
        client.room = 0
        self.server.answer(1, b"e" * 60_000, ((":status", "200"), ("content-length", "60000")))
        self.server.reset(1, NO_ERROR)
        self.settle()
        client.room = None
        self.settle()
        self.assertTrue(client.heard.endswith(b"\r\n\r\n" + b"e" * 60_000))

    def test_early_error(self) -> None:
        """An error before the body has come ends the exchange, and the stream is cancelled."""
        client = self.client(post(b"begin", length=100))
        self.server.answer(1, b"no", ((":status", "413"), ("content-length", "2")))
        self.assertIn(b"413", self.heard(client))
        self.settle()
        self.assertEqual({1: CANCEL}, self.server.resets)
        self.assertEqual("", self.up.ended)

    def test_client_leaves(self) -> None:
        """A client that is gone is told to the upstream at once, whatever state the stream is in."""
        for request, begun in ((GET, False), (GET, True), (post(b"half", length=9), False)):
            client = self.client(request)
            stream = self.server.last
            if begun:
                self.server.head(stream)
                self.settle()
            client.reset()
            self.settle()
            self.assertEqual(CANCEL, self.server.resets[stream])
        self.assertEqual(("", 0), (self.up.ended, self.slots.load))

    def test_timed_out(self) -> None:
        """So is a configured limit that ran out, which speaks against the endpoint."""
        self.start(timeouts=Timeouts(response_headers=1.0))
        client = self.client(GET)
        self.wait(1.2)
        self.assertIn(b"504 Gateway", client.heard)
        self.assertEqual({1: CANCEL}, self.server.resets)
        self.assertEqual(1, len(self.acquires().failures))

    def test_calm(self) -> None:
        """What a server has too much of is said to the client."""
        client = self.client(GET)
        self.server.reset(1, ENHANCE_YOUR_CALM)
        self.settle()
        self.assertIn(b"ENHANCE_YOUR_CALM", client.heard)
        (told,) = [explain(error) for error in self.acquires().failures]
        self.assertIn("ENHANCE_YOUR_CALM", told)


class UploadTests(Http2UpstreamCase):
    """Bodies towards the upstream."""

    settings = {SettingCodes.INITIAL_WINDOW_SIZE: 10}

    def test_paced(self) -> None:
        """A body goes as its upstream takes it, and its client is read no faster."""
        self.server_holds()
        client = self.client(post(b"", length=1_000_000))
        stream = self.server.last
        for _ in range(100):
            client.say(b"x" * 10_000)
        self.settle()
        self.assertEqual(10, len(self.server.bodies[stream]))
        self.assertGreater(client.unread, 700_000)
        session: Any = self.proxy.sessions[-1]
        self.assertTrue(session._exchange.owed())
        for _ in range(200):
            if stream in self.server.ended:
                break
            self.server.connection.increment_flow_control_window(10_000, stream)
            self.server.connection.increment_flow_control_window(10_000)
            self.server.flush()
            self.settle()
        self.assertEqual((1_000_000, False), (len(self.server.bodies[stream]), bool(client.unread)))
        self.server.answer(stream)
        self.assertIn(b"200 OK", self.heard(client))

    def server_holds(self) -> None:
        """An upstream that gives no credit by itself."""
        self.client(GET)
        self.server.credit = False
        self.server.answer(1)
        self.settle()

    def test_not_taken(self) -> None:
        """One that takes nothing of it for timeouts.body is given up."""
        self.start(timeouts=Timeouts(body=2.0))
        self.server_holds()
        client = self.client(post(b"x" * 100))
        self.wait(5)
        self.assertIn(b"took nothing of the request's body for 2 s", client.heard)
        self.assertEqual(CANCEL, self.server.resets[3])

    def test_blocked_connection(self) -> None:
        """Where its kernel takes nothing, what is sent waits; then all of it comes."""
        self.start(limits=Limits(buffer=1000))
        self.server_holds()
        self.server.connection.increment_flow_control_window(1_000_000)
        self.server.flush()
        self.settle()
        self.up.room = 100
        clients = [self.client(post(b"a" * 9)) for _ in range(20)]
        self.assertLess(len(self.server.requests), 20)
        self.up.room = None
        self.settle()
        self.assertEqual({b"a" * 9}, {self.server.bodies[stream] for stream in self.server.requests if stream > 1})
        self.assertEqual(20, len(clients))


class TunnelTests(Http2UpstreamCase):
    """Streams that become bytes."""

    settings = {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}

    def joined(self) -> Peer:
        """A client whose WebSocket was accepted."""
        client = self.client(UPGRADE)
        self.assertEqual(b"websocket", self.server.requests[self.server.last][b":protocol"])
        self.assertEqual([], self.server.ended)
        self.server.head(self.server.last, ((":status", "200"),))
        heard = self.heard(client)
        self.assertTrue(heard.startswith(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"), heard)
        self.assertIn(b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", heard)
        return client

    def test_websocket(self) -> None:
        """Bytes go both ways, and each side ends by itself."""
        client = self.joined()
        self.say(client, b"ping")
        self.assertEqual(b"ping", self.server.bodies[1])
        self.server.body(1, b"pong")
        self.assertEqual(b"pong", self.heard(client))
        client.hang_up()
        self.settle()
        self.assertEqual([1], self.server.ended)
        self.server.body(1, b"bye", True)
        self.settle()
        self.assertTrue(client.heard.endswith(b"bye"))
        self.assertEqual((0, "", (101, "")), (self.slots.load, self.up.ended, self.rows[-1]))

    def test_reset(self) -> None:
        """A reset is one, on the other side."""
        client = self.joined()
        self.server.reset(1, CANCEL)
        self.settle()
        self.assertEqual("reset", client.ended)
        client = self.joined()
        client.reset()
        self.settle()
        self.assertEqual(CANCEL, self.server.resets[3])
        client = self.joined()
        self.up.reset()
        self.settle()
        self.assertEqual(("reset", 0), (client.ended, self.slots.load))

    def test_refused(self) -> None:
        """What is not accepted is an answer like others."""
        client = self.client(UPGRADE)
        self.server.answer(1, b"no", ((":status", "403"), ("content-length", "2")))
        self.assertEqual(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", self.heard(client))

    def test_not_offered(self) -> None:
        """An upstream that does not know extended CONNECT is not asked, and the client told why."""
        self.settings = None  # type: ignore[assignment]
        self.start()
        client = self.client(UPGRADE)
        self.assertIn(b"501 Not Implemented", client.heard)
        self.assertIn(b"takes no WebSockets over HTTP/2", client.heard)
        self.assertEqual({}, self.server.requests)

    def test_connect(self) -> None:
        """CONNECT to a listener with a target is the upstream's to answer."""
        client = self.client(b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n")
        self.assertEqual({b":method": b"CONNECT", b":authority": b"a.test:443"}, self.server.requests[1])
        self.server.head(1, ((":status", "200"),))
        self.settle()
        self.say(client, b"hello")
        self.server.body(1, b"world")
        self.settle()
        self.assertEqual((b"hello", True), (self.server.bodies[1], client.heard.endswith(b"\r\n\r\nworld")))


class PrivateTests(Http2UpstreamCase):
    """Who authenticates a connection."""

    def test_retired(self) -> None:
        """Nobody else gets a connection on which somebody has authenticated: it takes no more streams."""
        first = self.client(get("/", "Authorization: NTLM abc"))
        server = self.server
        self.client(GET)
        self.assertEqual(2, len(self.ups))
        server.answer(1)
        self.settle()
        self.assertEqual(("closed", True), (server.peer.ended, first.heard.endswith(b"ok\r\n0\r\n\r\n")))

    def test_of_a_dead_connection(self) -> None:
        """A lease whose connection ended meanwhile cannot be called, and nothing was sent."""
        self.client(GET)
        self.server.answer(1)
        self.settle()
        lease = self.slots.try_acquire()
        assert lease is not None
        self.up.hang_up()
        self.settle()
        request = Request(b"POST", b"/", [], 0, b"web.test", False)
        error = self.assertRaises(UpstreamLost, lease.call, request, b"", True, None)
        self.assertEqual((True, False), (error.unsent, error.answered))
        lease.close()
        self.assertEqual(0, self.slots.load)


class ReferenceResetTests(ResetTests):
    """The same with the h2 library beneath."""

    listen = {"http2_engine": "reference"}


class ReferenceUploadTests(UploadTests):
    """Likewise."""

    listen = {"http2_engine": "reference"}


class ReferenceTunnelTests(TunnelTests):
    """Likewise."""

    listen = {"http2_engine": "reference"}
