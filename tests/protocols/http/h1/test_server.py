# -*- test-case-name: tests.protocols.http.h1.test_server -*-
"""
L{lproxy.protocols.http.h1.server}: one client's requests, one after the other.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from unittest.mock import Mock, patch

from lproxy.config import Limits
from lproxy.protocols.http.patience import LINGER, TURN
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority
from lproxy.testing import Peer
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok, post

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"


def chunked_post(body: bytes, *fields: str) -> bytes:
    """A request with a chunked body, or the beginning of one."""
    return get("/", CHUNKED, *fields, method="POST") + body


class KeepAliveTests(HttpTestCase):
    """Connections are used again, on both sides."""

    def test_both_sides(self) -> None:
        """Requests of one client, one after the other, go over one upstream connection."""
        client = self.client()
        for n in range(5):
            self.say(client, get(f"/{n}"))
            self.assertEqual(get(f"/{n}"), self.heard(self.up))
            self.say(self.up, ok(b"%d" % n))
            self.assertEqual(ok(b"%d" % n), self.heard(client))
        self.assertEqual((1, 1, 5), (len(self.ups), self.idle, len(self.proxy.leases)))
        self.assertEqual([(200, "")] * 5, self.rows)
        self.assertEqual(0, self.proxy.open)

    def test_close_asked(self) -> None:
        """A client that asks for it is told that the connection closes, and it does; the upstream's is kept."""
        client = self.client(get("/", "Connection: close"))
        self.assertEqual(GET, self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual(ok(b"ok", "Connection: close"), self.heard(client))
        self.assertEqual(("closed", 1), (client.ended, self.idle))

    def test_upstream_closes(self) -> None:
        """What the upstream says of its connection is no affair of the client's, whose own lives on."""
        client = self.client(GET)
        self.say(self.up, ok(b"ok", "Connection: close"))
        self.assertEqual(OK, self.heard(client))
        self.assertEqual((0, "closed"), (self.idle, self.up.ended))
        self.say(client, GET)
        self.assertEqual(2, len(self.ups))
        self.say(self.up, OK)
        self.assertEqual((OK, ""), (self.heard(client), client.ended))

    def test_hop_by_hop(self) -> None:
        """What belongs to one connection goes no further, in either direction; the rest stays as it was."""
        self.client(get("/", "Connection: x-a, keep-alive", "X-A: 1", "Keep-Alive: 5", "x-B:  2", "TE: gzip"))
        self.assertEqual(get("/", "x-B: 2"), self.heard(self.up))
        self.say(
            self.up, ok(b"ok", "Connection: X-C", "X-C: 1", "Proxy-Connection: close", "X-D: 2", "l5d-proxy-error: x")
        )
        self.assertEqual(ok(b"ok", "X-D: 2"), self.heard(self.clients[0]))

    def test_http10(self) -> None:
        """An HTTP/1.0 client's connection ends with the answer, unless it asked for more and the length is known."""
        client = self.client(get(version="1.0"))
        self.assertEqual(GET, self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual((ok(b"ok", "Connection: close"), "closed"), (self.heard(client), client.ended))
        client = self.client(get("/", "Connection: keep-alive", version="1.0"))
        self.say(self.up, OK)
        self.assertEqual((ok(b"ok", "Connection: keep-alive"), ""), (self.heard(client), client.ended))
        self.say(client, get("/", "Connection: keep-alive", version="1.0"))
        self.say(self.up, b"HTTP/1.1 200 OK\r\n" + CHUNKED.encode() + b"\r\nX: y\r\n\r\n3\r\nabc\r\n")
        self.say(self.up, b"2\r\nde\r\n0\r\nT: 1\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\nabcde", self.heard(client))
        self.assertEqual("eof", client.ended)
        self.assertEqual((1, 1), (self.idle, len(self.ups)))

    def test_http10_without_host(self) -> None:
        """A request that names no host is sent on with the target's, as HTTP/1.1 demands one."""
        self.client(b"GET / HTTP/1.0\r\nX: y\r\n\r\n")
        self.assertEqual(b"GET / HTTP/1.1\r\nHost: upstream.test:9000\r\nX: y\r\n\r\n", self.heard(self.up))

    def test_http10_informational(self) -> None:
        """An HTTP/1.0 client is sent no 1xx."""
        client = self.client(get(version="1.0"))
        self.say(self.up, CONTINUE + OK)
        self.assertEqual(ok(b"ok", "Connection: close"), self.heard(client))

    def test_two_clients_one_connection(self) -> None:
        """An upstream connection belongs to nobody: it serves whoever asks next, and only when it is free."""
        a, b = self.client(GET), self.client(get("/b"))
        self.assertEqual(2, len(self.ups))
        self.say(self.ups[0], ok(b"a"))
        self.say(self.ups[1], ok(b"b"))
        self.assertEqual((ok(b"a"), ok(b"b")), (self.heard(a), self.heard(b)))
        for n in range(4):
            client = (a, b)[n % 2]
            self.say(client, GET)
            self.say(self.ups[1], ok(b"%d" % n))
            self.assertEqual(ok(b"%d" % n), self.heard(client))
        self.assertEqual(2, self.idle)


class PipelineTests(HttpTestCase):
    """Requests that do not wait for answers."""

    def test_in_order(self) -> None:
        """Each is sent when the one before is answered, and the answers come in order."""
        client = self.client(get("/1") + get("/2") + post(b"three") + get("/4", "Connection: close"))
        for sent, answer in (
            (get("/1"), ok(b"1")),
            (get("/2"), ok(b"2")),
            (post(b"three"), ok(b"3")),
            (get("/4"), ok(b"4")),
        ):
            self.assertEqual(sent, self.heard(self.up))
            self.say(self.up, answer)
        self.assertEqual(ok(b"1") + ok(b"2") + ok(b"3") + ok(b"4", "Connection: close"), self.heard(client))
        self.assertEqual(("closed", 1), (client.ended, len(self.ups)))

    def test_thousand(self) -> None:
        """A thousand of them take no stack."""
        client = self.client(b"".join(get(f"/{n}") for n in range(1000)))
        for n in range(1000):
            self.assertEqual(get(f"/{n}"), self.heard(self.up))
            self.say(self.up, ok(b"%d" % n))
        self.assertEqual(b"".join(ok(b"%d" % n) for n in range(1000)), self.heard(client))
        self.assertEqual(1, len(self.ups))

    def test_thousand_refused(self) -> None:
        """Nor do a thousand that are answered by ourselves, at once or later."""
        self.proxy.fail(AcquireTimedOut(Authority("web.test", 80), 3.0))
        client = self.client(b"".join(get(f"/{n}") for n in range(1000)))
        self.wait(0.1)
        heard = self.heard(client)
        self.assertEqual(1000, heard.count(b"HTTP/1.1 503 "))
        self.assertEqual("", client.ended)
        self.assertEqual({"acquire_timeout": 1000}, self.errors)

    def test_gives_way(self) -> None:
        """Those that we answer ourselves give way to others after a few in one turn."""
        self.proxy.fail(AcquireTimedOut(Authority("web.test", 80), 3.0))
        client = self.client()
        client.say(GET * 100)
        stream = self.stream(client)
        stream.turn()
        self.assertEqual((TURN, "yielding"), (client.heard.count(b" 503 "), self.session().describe()["state"]))
        other = self.client()
        other.say(GET)
        self.proxy.reactor.turn()
        self.assertEqual((1, TURN), (other.heard.count(b" 503 "), client.heard.count(b" 503 ")))
        self.settle()
        self.assertEqual((100, ""), (client.heard.count(b" 503 "), client.ended))

    def test_gone_while_it_gives_way(self) -> None:
        """Who leaves in between leaves no timer."""
        self.proxy.fail(AcquireTimedOut(Authority("web.test", 80), 3.0))
        client = self.client()
        client.say(GET * 100)
        self.stream(client).turn()
        client.reset()
        self.settle()
        self.assertEqual((TURN, []), (client.heard.count(b" 503 "), self.proxy.sessions))

    def test_end_while_it_gives_way(self) -> None:
        """Who says no more in between is answered all of it."""
        self.proxy.fail(AcquireTimedOut(Authority("web.test", 80), 3.0))
        client = self.client()
        client.say(GET * 100)
        client.hang_up()
        self.settle()
        self.assertEqual((100, "closed"), (client.heard.count(b" 503 "), client.ended))

    def test_thousand_at_last(self) -> None:
        """Nor where the first has to wait for its failure."""
        self.proxy.connector.mode = "wait"
        client = self.client(b"".join(get(f"/{n}") for n in range(1000)))
        self.proxy.connector.mode = "refuse"
        self.proxy.connector.refuse()
        self.assertEqual(1000, self.heard(client).count(b"HTTP/1.1 502 "))

    def test_split_anywhere(self) -> None:
        """Where the network cuts them makes no difference."""
        trailed = chunked_post(b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n")
        data = get("/1") + post(b"body") + trailed + get("/4")
        client = self.client()
        heard = []
        for n in range(len(data)):
            self.say(client, data[n : n + 1])
            for up in self.ups:
                if up.heard.endswith((b"body", b"X-T: 1\r\n\r\n")) or re.fullmatch(b"GET (?s:.*)\r\n\r\n", up.heard):
                    heard.append(self.heard(up))
                    self.say(up, OK)
        self.assertEqual(OK * 4, self.heard(client))
        self.assertEqual([get("/1"), post(b"body"), trailed, get("/4")], [rechunked(request) for request in heard])

    def test_does_not_read_answers(self) -> None:
        """Who asks and asks and never reads is not read either: what we hold for him is bounded."""
        self.proxy.connector.mode = "refuse"
        client = self.client()
        client.room = 0
        for _ in range(200):
            self.say(client, GET * 100)
        session = self.session()
        self.assertLess(self.stream(client).buffered, 2 * 65536)
        self.assertGreater(client.unread, 200 * 100 * len(GET) - 3 * 65536)
        self.assertEqual("full", session.describe()["state"])
        client.room = None
        self.wait(0.1)
        self.assertEqual(20_000, self.heard(client).count(b"HTTP/1.1 502 "))
        self.assertEqual((0, "idle"), (client.unread, session.describe()["state"]))

    def test_end_behind_them(self) -> None:
        """A client that says it has no more is answered all it asked, and then the connection closes."""
        client = self.client()
        client.say(get("/1") + get("/2"))
        client.hang_up()
        self.settle()
        self.say(self.up, ok(b"1"))
        self.say(self.up, ok(b"2"))
        self.assertEqual((ok(b"1") + ok(b"2"), "closed"), (self.heard(client), client.ended))

    def test_end_behind_our_own_answer(self) -> None:
        """The same where the answer is ours."""
        self.proxy.connector.mode = "wait"
        client = self.client()
        client.say(GET)
        client.hang_up()
        self.settle()
        self.proxy.connector.refuse()
        self.assertIn(b" 502 ", self.heard(client))
        self.assertEqual("closed", client.ended)

    def test_half_a_request_behind_them(self) -> None:
        """What is left of a request that never ends closes the connection, too."""
        client = self.client()
        client.say(get("/1") + GET[:10])
        client.hang_up()
        self.settle()
        self.say(self.up, OK)
        self.assertEqual((OK, "closed"), (self.heard(client), client.ended))


def rechunked(request: bytes) -> bytes:
    """C{request}, whose chunks may have been cut anew, in one chunk."""
    head, _, body = request.partition(b"\r\n\r\n")
    if CHUNKED.encode() not in head:
        return request
    data = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        if size == b"0":
            break
        data += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return head + b"\r\n\r\n%x\r\n" % len(data) + data + b"\r\n0\r\n" + body


class AnswerTests(HttpTestCase):
    """Every framing of an answer."""

    def ask(self, request: bytes, *answer: bytes, eof: bool = False) -> bytes:
        """What a new client hears when its request is answered with C{answer}, piece by piece."""
        client = self.client(request)
        for piece in answer:
            self.say(self.up, piece)
        if eof:
            self.up.hang_up()
        heard = self.heard(client)
        self.ended = client.ended
        return heard

    def test_chunked(self) -> None:
        """Chunks go on as they come, trailers behind them, without those that have no business there."""
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        heard = self.ask(GET, head + b"3\r\nabc\r\n", b"2;x=y\r\nd", b"e\r\n0\r\nX-T: 1\r\nHost: evil\r\n\r\n")
        self.assertEqual(head + b"3\r\nabc\r\n1\r\nd\r\n1\r\ne\r\n0\r\nX-T: 1\r\n\r\n", heard)
        self.assertEqual(("", 1), (self.ended, self.idle))

    def test_until_close(self) -> None:
        """A body without a length is told apart from a lost one by chunks of ours."""
        heard = self.ask(GET, b"HTTP/1.1 200 OK\r\n\r\nab", b"cd", eof=True)
        expected = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
        self.assertEqual((expected, ""), (heard, self.ended))

    def test_until_close_http10(self) -> None:
        """For HTTP/1.0 by the end of the connection."""
        heard = self.ask(get("/", "Connection: keep-alive", version="1.0"), b"HTTP/1.0 200 OK\r\n\r\nab", eof=True)
        self.assertEqual(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nab", heard)
        self.wait(1.0)
        self.assertEqual("closed", self.clients[0].ended)

    def test_no_body(self) -> None:
        """HEAD, 204 and 304 have none, whatever they say, and the next answer is taken for what it is."""
        head = ok(b"", length=1000)
        self.assertEqual(head, self.ask(get(method="HEAD"), head))
        self.assertEqual(b"HTTP/1.1 204 No\r\n\r\n", self.ask(GET, b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n"))
        unchanged = b"HTTP/1.1 304 Not\r\nContent-Length: 7\r\nETag: x\r\n\r\n"
        self.assertEqual(unchanged, self.ask(GET, unchanged))
        self.assertEqual(OK, self.ask(GET, OK))
        self.assertEqual(1, len(self.ups))

    def test_head_http10(self) -> None:
        """An HTTP/1.0 client is not told of a coding that it does not know, not even without a body."""
        heard = self.ask(get(method="HEAD", version="1.0"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", heard)

    def test_pieces(self) -> None:
        """A body with a length goes on as it comes, and no further than that."""
        heard = self.ask(GET, ok(b"ab", length=6), b"cd", b"ef")
        self.assertEqual((ok(b"abcdef"), 1), (heard, self.idle))

    def test_more_than_promised(self) -> None:
        """What comes behind the answer is nobody's: the upstream connection goes."""
        self.assertEqual((ok(b"ab"), ""), (self.ask(GET, ok(b"ab") + ok(b"cd")), self.ended))
        self.assertEqual(("reset", 0), (self.up.ended, self.idle))

    def test_unasked(self) -> None:
        """Nor does a kept connection wait with an answer for the next request."""
        self.ask(GET, OK)
        self.say(self.up, ok(b"evil"))
        self.assertEqual(("reset", 0), (self.up.ended, self.idle))
        self.assertEqual(ok(b"good"), self.ask(GET, ok(b"good")))

    def test_informational(self) -> None:
        """1xx answers go on, and the real one after them."""
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        self.assertEqual(CONTINUE + hints + OK, self.ask(GET, CONTINUE, hints + OK))

    def test_slow_client(self) -> None:
        """Who does not read pauses the upstream; when it is all read the upstream connection serves others."""
        client = self.client(GET)
        client.room = 0
        self.say(self.up, ok(b"x" * 100_000, length=10_000_000))
        for _ in range(98):
            self.say(self.up, b"x" * 100_000)
        self.say(self.up, b"x" * 100_000)
        self.assertGreater(self.up.unread, 9_000_000)
        self.assertLess(self.stream(client).buffered, 3 * 65536)
        client.room = None
        self.wait(0.1)
        self.assertEqual(10_000_000, len(self.heard(client).partition(b"\r\n\r\n")[2]))
        self.assertEqual(1, self.idle)
        self.assertEqual(OK, self.ask(GET, OK))
        self.assertEqual(1, len(self.ups))

    def test_paused_at_the_last_piece(self) -> None:
        """An upstream connection that was paused by the very last piece is read again when it is used again."""
        client = self.client(GET)
        client.room = 10
        self.say(self.up, ok(b"x" * 100, length=65600))
        self.say(self.up, b"y" * 65500)
        self.assertEqual(1, self.idle)
        self.assertEqual(OK, self.ask(get("/other"), OK))
        self.assertEqual(1, len(self.ups))


class LostTests(HttpTestCase):
    """Answers that never end well."""

    def test_in_the_body(self) -> None:
        """Half an answer has no clean end, whatever its framing and however it was lost."""
        for start in (
            ok(b"ab", length=4),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-T: ",
        ):
            for end in ("hang_up", "reset"):
                client = self.client(GET)
                self.say(self.up, start)
                getattr(self.up, end)()
                self.settle()
                self.assertNotIn(b"0\r\n\r\n", client.heard)
                self.assertEqual("reset", client.ended, (start, end))
                self.assertEqual((200, "UC"), self.rows[-1])
        client = self.client(GET)
        self.say(self.up, b"HTTP/1.1 200 OK\r\n\r\nab")
        self.up.reset()
        self.settle()
        self.assertEqual("reset", client.ended)
        self.assertEqual({"upstream_lost": 7}, self.errors)

    def test_malformed_body(self) -> None:
        """The same where it turns out that it is none."""
        client = self.client(GET)
        self.say(self.up, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        self.say(self.up, b"zz\r\n")
        self.assertEqual(("reset", "reset"), (client.ended, self.up.ended))
        self.assertEqual([(200, "UP")], self.rows)

    def test_before_it(self) -> None:
        """As long as the answer has not begun there is one of ours, and the client's connection lives on."""
        client = self.client()
        for n, (said, end, what) in enumerate(
            (
                (b"", "hang_up", b"closed the connection without an answer"),
                (b"", "reset", b"reset the connection without an answer"),
                (b"HTTP/1.1 200 OK\r\nX: ", "hang_up", b"closed the connection in the middle of its answer's head"),
                (b"HTTP/1.1 200 OK\r\nX: ", "reset", b"reset the connection in the middle of its answer's head"),
                (CONTINUE, "hang_up", b"closed the connection in the middle of its answer's head"),
            )
        ):
            self.say(client, GET)
            self.assertEqual(n + 1, len(self.ups))
            self.say(self.up, said)
            getattr(self.up, end)()
            heard = self.heard(client).removeprefix(CONTINUE)
            self.assertRegex(heard, rb"^HTTP/1.1 502 Bad Gateway\r\n")
            self.assertIn(b"upstream: 10.0.0.9:9000 " + what + b" (after 0.000 s)", heard)
            self.assertEqual("", client.ended)
        self.assertEqual([(502, "UC")] * 5, self.rows)

    def test_malformed(self) -> None:
        """What is no HTTP is told as such."""
        client = self.client()
        for answer in (b"SSH-2.0-x\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX y\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                       b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"):  # fmt: skip
            self.say(client, GET)
            self.say(self.up, answer)
            heard = self.heard(client)
            self.assertRegex(heard, rb"^HTTP/1.1 502 Bad Gateway\r\n")
            self.assertIn(b"upstream: 10.0.0.9:9000 sent a malformed answer: http: ", heard)
            self.assertEqual(("reset", ""), (self.up.ended, client.ended))
        self.assertEqual({"bad_response": 5}, self.errors)

    def test_endless_informational(self) -> None:
        """An upstream that never gets to the point is stopped."""
        client = self.client(GET)
        self.say(self.up, CONTINUE * 1000)
        heard = self.heard(client)
        self.assertEqual(100, heard.count(CONTINUE))
        self.assertIn(b"HTTP/1.1 502 ", heard)


class ClientLeavesTests(HttpTestCase):
    """A client that goes takes everything with it, whatever was under way. (tearDown looks for what was left over.)"""

    def leave(self, client: Any) -> None:
        """Go."""
        client.reset()
        self.settle()
        self.assertEqual((0, 0), (self.proxy.open, len(self.proxy.sessions)))

    def test_idle(self) -> None:
        """Between two requests."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.leave(client)
        self.assertEqual((1, [(200, "")]), (self.idle, self.rows))

    def test_half_a_head(self) -> None:
        """In the middle of a head."""
        self.leave(self.client(GET[:10]))
        self.assertEqual([], self.rows)

    def test_acquiring(self) -> None:
        """While it waits for a service: the work is stopped."""
        self.proxy.connector.mode = "wait"
        self.leave(self.client(GET))
        self.assertEqual((1, 0), (self.proxy.connector.cancelled, len(self.ups)))
        self.assertEqual([(0, "DC")], self.rows)

    def test_calling(self) -> None:
        """Before the answer: the upstream is told."""
        self.leave(self.client(GET))
        self.assertEqual(("reset", 0), (self.up.ended, self.idle))
        self.assertEqual([(0, "DC")], self.rows)

    def test_in_the_answer(self) -> None:
        """In the middle of the answer, slow reader or not."""
        for room in (None, 10):
            client = self.client(GET)
            client.room = room
            self.say(self.up, ok(b"x" * 1000, length=10_000_000))
            self.say(self.up, b"x" * 1000_000)
            self.leave(client)
            self.assertEqual("reset", self.up.ended)
        self.assertEqual([(200, "DC")] * 2, self.rows)

    def test_in_the_body(self) -> None:
        """In the middle of its own body, whether it breaks or just ends."""
        self.leave(self.client(post(b"ab", length=4)))
        self.assertEqual("reset", self.up.ended)
        client = self.client(post(b"ab", length=4))
        client.hang_up()
        self.settle()
        self.assertEqual(("reset", "reset"), (client.ended, self.up.ended))
        self.assertEqual([(0, "DC")] * 2, self.rows)

    def test_in_the_body_acquiring(self) -> None:
        """The same while a service is waited for: the upstream gets nothing of half a request."""
        self.proxy.connector.mode = "wait"
        client = self.client(post(b"ab", length=4))
        client.hang_up()
        self.settle()
        self.proxy.connector.accept()
        self.settle()
        self.assertEqual(("reset", b""), (client.ended, self.up.heard))

    def test_whole_request_and_fin(self) -> None:
        """FIN behind a whole request is no leaving: the answer comes. RST while it is awaited is."""
        client = self.client()
        client.say(post(b"ab"))
        client.hang_up()
        self.settle()
        self.assertEqual(1, self.proxy.open)
        self.leave(client)

    def test_half_closed(self) -> None:
        """Who closes its side is answered for a second more, wherever its exchange is; then the upstream is told."""
        self.proxy.connector.mode = "wait"
        acquiring = self.client(GET)
        acquiring.hang_up()
        self.wait(0.9)
        self.assertEqual(("", 0), (acquiring.ended, self.proxy.connector.cancelled))
        self.wait(0.2)
        self.assertEqual(("reset", 1), (acquiring.ended, self.proxy.connector.cancelled))
        self.proxy.connector.mode = "accept"
        for said in (b"", ok(b"a", length=5), ok(b"x" * 1000_000, length=10_000_000)):
            client = self.client(GET)
            client.room = 100
            self.say(self.up, said)
            client.hang_up()
            self.wait(0.9)
            self.assertEqual(("", ""), (client.ended, self.up.ended))
            self.wait(0.2)
            self.assertEqual(("reset", "reset", 0), (client.ended, self.up.ended, self.proxy.open))
        self.assertEqual([(0, "DC"), (0, "DC"), (200, "DC"), (200, "DC")], self.rows)
        self.assertEqual([], self.proxy.sessions)

    def test_half_closed_in_time(self) -> None:
        """Who is answered in that time has the whole answer, however slowly it is taken."""
        client = self.client(GET)
        client.room = 10
        client.hang_up()
        self.wait(0.5)
        self.say(self.up, ok(b"x" * 100_000))
        self.wait(5)
        self.assertEqual("", client.ended)
        client.room = None
        self.assertEqual((ok(b"x" * 100_000), "closed"), (self.heard(client), client.ended))

    def test_half_closed_pipeline(self) -> None:
        """Nor does a burst of requests get more time than one."""
        client = self.client(get("/1") + get("/2") + get("/3"))
        client.hang_up()
        self.wait(0.6)
        self.say(self.up, OK)
        self.wait(0.3)
        self.assertEqual((OK, ""), (self.heard(client), client.ended))
        self.wait(0.2)
        self.assertEqual(("reset", "reset"), (client.ended, self.up.ended))

    def test_half_closed_for_ever(self) -> None:
        """Where there is no limit it takes as long as it takes."""
        self.start(timeouts=replace(self.timeouts, half_closed=None))
        client = self.client(GET)
        client.hang_up()
        self.wait(300, 1)
        self.say(self.up, OK)
        self.assertEqual((OK, "closed", 1), (self.heard(client), client.ended, self.idle))

    def test_half_closed_in_detection(self) -> None:
        """An end that detection has read counts as well."""
        client = self.proxy.client(GET, eof=True)
        self.clients.append(client)
        self.wait(1.1)
        self.assertEqual(("reset", "reset"), (client.ended, self.up.ended))

    def test_half_closed_tunnel(self) -> None:
        """Bytes of another protocol have no such limit."""
        client = self.client(get("web.test:80", method="CONNECT"))
        client.hang_up()
        self.say(self.up, b"HTTP/1.1 200 OK\r\n\r\n")
        self.wait(5)
        self.say(self.up, b"hello")
        self.assertTrue(self.heard(client).endswith(b"hello"))
        self.assertEqual("", client.ended)

    def test_lingering(self) -> None:
        """After the last answer."""
        client = self.client(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual("eof", client.ended)
        self.leave(client)

    def test_gone_before_the_lease(self) -> None:
        """A lease that comes although it was cancelled is given back."""
        from lproxy.testing import ScriptedAcquire

        acquire = ScriptedAcquire()
        acquire.stubborn = True
        self.factory.listener.upstreams.http1 = acquire
        self.leave(self.client(GET))
        self.assertEqual((1, 0), (len(acquire.leases), acquire.open))


class RefusedTests(HttpTestCase):
    """Bad input: an answer, the end, and nothing for the upstream."""

    def refused(self, *data: bytes, status: int = 400, reason: str) -> None:
        """It gets that, on a connection of its own."""
        client = self.client(*data)
        heard = self.heard(client)
        self.assertRegex(heard, b"^HTTP/1.1 %d [^\r]+\r\n" % status)
        self.assertIn(b"\r\nconnection: close\r\n", heard)
        self.assertEqual("eof", client.ended)
        self.assertEqual({reason: 1}, self.rejected)
        self.assertEqual([b""] * len(self.ups), [up.heard for up in self.ups])
        self.assertEqual((status, "IH"), self.rows[-1])
        self.rejected.clear()
        # it is read until it ends, or for a moment, and never reset before it had the answer
        self.say(client, b"more" * 100_000)
        self.assertEqual((0, b""), (client.unread, client.heard))
        self.wait(LINGER + 2)
        self.assertEqual("closed", client.ended)

    def test_heads(self) -> None:
        """Rows of the table (the others are the reader's tests)."""
        self.refused(b"GET / HTTP/1.1\r\n\r\n", reason="host")
        self.refused(post(b"abc", "Transfer-Encoding: chunked"), reason="cl_te")
        self.refused(get("/", "Transfer-Encoding: gzip, chunked"), status=501, reason="te_unknown")
        self.refused(get("/" + "x" * 9000), status=414, reason="too_large")
        self.refused(get("/", "X: " + "x" * 33 * 1024), status=431, reason="too_large")
        self.refused(get(version="2.0"), status=505, reason="req_line")
        self.refused(b"GET / HTTP/1.1\r\nHo", b"st : x\r\n\r\n", reason="hdr_name")

    def test_bodies(self) -> None:
        """A body that is wrong from its beginning is not begun upstream."""
        self.refused(chunked_post(b"0x3\r\nabc\r\n"), reason="chunk_size")
        self.refused(chunked_post(b"3\r\nabcd\r\n"), reason="chunk_end")
        self.refused(chunked_post(b"3\nabc\r\n"), reason="bare_lf")

    def test_bad_body_while_acquiring(self) -> None:
        """Nor one that turned bad while a service was waited for."""
        self.proxy.connector.mode = "wait"
        client = self.client(chunked_post(b"3\r\nab"), b"cd\r\n")
        self.proxy.connector.accept()
        self.assertIn(b" 400 ", self.heard(client))
        self.assertEqual((b"", {"chunk_end": 1}, 0), (self.up.heard, self.rejected, self.proxy.open))

    def test_bad_body_later(self) -> None:
        """A body that turns bad later aborts the upstream's request."""
        client = self.client(chunked_post(b"3\r\nabc\r\n"), b"0x3\r\n")
        self.assertRegex(self.heard(client), b"^HTTP/1.1 400 ")
        self.assertEqual(("eof", "reset"), (client.ended, self.up.ended))
        self.assertEqual([(400, "IH")], self.rows)

    def test_bad_body_behind_the_answer(self) -> None:
        """Where the answer has begun there is no room for another: it has no clean end."""
        client = self.client(chunked_post(b"3\r\nabc\r\n"))
        self.say(self.up, ok(b"ab", length=4))
        self.say(client, b"0x3\r\n")
        self.assertEqual(("reset", "reset"), (client.ended, self.up.ended))
        self.assertEqual([(200, "IH")], self.rows)

    def test_behind_a_good_one(self) -> None:
        """F16: the good one is answered first."""
        client = self.client(GET + b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual((GET, b""), (self.heard(self.up), client.heard))
        self.say(self.up, OK)
        self.assertRegex(self.heard(client), b"^" + OK + b"HTTP/1.1 400 Bad Request\r\n")
        self.assertEqual(("eof", b"", [(200, ""), (400, "IH")]), (client.ended, self.up.heard, self.rows))

    def test_no_such_port(self) -> None:
        """A port that there is not makes a bad host, not a bug."""
        self.start(listen={"target": "authority"})
        for host in (b"web.test:0", b"web.test:99999"):
            client = self.client(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            self.assertRegex(self.heard(client), b"^HTTP/1.1 400 ")
            self.assertEqual("eof", client.ended)
        self.assertEqual({"host": 2}, self.rejected)

    def test_eof_behind_it(self) -> None:
        """A client that has closed its side has nothing more to say: no lingering."""
        client = self.client()
        client.say(b"GET / HTTP/1.1\r\n\r\n")
        client.hang_up()
        self.assertIn(b" 400 ", self.heard(client))
        self.assertEqual("closed", client.ended)


class ExpectTests(HttpTestCase):
    """Expect: 100-continue is the upstream's to answer."""

    head = post(b"", "Expect: 100-continue", length=4)

    def test_continue(self) -> None:
        """It is asked, says go on, and gets the body."""
        client = self.client(self.head)
        self.assertEqual(self.head, self.heard(self.up))
        self.say(self.up, CONTINUE)
        self.assertEqual(CONTINUE, self.heard(client))
        self.say(client, b"body")
        self.assertEqual(b"body", self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual((OK, "", 1), (self.heard(client), client.ended, self.idle))

    def test_final_at_once(self) -> None:
        """R14: a final answer instead is passed on; then both connections are closed, whatever the client sends."""
        for sends in (b"", b"body", b"body" + GET):
            client = self.client(self.head)
            self.say(self.up, ok(b"no", status="417 No"))
            self.assertEqual(ok(b"no", "Connection: close", status="417 No"), self.heard(client))
            self.assertEqual(("reset", "eof"), (self.up.ended, client.ended))
            self.say(client, sends)
            self.wait(LINGER + 2)
            self.assertEqual(("closed", b""), (client.ended, client.heard))

    def test_early_answer_body_follows(self) -> None:
        """Where the body ends before the answer does, it is sent on; the client's connection closes all the same."""
        client = self.client(post(b"ab", length=4))
        self.say(self.up, ok(b"1", length=2))
        self.say(client, b"cd")
        self.assertEqual(post(b"abcd"), self.heard(self.up))
        self.say(self.up, b"2")
        self.assertEqual(ok(b"12", "Connection: close").replace(b"12", b"12"), self.heard(client))
        self.assertEqual("eof", client.ended)


class EarlyTests(HttpTestCase):
    """Answers that are all there before the request is."""

    def test_accepted(self) -> None:
        """Of a body that was accepted the rest goes on to the upstream; the client's connection ends behind it."""
        for status in ("200 OK", "302 Found"):
            client = self.client(post(b"ab", length=6))
            self.say(self.up, ok(b"1", status=status))
            self.assertEqual((ok(b"1", "Connection: close", status=status), ""), (self.heard(client), client.ended))
            self.say(client, b"cd")
            self.assertEqual(post(b"abcd", length=6), self.heard(self.up))
            self.say(client, b"ef")
            self.assertEqual((b"ef", "eof"), (self.heard(self.up), client.ended))
            self.assertEqual(("", 1, 0), (self.up.ended, self.idle, self.proxy.open))
        self.assertEqual([(200, ""), (302, "")], self.rows)

    def test_accepted_chunked(self) -> None:
        """The same in chunks on both sides."""
        client = self.client(chunked_post(b"2\r\nab\r\n"))
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        self.say(self.up, answer + b"\r\n1\r\nx\r\n")
        self.say(self.up, b"0\r\n\r\n")
        self.assertEqual(answer + b"Connection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n", self.heard(client))
        self.say(client, b"1\r\nc\r\n0\r\n\r\n")
        self.assertEqual(chunked_post(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), self.heard(self.up))
        self.assertEqual(("eof", 1), (client.ended, self.idle))

    def test_accepted_and_lost(self) -> None:
        """Whatever becomes of the upstream then, the client has its answer, and is read until it has it."""
        for end in (Peer.hang_up, Peer.reset, lambda up: up.say(b"more")):
            client = self.client(post(b"ab", length=6))
            self.say(self.up, ok(b"1"))
            end(self.up)
            self.settle()
            self.assertEqual((ok(b"1", "Connection: close"), "eof"), (self.heard(client), client.ended))
            self.say(client, b"cd")
            self.assertEqual((0, "eof"), (client.unread, client.ended))
            self.assertEqual((0, 0), (self.proxy.open, self.idle))

    def test_accepted_and_gone(self) -> None:
        """A client that goes then, or whose body turns out to be none, leaves nothing."""
        client = self.client(post(b"ab", length=6))
        self.say(self.up, ok(b"1"))
        client.hang_up()
        self.settle()
        self.assertEqual(("reset", "reset", 0), (client.ended, self.up.ended, self.proxy.open))
        client = self.client(chunked_post(b"2\r\nab\r\n"))
        self.say(self.up, ok(b"1"))
        self.say(client, b"zz\r\n")
        self.assertEqual(("reset", 0, {}), (self.up.ended, self.proxy.open, self.errors))

    def test_accepted_and_slow(self) -> None:
        """The rest has the time that a body has."""
        client = self.client(post(b"ab", length=6))
        self.say(self.up, ok(b"1"))
        self.wait(58)
        self.say(client, b"c")
        self.wait(58)
        self.assertEqual("", client.ended)
        self.wait(4)
        self.assertEqual(("eof", "reset", 0), (client.ended, self.up.ended, self.proxy.open))

    def test_refused(self) -> None:
        """Of one that was refused the rest is read, so that the answer arrives, for as long as it comes."""
        for status in ("413 Too Large", "500 Oops"):
            client = self.client(post(b"ab", length=6_000_000))
            self.say(self.up, ok(b"1", status=status))
            self.assertEqual(("reset", ok(b"1", "Connection: close", status=status)), (self.up.ended, client.heard))
            for _ in range(12):
                self.wait(2)
                self.say(client, b"x" * 10_000)
                self.assertEqual((0, "eof"), (client.unread, client.ended))
            client.hang_up()
            self.settle()
            self.assertEqual("closed", client.ended)

    def test_not_begun(self) -> None:
        """A client that waits for 100 Continue sends no rest: any answer instead is the end."""
        client = self.client(get("/", "Content-Length: 4", "Expect: 100-continue", method="PUT"))
        self.say(self.up, OK)
        self.assertEqual((ok(b"ok", "Connection: close"), "eof"), (self.heard(client), client.ended))
        self.assertEqual("reset", self.up.ended)


class TunnelTests(HttpTestCase):
    """Connections that become another protocol's."""

    upgrade = get("/", "Connection: Upgrade", "Upgrade: websocket")
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

    def test_upgrade(self) -> None:
        """101 joins both, what was said too early included, and each side ends by itself."""
        client = self.client(self.upgrade + b"early")
        self.assertEqual(self.upgrade, self.heard(self.up))
        self.say(self.up, self.switching + b"hello")
        self.assertEqual(self.switching + b"hello", self.heard(client))
        self.assertEqual(b"early", self.heard(self.up))
        self.assertEqual("tunnel", self.session().describe()["state"])
        self.say(client, b"ping")
        self.assertEqual(b"ping", self.heard(self.up))
        client.hang_up()
        self.settle()
        self.assertEqual(("eof", ""), (self.up.ended, client.ended))
        self.say(self.up, b"bye")
        self.up.hang_up()
        self.assertEqual((b"bye", "closed"), (self.heard(client), client.ended))
        self.assertEqual([(101, "")], self.rows)
        self.assertEqual("10.0.0.9:9000", self.proxy.records[0]["upstream"])
        self.assertEqual((0, {}), (self.proxy.open, self.factory.listener.clients))

    def test_refused(self) -> None:
        """Where it is refused it is a request like any other, and HTTP goes on."""
        client = self.client(self.upgrade + get("/next"))
        self.say(self.up, ok(b"no", status="400 No"))
        self.assertEqual(ok(b"no", status="400 No"), self.heard(client))
        self.assertEqual(self.upgrade + get("/next"), self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual((OK, 1), (self.heard(client), len(self.ups)))

    def test_reset_in_it(self) -> None:
        """RST is passed on."""
        for end in range(2):
            client = self.client(self.upgrade)
            self.say(self.up, self.switching)
            (client, self.up)[end].reset()
            self.settle()
            self.assertEqual("reset", (self.up, client)[end].ended)

    def test_gone_already(self) -> None:
        """Where the client's connection breaks as it is told, the upstream's ends as well."""
        client = self.client(self.upgrade)
        stream = self.stream(client)

        def breaks(data: bytes) -> int:
            stream.abort()
            return len(data)

        with patch.object(client, "take", breaks):
            self.say(self.up, self.switching)
        self.assertEqual(("reset", "reset", 0), (client.ended, self.up.ended, self.proxy.open))

    def test_abort(self) -> None:
        """At the end of the drain it ends, and the log says why."""
        client = self.client(self.upgrade)
        self.say(self.up, self.switching)
        self.session().abort()
        self.settle()
        self.assertEqual(("reset", "reset", [(101, "SD")]), (client.ended, self.up.ended, self.rows))

    def test_not_before_the_request_is_sent(self) -> None:
        """An upstream that switches in the middle of a body would have it mean something else."""
        client = self.client(post(b"ab", "Connection: Upgrade", "Upgrade: x", length=4))
        self.say(self.up, b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")

    def test_h2c(self) -> None:
        """h2c would be for one connection only: it is a request without an upgrade."""
        self.client(get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x"))
        self.assertEqual(GET, self.heard(self.up))

    def test_connect_forwarded(self) -> None:
        """On a listener with a target CONNECT is the upstream's affair; its 2xx joins, framing or not."""
        connect = b"CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n"
        client = self.client(connect + b"early")
        self.assertEqual(connect, self.heard(self.up))
        self.say(self.up, b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX: y\r\n\r\nhello")
        self.assertEqual(b"HTTP/1.1 200 Fine\r\nX: y\r\n\r\nhello", self.heard(client))
        self.say(client, b"ping")
        self.assertEqual(b"earlyping", self.heard(self.up))

    def test_connect_refused(self) -> None:
        """Any other answer is one."""
        client = self.client(b"CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n")
        self.say(self.up, ok(b"no", status="403 No"))
        self.assertEqual(ok(b"no", status="403 No"), self.heard(client))
        self.say(client, GET)
        self.say(self.up, OK)
        self.assertEqual((OK, 1), (self.heard(client), len(self.ups)))

    def test_connect(self) -> None:
        """Where requests choose, CONNECT is ours: a connection of its own, joined."""
        self.start(listen={"target": "authority"})
        client = self.client(b"CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\nearly")
        self.assertEqual(b"HTTP/1.1 200 Connection established\r\n\r\n", self.heard(client))
        self.assertEqual(b"early", self.heard(self.up))
        row = self.session().describe()
        self.assertEqual(("tunnel", "db.test:5432", "10.0.0.9:9000"), (row["state"], row["target"], row["upstream"]))
        client.hang_up()
        self.say(self.up, b"pong")
        self.up.hang_up()
        self.assertEqual((b"pong", "closed"), (self.heard(client), client.ended))
        self.assertEqual([(200, "")], self.rows)
        self.assertEqual("10.0.0.9:9000", self.proxy.records[0]["upstream"])

    def test_connect_not_connected(self) -> None:
        """What cannot be connected is answered as any request is, and the client may ask again."""
        self.start(listen={"target": "authority"})
        self.proxy.connector.mode = "refuse"
        client = self.client(b"CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n")
        heard = self.heard(client)
        self.assertRegex(heard, b"^HTTP/1.1 502 Bad Gateway\r\n")
        self.assertIn(b"connect: 10.0.0.9:9000 refused", heard)
        self.proxy.connector.mode = "accept"
        self.say(client, GET)
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))


class BugTests(HttpTestCase):
    """Mistakes of ours."""

    crashed = 1

    def test_before_the_answer(self) -> None:
        """A mistake is a 500 that says nothing, one traceback, and the connection's end."""
        service = Mock(try_acquire=Mock(side_effect=ZeroDivisionError("secret")))
        with patch.object(self.proxy.acquires["http"], "service", service):
            client = self.client(GET + GET)
        heard = self.heard(client)
        self.assertRegex(heard, b"^HTTP/1.1 500 Internal Server Error\r\n")
        self.assertNotIn(b"secret", heard)
        self.assertEqual(("eof", {"bug": 1}, [(500, "BUG")]), (client.ended, self.errors, self.rows))

    def test_dispatching(self) -> None:
        """The same while the request is sent."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.heard(client)
        with patch.object(self.up, "take", side_effect=ZeroDivisionError):
            self.say(client, GET)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 500 ")

    def test_answering(self) -> None:
        """The same where the upstream's answer brought it about."""
        client = self.client(GET)
        with patch.object(client, "take", side_effect=ZeroDivisionError):
            self.say(self.up, OK)
        self.assertEqual("reset", client.ended)

    def test_reading_the_answer(self) -> None:
        """Or before it had begun."""
        client = self.client(GET)
        take, raising = client.take, [ZeroDivisionError]

        def fails_once(data: bytes) -> int:
            if raising:
                raise raising.pop()
            return take(data)

        with patch.object(client, "take", fails_once):
            self.say(self.up, CONTINUE)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 500 ")

    def test_in_the_answer(self) -> None:
        """An answer that has begun has no clean end."""
        self.start(access=Mock(side_effect=ZeroDivisionError))
        client = self.client(GET)
        self.say(self.up, ok(b"ab", length=4))
        self.say(self.up, b"cd")
        self.assertEqual("reset", client.ended)

    def test_unforeseen(self) -> None:
        """Errors that nobody foresaw are mistakes of ours, a cancellation out of nowhere too."""
        from twisted.internet.defer import CancelledError

        self.proxy.fail(CancelledError())
        client = self.client(GET)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 500 ")


class DrainTests(HttpTestCase):
    """The end of the proxy."""

    def drain(self) -> None:
        """As the application does it."""
        self.factory.drain()
        for session in list(self.proxy.sessions):
            session.drain()
        self.settle()

    def test_idle(self) -> None:
        """An idle connection is given a second for what is on its way, and is then closed."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.wait(30)
        self.drain()
        self.wait(0.9)
        self.assertEqual("", client.ended)
        self.wait(0.3)
        self.assertEqual("closed", client.ended)

    def test_on_its_way(self) -> None:
        """What arrives in that second is answered, and the answer says that it is the last."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.heard(client)
        self.drain()
        self.wait(0.8)
        self.say(client, GET)
        self.wait(5)
        self.say(self.up, OK)
        self.assertEqual(ok(b"ok", "Connection: close"), self.heard(client))
        self.wait(0.7)
        self.assertEqual("closed", client.ended)

    def test_at_the_very_moment(self) -> None:
        """What is in the kernel's buffer when the second is over has arrived."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.heard(client)
        self.drain()
        self.wait(0.95)
        client.say(GET)
        self.proxy.reactor.advance(0.1)
        self.settle()
        self.say(self.up, OK)
        self.assertEqual(ok(b"ok", "Connection: close"), self.heard(client))

    def test_active(self) -> None:
        """What is under way is finished, however long it takes; begun answers cannot say that they are the last."""
        a = self.client(GET)
        b = self.client(get("/b"))
        self.say(self.ups[1], ok(b"1", length=2))
        acquiring = self.proxy.connector.mode = "wait"
        c = self.client(get("/c"))
        self.drain()
        self.wait(50)
        self.say(self.ups[0], OK)
        self.say(self.ups[1], b"2")
        self.proxy.connector.accept()
        self.say(self.ups[2], OK)
        self.assertEqual(ok(b"ok", "Connection: close"), self.heard(a))
        self.assertEqual(ok(b"12"), self.heard(b))
        self.assertEqual(ok(b"ok", "Connection: close"), self.heard(c))
        self.wait(2)
        self.assertEqual(["closed"] * 3, [client.ended for client in (a, b, c)])
        self.assertEqual("wait", acquiring)

    def test_half_a_head(self) -> None:
        """A request whose head has begun is waited for."""
        client = self.client(GET[:10])
        self.drain()
        self.wait(3)
        self.say(client, GET[10:])
        self.say(self.up, OK)
        self.assertEqual(ok(b"ok", "Connection: close"), self.heard(client))

    def test_pipelined(self) -> None:
        """Behind the last answer nothing is sent upstream, and no reset overtakes the answer."""
        client = self.client(GET + get("/2"))
        self.drain()
        self.say(self.up, OK)
        self.assertEqual((ok(b"ok", "Connection: close"), "eof"), (self.heard(client), client.ended))
        self.assertEqual(GET, self.heard(self.up))

    def test_our_own_answer(self) -> None:
        """Answers of ours say so, too."""
        self.proxy.connector.mode = "wait"
        client = self.client(GET)
        self.drain()
        self.proxy.connector.refuse()
        self.assertIn(b"\r\nconnection: close\r\n", self.heard(client))

    def test_abort(self) -> None:
        """When the time is over what is left is reset, and the log says why."""
        clients = [self.client(GET), self.client(GET[:5]), self.client(post(b"a", length=2))]
        self.say(self.ups[0], ok(b"1", length=2))
        self.drain()
        for session in list(self.proxy.sessions):
            session.abort()
        self.settle()
        self.assertEqual(["reset"] * 3, [client.ended for client in clients])
        self.assertEqual([(0, "SD"), (200, "SD")], sorted(self.rows))
        self.assertEqual([], self.proxy.sessions)


class BufferTests(HttpTestCase):
    """Limits of what is kept."""

    limits = Limits(buffer=1000)

    def test_settings(self) -> None:
        """limits.buffer is what both connections go by."""
        client = self.client(GET)
        self.assertEqual([1000, 1000], [self.stream(peer).high_water for peer in (client, self.up)])
        client.room = 0
        self.say(self.up, ok(b"x" * 2000, length=200_000))
        self.say(self.up, b"x" * 100)
        self.assertEqual(100, self.up.unread)

    def test_read_ahead(self) -> None:
        """
        Bytes read ahead count, whatever became of others: each answer makes room for what it was an answer to, and no
        more than that is read.
        """
        client = self.client(GET)
        client.say(GET * 1_000_000)
        self.settle()
        unread = client.unread
        for n in range(1, 200):
            self.say(self.up, OK)
            self.assertLess(unread - client.unread, 65536 + n * len(GET))
        client.reset()

    def test_body_read_ahead(self) -> None:
        """The same while a body waits for its upstream."""
        self.proxy.connector.mode = "wait"
        client = self.client()
        client.say(post(b"x" * 1_000_000))
        self.settle()
        self.assertGreater(client.unread, 1_000_000 - 3 * 65536)

    def test_pipelined(self) -> None:
        """Of what is pipelined no more than that is read ahead."""
        client = self.client(GET)
        for _ in range(100):
            self.say(client, GET * 10)
        self.assertGreater(client.unread, 90 * 10 * len(GET))
        for _ in range(1001):
            self.say(self.up, OK)
        self.assertEqual((0, OK * 1001), (client.unread, self.heard(client)))


class SlowTests(HttpTestCase):
    """Clients that take their time, with the default limits."""

    def test_head(self) -> None:
        """A head may take 10 s from its first byte, however it drips: 408, and the end."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.heard(client)
        self.wait(5)
        for byte in GET[:20]:
            self.say(client, bytes([byte]))
            self.wait(0.49)
        self.assertEqual((b"", ""), (client.heard, client.ended))
        self.wait(1.3)
        self.assertRegex(
            self.heard(client), b"^HTTP/1.1 408 Request Timeout\r\n(?s:.*)connection: close\r\n(?s:.*)10 s"
        )
        self.assertEqual("eof", client.ended)
        self.assertEqual(({"slow": 1}, [(200, ""), (408, "SL")]), (self.rejected, self.rows))
        self.wait(LINGER + 2)
        self.assertEqual("closed", client.ended)

    def test_pipelined_head(self) -> None:
        """The beginning of a head that came with the request before is timed from that one's answer."""
        client = self.client(GET + GET[:5])
        self.wait(30)
        self.say(self.up, OK)
        self.wait(9.8)
        self.assertEqual((OK, ""), (self.heard(client), client.ended))
        self.wait(1.5)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 408 ")

    def test_idle(self) -> None:
        """An idle connection is closed after 60 s, without a word, the first byte and each answer beginning anew."""
        silent, client = self.client(), self.client(GET)
        self.wait(40)
        self.say(self.up, OK)
        self.heard(client)
        self.wait(19.5)
        self.assertEqual("", silent.ended)
        self.wait(2)
        self.assertEqual("closed", silent.ended)
        self.wait(38)
        self.assertEqual("", client.ended)
        self.wait(2)
        self.assertEqual(("closed", b"", {}), (client.ended, client.heard, self.rejected))

    def test_request_at_the_last_moment(self) -> None:
        """A request that has arrived when the time is over is answered."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.heard(client)
        self.wait(59.9)
        client.say(GET)
        self.proxy.reactor.advance(3)
        self.settle()
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))

    def test_body(self) -> None:
        """A body may take for ever as long as something comes; after 60 s without a byte it is a 408."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.heard(client)
        self.wait(59)
        self.say(client, post(b"a", length=10))
        for _ in range(4):
            self.wait(58)
            self.assertEqual((b"", ""), (client.heard, client.ended))
            self.say(client, b"b")
        self.wait(62)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 408 ")
        self.assertEqual(("reset", {"slow": 1}, (408, "SL")), (self.ups[-1].ended, self.rejected, self.rows[-1]))

    def test_body_behind_the_answer(self) -> None:
        """Where the answer has begun that cannot be said: the connection has no clean end."""
        client = self.client(post(b"a", length=10))
        self.say(self.up, ok(b"1", length=2))
        self.wait(63)
        self.assertEqual(("reset", "reset"), (client.ended, self.up.ended))
        self.assertEqual([(200, "SL")], self.rows)

    def test_not_its_turn(self) -> None:
        """A client that waits for 100 Continue is not slow, nor one whose upstream takes little at a time."""
        waiting = self.client(post(b"", "Expect: 100-continue", length=4))
        self.wait(200)
        self.say(self.up, b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n", self.heard(waiting))
        blocked = self.client(post(b"", length=1_000_000))
        self.up.room = 0
        self.say(blocked, b"x" * 300_000)
        self.wait(59)
        self.say(waiting, b"b")
        self.up.room = 10
        self.wait(59)
        self.assertEqual(("", b"", "", b""), (waiting.ended, waiting.heard, blocked.ended, blocked.heard))
        self.up.room = 10
        self.wait(3)
        self.assertRegex(self.heard(waiting), b"^HTTP/1.1 408 ")
        self.wait(50)
        self.assertEqual("", blocked.ended)

    def test_body_not_taken(self) -> None:
        """An upstream that takes nothing of a body for 60 s has been sent enough: 504, and the end of both."""
        for room, length in ((0, 1_000_000), (1000, 1_000_000), (1000, 70_000)):
            client = self.client(post(b"", length=length))
            self.up.room = room
            self.say(client, b"x" * min(length, 300_000))
            self.wait(59)
            self.assertEqual(("", b""), (client.ended, client.heard))
            self.wait(3)
            heard = self.heard(client)
            self.assertRegex(heard, b"^HTTP/1.1 504 Gateway Timeout\r\n(?s:.*)connection: close\r\n")
            self.assertIn(b"upstream.test:9000 took nothing of the request's body for 60 s (timeouts.body)", heard)
            self.assertEqual("reset", self.up.ended)
            self.assertEqual(({"body_timeout": 1}, (504, "UT")), (self.errors, self.rows[-1]))
            self.errors.clear()
            self.wait(40)
            self.assertEqual("closed", client.ended)

    def test_body_in_the_kernel(self) -> None:
        """What only our kernel took is not taken; what its kernel has is, however long it thinks about it."""
        client = self.client()
        for unconfirmed, status in ((20, b"504"), (0, b"200")):
            client = self.client(post(b"x" * 100, length=100))
            self.up.unconfirmed = unconfirmed
            self.wait(63)
            if self.up.ended == "":
                self.say(self.up, OK)
            self.assertRegex(self.heard(client), b"^HTTP/1.1 %b " % status)

    def test_body_not_taken_behind_the_answer(self) -> None:
        """Where the answer has begun there is no clean end."""
        client = self.client(post(b"", length=1_000_000))
        self.up.room = 0
        self.say(client, b"x" * 300_000)
        self.say(self.up, ok(b"1", length=2))
        self.wait(63)
        self.assertEqual(("reset", "reset"), (client.ended, self.up.ended))

    def test_reader_of_what_the_kernel_has(self) -> None:
        """Progress is what the client takes, not what fits into the kernel's buffer."""
        client = self.client(GET)
        client.room = 5000
        client.unconfirmed = 4000
        self.say(self.up, ok(b"x" * 100_000, length=1_000_000))
        for _ in range(5):
            self.wait(58)
            client.unconfirmed -= 10
        self.assertEqual("", client.ended)
        self.wait(62)
        self.assertEqual(("reset", {"slow": 1}), (client.ended, self.rejected))

    def test_slow_upload(self) -> None:
        """265 KB at 10 KB/s and an upstream that then thinks twice as long as an acquisition may take: no problem."""
        client = self.client(post(b"", length=265_000))
        for _ in range(265):
            self.wait(0.1)
            self.say(client, b"x" * 1000)
        self.wait(6)
        self.say(self.up, OK)
        self.assertEqual((OK, {}), (self.heard(client), self.errors))

    def test_slow_reader(self) -> None:
        """An answer may take for ever as long as some of it is taken; after 60 s of nothing the connection is reset."""
        client = self.client(GET)
        client.room = 10
        self.say(self.up, ok(b"x" * 100_000, length=1_000_000))
        for _ in range(3):
            self.wait(58)
            client.room = 10
            self.settle()
        self.assertEqual("", client.ended)
        self.wait(62)
        self.assertEqual(("reset", "reset"), (client.ended, self.up.ended))
        self.assertEqual(({"slow": 1}, [(200, "SL")]), (self.rejected, self.rows))

    def test_slow_reader_of_the_last(self) -> None:
        """The same where the answer is complete for us: kept, closing, or refused, it is not held for ever."""
        for request in (GET, get("/", "Connection: close"), b"GET / HTTP/1.1\r\n\r\n", GET * 30_000):
            self.proxy.connector.mode = "refuse"
            client = self.client()
            client.room = 10
            self.say(client, request)
            self.wait(58)
            self.assertNotEqual("reset", client.ended)
            client.room = 10
            self.wait(58)
            self.assertNotEqual("reset", client.ended)
            self.wait(5)
            self.assertEqual("reset", client.ended)
            self.assertEqual(1, self.rejected.pop("slow"))

    def test_last_answer_in_time(self) -> None:
        """Lingering begins when the answer is taken: a slow reader gets all of it."""
        client = self.client(post(b"", length=4))
        client.room = 10
        self.say(self.up, ok(b"x" * 5000, status="413 No"))
        for _ in range(5):
            self.wait(10)
            client.room = 500
        client.room = None
        heard = self.heard(client)
        self.assertEqual((5000, "eof"), (heard.count(b"x"), client.ended))

    def test_no_limits(self) -> None:
        """Both can be turned off."""
        self.start(timeouts=replace(self.timeouts, body=None, write=None))
        body = self.client(post(b"a", length=4))
        reader = self.client(GET)
        reader.room = 10
        self.say(self.up, ok(b"x" * 1000))
        self.wait(300, 1)
        self.assertEqual(("", ""), (body.ended, reader.ended))

    def test_slow_application(self) -> None:
        """An application may take as long as it likes, with every clock as it is by default."""
        client = self.client(GET)
        self.wait(500, 1)
        self.say(self.up, ok(b"1", length=2))
        self.wait(500, 1)
        self.say(self.up, b"2")
        self.assertEqual(ok(b"12"), self.heard(client))

    def test_linger_bounded(self) -> None:
        """Who never stops sending is left behind after a while."""
        client = self.client(b"GET / HTTP/1.1\r\n\r\n")
        for second in range(30):
            self.assertEqual("eof", client.ended, second)
            self.say(client, b"more" * 1000)
            self.wait(1)
        self.wait(2)
        self.assertEqual("closed", client.ended)

    def test_detection_counts(self) -> None:
        """A head's time begins with what detection has heard of it."""
        self.wait(20)
        client = self.proxy.client(GET[:5], since=self.proxy.reactor.seconds() - 8)
        self.clients.append(client)
        self.wait(1)
        self.assertEqual(b"", client.heard)
        self.wait(2.5)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 408 ")
