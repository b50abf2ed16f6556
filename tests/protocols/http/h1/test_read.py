# -*- test-case-name: tests.protocols.http.h1.test_read -*-
"""
Tests for L{lproxy.protocols.http.h1.read}: what is read, and what is sent on of it. What is refused: test_refuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Limits
from lproxy.protocols.http.h1.encode import encode_interim, encode_request
from lproxy.protocols.http.h1.read import RequestReader, ResponseReader
from lproxy.protocols.http.message import CHUNKED, UNTIL_CLOSE, Rejected, Request, Response
from lproxy.testing import feed_three_ways

LIMITS = Limits()
NEXT = b"GET /next HTTP/1.1\r\nHost: b\r\n\r\n"


def request_codec() -> Any:
    """A codec for L{feed_three_ways}: the head sent on, then the body, then the trailers; one message."""
    reader = RequestReader(LIMITS)
    state: list[Any] = []

    def feed(data: bytes) -> Iterable[Any]:
        reader.feed(data)
        if not state:
            request = reader.head()
            if request is None:
                return
            state.append(request)
            yield encode_request(request)
            if reader.done:
                state.append("done")
        if len(state) == 1:
            if body := reader.body():
                yield ("body", body)
            if reader.done:
                state.append("done")
                yield ("trailers", reader.trailers)

    return feed


def joined(events: list[Any]) -> list[Any]:
    """The body in one piece."""
    body = b"".join(event[1] for event in events if event[0] == "body")
    return [*(event for event in events if event[0] != "body"), *([body] if body else [])]


class RequestTests(SynchronousTestCase):
    """Requests, as clients send them."""

    def read(self, data: bytes) -> tuple[Request, RequestReader]:
        """The request at the beginning of C{data}, which has to be there."""
        reader = RequestReader(LIMITS)
        reader.feed(data)
        request = reader.head()
        assert request is not None
        return request, reader

    def sent_on(self, data: bytes) -> list[Any]:
        """What goes upstream, which must not depend on how it arrives."""
        return feed_three_ways(request_codec, data, NEXT, joined)

    def test_plain(self) -> None:
        """A request without anything special goes on as it came: order, case and duplicates of its fields."""
        data = b"GET /a%20b?c=d HTTP/1.1\r\nhOST: a\r\nX-B: 1\r\nx-b: 2\r\nAccept: */*\r\nX-Empty: \r\n\r\n"
        self.assertEqual([data], self.sent_on(data))

    def test_hop_by_hop(self) -> None:
        """What is for one connection stays there: Connection, what it names, and the rest of the list."""
        data = (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n"
            b"connection: x-other\r\nX-OTHER: 2\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\n"
            b"B: c\r\n\r\n"
        )
        self.assertEqual([b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n"], self.sent_on(data))
        kept = b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n"
        self.assertEqual([kept], self.sent_on(kept))

    def test_mesh_fields(self) -> None:
        """Nobody from outside speaks as lproxy."""
        data = b"GET / HTTP/1.1\r\nHost: a\r\nl5d-client-id: root\r\nL5D-Proxy-Error: x\r\nB: c\r\n\r\n"
        self.assertEqual([b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n"], self.sent_on(data))

    def test_upgrade(self) -> None:
        """An upgrade is asked for in our name; to h2c it is not."""
        head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
        request, reader = self.read(head + b"early")
        self.assertEqual((True, b"early"), (request.upgrade, reader.take_rest()))
        sent = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        self.assertEqual(sent, encode_request(request))
        request, _ = self.read(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: x\r\n\r\n"
        )
        self.assertEqual((False, [(b"Host", b"a")]), (request.upgrade, request.headers))

    def test_targets(self) -> None:
        """An absolute target decides, and Host says the same; CONNECT and OPTIONS keep their forms."""
        for line, host, target, authority in (
            (b"GET http://b:81/x?y HTTP/1.1", b"a", b"/x?y", b"b:81"),
            (b"GET HTTP://B HTTP/1.1", b"a", b"/", b"B"),
            (b"GET http://b?q HTTP/1.1", b"a", b"/?q", b"b"),
            (b"OPTIONS http://b HTTP/1.1", b"a", b"*", b"b"),
            (b"OPTIONS * HTTP/1.1", b"a", b"*", b"a"),
            (b"CONNECT b:443 HTTP/1.1", b"b:443", b"b:443", b"b:443"),
            (b"GET http://[::1]:8/ HTTP/1.1", b"a", b"/", b"[::1]:8"),
        ):
            with self.subTest(line=line):
                request, _ = self.read(line + b"\r\nHost: " + host + b"\r\n\r\n")
                self.assertEqual((target, authority), (request.target, request.authority))
                want = authority if not line.startswith((b"CONNECT", b"OPTIONS *")) else host
                self.assertEqual([(b"Host", want)], request.headers)

    def test_extension_method(self) -> None:
        """A method that nobody registered is forwarded."""
        for method in (b"FOO", b"X-A", b"get"):
            request, _ = self.read(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual((method, b"/"), (request.method, request.target))

    def test_bodies(self) -> None:
        """Bodies come whole, by their length or in chunks, with trailers; what follows is the next request's."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
        self.assertEqual([head, ("trailers", []), b"hello"], self.sent_on(head + b"hello"))
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        data = head + b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\nSum: 1\r\n\r\n"
        self.assertEqual([head, ("trailers", [(b"Sum", b"1")]), b"hello"], self.sent_on(data))
        empty = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        self.assertEqual([empty], self.sent_on(empty))

    def test_large_body(self) -> None:
        """The request behind a body of any length is read like any other."""
        for size in (1, 4_095, 4_096, 4_097, 70_000):
            request, reader = self.read(
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size + NEXT
            )
            self.assertEqual((size, b"x" * size), (request.framing, reader.body()))
            following = reader.head()
            assert following is not None
            self.assertEqual(b"/next", following.target)

    def test_pipelined(self) -> None:
        """One head at a time: those behind it wait unread, refused ones too."""
        _, reader = self.read(NEXT * 3 + b"BAD\r\n\r\n")
        for left in (2, 1, 0):
            self.assertEqual(left * len(NEXT) + 7, reader.buffered)
            if left:
                reader.head()
        self.assertRaises(Rejected, reader.head)

    def test_leading_empty_line(self) -> None:
        """An empty line before a request is passed over, as RFC 9112, 2.2, asks."""
        request, _ = self.read(b"\r\n" + NEXT)
        self.assertEqual(b"/next", request.target)

    def test_keep_alive(self) -> None:
        """Who keeps the connection: by version and Connection."""
        for version, connection, keep in (
            (b"1.1", b"", True),
            (b"1.1", b"Connection: close\r\n", False),
            (b"1.1", b"Connection: keep-alive, Close\r\n", False),
            (b"1.0", b"", False),
            (b"1.0", b"Connection: Keep-Alive\r\n", True),
            (b"1.0", b"Connection: keep-alive, close\r\n", False),
        ):
            with self.subTest(version=version, connection=connection):
                _, reader = self.read(b"GET / HTTP/" + version + b"\r\nHost: a\r\n" + connection + b"\r\n")
                self.assertEqual(keep, reader.keep_alive)

    def test_http10_without_host(self) -> None:
        """HTTP/1.0 needs no Host."""
        request, reader = self.read(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual((10, b""), (reader.version, request.authority))

    def test_fuzz(self) -> None:
        """
        20,000 mutated requests: each is refused as such, or means the same when it is read again as it was sent on.
        """
        random = Random(11)
        seeds = [
            NEXT,
            b"POST /x HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\nConnection: close, x\r\nX: y\r\n\r\nabc",
            b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: 1\r\n\r\n",
            b"GET http://a/b HTTP/1.0\r\nHost: c\r\nTE: trailers\r\nUpgrade: x\r\n\r\n",
        ]
        parts = [
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
            b"\t",
            b":",
            b"\0",
            b"chunked",
            b"Content-Length: 1\r\n",
            b"Host: z\r\n",
            b"\xff",
            b"0",
        ]
        accepted = 0
        for _ in range(20_000):
            data = bytearray(random.choice(seeds))
            for _ in range(random.randrange(1, 4)):
                at = random.randrange(len(data))
                match random.randrange(3):
                    case 0:
                        data[at] = random.randrange(256)
                    case 1:
                        del data[at : at + random.randrange(1, 4)]
                    case _:
                        data[at:at] = random.choice(parts)
            reader = RequestReader(LIMITS)
            reader.feed(bytes(data))
            try:
                request = reader.head()
                if request is None:
                    continue
                while not reader.done and reader.body():
                    pass
            except Rejected as e:
                self.assertIn(e.status, (400, 414, 431, 501, 505), data)
                continue
            accepted += 1
            again = RequestReader(LIMITS)
            again.feed(encode_request(request))
            same = again.head()
            assert same is not None, data
            self.assertEqual(
                (request.method, request.target, request.headers, request.framing),
                (same.method, same.target, same.headers, same.framing),
                data,
            )
        self.assertGreater(accepted, 1_000)


class LinesTests(SynchronousTestCase):
    """Empty lines and blanks."""

    def test_empty_lines(self) -> None:
        """One or two before a request, whole or in pieces, are passed over."""
        for lines in (b"\r\n", b"\r\n\r\n"):
            for step in (1, 2, 1000):
                reader, data, requests = RequestReader(LIMITS), (lines + NEXT) * 2, []
                for start in range(0, len(data), step):
                    reader.feed(data[start : start + step])
                    if (request := reader.head()) is not None:
                        requests.append(request.target)
                while (request := reader.head()) is not None:
                    requests.append(request.target)
                self.assertEqual([b"/next"] * 2, requests)

    def test_coding_with_blanks(self) -> None:
        """Blanks of every kind around the coding and the length."""
        for blanks in (b" ", b"\t", b" \t ", b""):
            reader = RequestReader(LIMITS)
            coding = blanks + b"chunked" + blanks
            reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:" + coding + b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            request = reader.head()
            assert request is not None
            self.assertEqual((CHUNKED, b"abc"), (request.framing, reader.body()))
            self.assertEqual((b"Transfer-Encoding", b"chunked"), request.headers[1])
            reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:" + blanks + b"3" + blanks + b"\r\n\r\nabc")
            request = reader.head()
            assert request is not None
            self.assertEqual((3, b"abc"), (request.framing, reader.body()))


class ResponseTests(SynchronousTestCase):
    """Responses, as upstreams send them."""

    def read(self, data: bytes, method: bytes = b"GET", upgrading: bool = False) -> tuple[Response, ResponseReader]:
        """The response at the beginning of C{data}, which has to be there."""
        reader = ResponseReader(LIMITS)
        reader.feed(data)
        response = reader.head(method, upgrading)
        assert response is not None
        return response, reader

    def test_framing(self) -> None:
        """Where a response ends: by request and status, then chunks, then length, then the connection."""
        length, chunks = b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"
        for method, status, fields, framing in (
            (b"GET", 200, length, 3),
            (b"GET", 200, b"Content-Length: 0\r\n", 0),
            (b"GET", 200, chunks, CHUNKED),
            (b"GET", 200, b"", UNTIL_CLOSE),
            (b"HEAD", 200, length, 0),
            (b"HEAD", 200, chunks, 0),
            (b"HEAD", 200, b"", 0),
            (b"GET", 204, b"", 0),
            (b"GET", 304, length, 0),
            (b"GET", 100, b"", 0),
            (b"POST", 500, length, 3),
        ):
            with self.subTest(method=method, status=status, fields=fields):
                response, reader = self.read(b"HTTP/1.1 %d X\r\n" % status + fields + b"\r\n", method)
                self.assertEqual((status, framing, framing == 0), (response.status, response.framing, reader.done))

    def test_no_length_without_body(self) -> None:
        """A 204 goes on without a length that it should not have had; HEAD and 304 keep theirs."""
        data = b"HTTP/1.1 %d X\r\nContent-Length: 3\r\n\r\n"
        self.assertEqual([], self.read(data % 204)[0].headers)
        self.assertEqual([(b"Content-Length", b"3")], self.read(data % 304)[0].headers)
        self.assertEqual([(b"Content-Length", b"3")], self.read(data % 200, b"HEAD")[0].headers)

    def test_one_after_the_other(self) -> None:
        """Whatever came before, the next response on the connection is read right."""
        ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        bare = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
        large = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9_000
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        kinds = [(ok, b"GET", b"ok"), (chunked, b"GET", b"ok"), (bare, b"GET", b""), (head, b"HEAD", b"")]
        kinds += [(large, b"GET", b"x" * 9_000), (interim, b"GET", b"")]
        reader = ResponseReader(LIMITS)
        random = Random(5)
        for _ in range(200):
            data, method, body = random.choice(kinds)
            reader.feed(data)
            self.assertIsNotNone(reader.head(method, False))
            got = b""
            while not reader.done and (piece := reader.body()):
                got += piece
            self.assertEqual((body, True, 0), (got, reader.done, reader.buffered))

    def test_until_close(self) -> None:
        """A body without length is complete at the connection's end, one with a length is not before its own."""
        _, reader = self.read(b"HTTP/1.0 200 OK\r\n\r\nabc")
        self.assertEqual((b"abc", False, True, True), (reader.body(), reader.done, reader.eof(), reader.done))
        _, reader = self.read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        self.assertEqual((b"abc", False), (reader.body(), reader.eof()))
        _, reader = self.read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        self.assertEqual((b"abc", False), (reader.body(), reader.eof()))

    def test_hop_by_hop(self) -> None:
        """What is for the upstream's connection stays there, and so does what speaks in lproxy's name."""
        response, _ = self.read(
            b"HTTP/1.1 200 Fine\r\nServer: x\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n"
            b"Keep-Alive: timeout=5\r\nl5d-proxy-error: forged\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n"
        )
        sent = b"HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 0\r\n\r\n"
        self.assertEqual(sent, encode_interim(response))

    def test_keep_alive(self) -> None:
        """Whether the upstream's connection can be used again."""
        for head, keep in (
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
            (b"HTTP/1.1 200 OK\r\n\r\n", False),
        ):
            with self.subTest(head=head):
                self.assertEqual(keep, self.read(head)[1].keep_alive)

    def test_switching(self) -> None:
        """101 keeps its Upgrade; what follows is the other protocol's."""
        response, reader = self.read(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x02hi",
            upgrading=True,
        )
        self.assertEqual([(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")], response.headers)
        self.assertEqual(b"\x81\x02hi", reader.take_rest())

    def test_byte_by_byte(self) -> None:
        """A response may come in pieces of any size."""
        data = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nok"
        for step in range(1, len(data)):
            reader, response, body = ResponseReader(LIMITS), None, b""
            for start in range(0, len(data), step):
                reader.feed(data[start : start + step])
                response = response or reader.head(b"GET", False)
                if response is not None:
                    body += reader.body()
            self.assertEqual((b"ok", True), (body, reader.done))

    def answered(self, head: bytes) -> Response:
        """The answer that C{head} is."""
        reader = ResponseReader(LIMITS)
        reader.feed(head + b"\r\n\r\n")
        response = reader.head(b"GET", False)
        assert response is not None
        return response

    def test_blanks_before_colon(self) -> None:
        """Blanks between a name and its colon are removed (RFC 9112, 5.1), and what the field says counts."""
        response = self.answered(b"HTTP/1.1 200 OK\r\nX-A : b : c\r\nContent-Length\t: 2\r\nX-B: d")
        self.assertEqual(2, response.framing)
        self.assertEqual([(b"X-A", b"b : c"), (b"Content-Length", b"2"), (b"X-B", b"d")], response.headers)

    def test_refused(self) -> None:
        """What cannot be is refused, and what is wrong is said by its name."""
        ok = b"HTTP/1.1 200 OK\r\n"
        for head, says in (
            (b"HTTP/1.1 099 X\r\nA: b", "status 99"),
            (b"HTTP/1.1 000 X\r\nA: b", "status 0"),
            (b"HTTP/1.1 20 X\r\nA: b", "HTTP/1.1 20 X"),
            (b"HTTP/1.1 2000 X\r\nA: b", "HTTP/1.1 2000 X"),
            (b"HTTP/1.1 200 a\x01b\r\nA: b", "reason phrase"),
            (b"HTTP/1.1 200 a\x7fb\r\nA: b", "reason phrase"),
            (ok + b"A b: c", "A b: c"),
            (ok + b"A\0: c", "A\\x00: c"),
            (ok + b"X-Long: a\r\n b", "folded"),
            (ok + b"X-A: b\rc", "X-A"),
            (ok + b"X-A: b\x01c", "X-A"),
            (ok + b"Content-Length: 1\r\nContent-Length : 1", "Content-Length"),
            (ok + b"Content-Length: 1\r\nTransfer-Encoding: chunked", "Content-Length and Transfer-Encoding"),
            (ok + b"Content-Length: x", "Content-Length b'x'"),
            (ok + b"Transfer-Encoding: gzip", "gzip"),
            (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked", "chunked"),
            (ok + b"A: b\nC: d", "bare LF"),
        ):
            with self.subTest(head=head):
                error = self.assertRaises(Rejected, self.answered, head)
                self.assertIn(says, error.what())

    def test_any_status(self) -> None:
        """Three digits are a status, whatever they mean, and a reason may be missing, or in any language."""
        for status in (b"600 x", b"999 x", b"200", b"200 ", b"299 \xe4", b"404 gone\tfor good"):
            self.assertEqual(int(status[:3]), self.answered(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0").status)
