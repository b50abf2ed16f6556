# -*- test-case-name: tests.protocols.http.h2.test_outward -*-
"""
L{lproxy.protocols.http.h2.outward}: heads on their way through an upstream that speaks HTTP/2.
"""

from __future__ import annotations

from hpack import NeverIndexedHeaderTuple
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.engine import Head
from lproxy.protocols.http.h2.fields import response_head
from lproxy.protocols.http.h2.outward import answer, request_fields, switching, websocket
from lproxy.protocols.http.message import CHUNKED, UNTIL_CLOSE, Headers, Request

UPGRADE: Headers = [
    (b"Host", b"web.test"),
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"Sec-WebSocket-Version", b"13"),
]


class RequestTests(SynchronousTestCase):
    """Requests as fields."""

    def h1(
        self, *headers: tuple[bytes, bytes], method: bytes = b"GET", target: bytes = b"/", up: bool = False
    ) -> Headers:
        """One that came in HTTP/1."""
        return request_fields(Request(method, target, list(headers), 0, b"web.test:80", up), False)

    def test_http1(self) -> None:
        """Host is :authority; names are in lower case; what HTTP/1 needs for its connections is left out."""
        fields = self.h1(
            (b"Accept", b"*/*"),
            (b"Host", b"Web.Test"),
            (b"Transfer-Encoding", b"chunked"),
            (b"x-a", b"1 \t"),
            (b"X-A", b"2"),
            (b"TE", b"trailers"),
            (b"Content-Length", b"3"),
        )
        pseudo = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"Web.Test"), (b":path", b"/")]
        rest = [(b"accept", b"*/*"), (b"x-a", b"1"), (b"x-a", b"2"), (b"te", b"trailers"), (b"content-length", b"3")]
        self.assertEqual(pseudo + rest, fields)

    def test_ours(self) -> None:
        """What one proxy tells another goes in either version."""
        self.assertEqual((b"l5d-client-id", b"web"), self.h1((b"l5d-client-id", b"web"))[-1])

    def test_scheme(self) -> None:
        """The scheme is that of the upstream's connection."""
        fields = request_fields(Request(b"GET", b"/", [], 0, b"web.test", False), True)
        self.assertIn((b":scheme", b"https"), fields)

    def test_http2(self) -> None:
        """One that came in HTTP/2 goes on as it is, secret fields as such."""
        secret = NeverIndexedHeaderTuple(b"authorization", b"x")
        request = Request(b"POST", b"/a.B/C", [(b"te", b"trailers"), secret], CHUNKED, b"web.test", False)
        request.stream_id = 1
        fields = request_fields(request, False)
        pseudo = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"web.test"), (b":path", b"/a.B/C")]
        self.assertEqual([*pseudo, (b"te", b"trailers"), secret], fields)
        self.assertIs(secret, fields[-1])

    def test_no_host(self) -> None:
        """An empty Host, and none, leave what the request is for."""
        for headers in ([], [(b"Host", b"")]):
            self.assertIn((b":authority", b"web.test:80"), self.h1(*headers))

    def test_targets(self) -> None:
        """OPTIONS * and CONNECT as they are; an absolute one in its parts."""
        self.assertIn((b":path", b"*"), self.h1(method=b"OPTIONS", target=b"*"))
        self.assertEqual(
            [(b":method", b"CONNECT"), (b":authority", b"a.test:443"), (b"x", b"y")],
            self.h1((b"Host", b"a.test:443"), (b"X", b"y"), method=b"CONNECT", target=b"a.test:443"),
        )
        for absolute, scheme, path in (
            (b"http://a.test/b?c=/d", b"http", b"/b?c=/d"),
            (b"HTTPS://a.test", b"https", b"/"),
            (b"http://a.test?b=/c", b"http", b"/?b=/c"),
        ):
            fields = dict(self.h1((b"Host", b"web.test"), target=absolute))
            self.assertEqual((scheme, b"a.test", path), (fields[b":scheme"], fields[b":authority"], fields[b":path"]))

    def test_websocket(self) -> None:
        """A WebSocket is asked for by an extended CONNECT, without what its handshake needs in HTTP/1."""
        fields = self.h1(*UPGRADE, up=True, target=b"/chat")
        self.assertEqual(
            [
                (b":method", b"CONNECT"),
                (b":protocol", b"websocket"),
                (b":scheme", b"http"),
                (b":authority", b"web.test"),
                (b":path", b"/chat"),
                (b"sec-websocket-version", b"13"),
            ],
            fields,
        )

    def test_extended_connect(self) -> None:
        """One that came as such goes on as such."""
        request = Request(b"CONNECT", b"/chat", [(b"origin", b"x")], 0, b"web.test", False)
        request.stream_id, request.protocol = 1, b"websocket"
        fields = request_fields(request, False)
        self.assertEqual([(b":method", b"CONNECT"), (b":protocol", b"websocket")], fields[:2])
        self.assertEqual([(b":authority", b"web.test"), (b":path", b"/chat"), (b"origin", b"x")], fields[3:])

    def test_other_upgrade(self) -> None:
        """An upgrade to anything else is left out, and the request goes on."""
        fields = self.h1((b"Upgrade", b"other/1"), (b"Connection", b"Upgrade"), (b"X", b"y"), up=True)
        self.assertEqual([(b":method", b"GET"), (b"x", b"y")], [fields[0], fields[-1]])
        self.assertEqual(5, len(fields))
        self.assertFalse(websocket(Request(b"GET", b"/", [(b"Upgrade", b"other/1")], 0, b"a", True)))


class AnswerTests(SynchronousTestCase):
    """Answers of fields."""

    def head(self, status: bytes, *fields: tuple[bytes, bytes]) -> Head:
        """As an engine reads it."""
        return response_head([(b":status", status), *fields], 100)

    def test_framing(self) -> None:
        """A length that is said is that; one that is not is unknown; and where there is no body there is none."""
        length = (b"content-length", b"5")
        for status, fields, method, framing, kept in (
            (b"200", [length], b"GET", 5, 1),
            (b"200", [], b"GET", UNTIL_CLOSE, 0),
            (b"200", [length], b"HEAD", 0, 1),
            (b"304", [length], b"GET", 0, 1),
            (b"204", [length], b"GET", 0, 0),
            (b"103", [length], b"GET", 0, 0),
        ):
            response = answer(self.head(status, *fields), method)
            self.assertEqual((framing, kept), (response.framing, len(response.headers)), status)
            self.assertTrue(response.http2)

    def test_reason(self) -> None:
        """HTTP/1 has a reason phrase; of a status that nobody knows it is empty."""
        self.assertEqual(b"Not Found", answer(self.head(b"404"), b"GET").reason)
        self.assertEqual(b"", answer(self.head(b"599"), b"GET").reason)

    def test_never_said(self) -> None:
        """What only proxies of ours say is not believed, and not passed on."""
        response = answer(self.head(b"200", (b"l5d-proxy-error", b"x"), (b"a", b"b"), (b"te", b"trailers")), b"GET")
        self.assertEqual([(b"a", b"b")], response.headers)

    def test_challenges(self) -> None:
        """A challenge that is for a connection is known as such, and a proxy's as that."""
        response = answer(self.head(b"401", (b"www-authenticate", b"Negotiate abc")), b"GET")
        self.assertEqual((True, False), (response.private, response.proxied))
        response = answer(self.head(b"407", (b"proxy-authenticate", b"Basic realm=x")), b"GET")
        self.assertEqual((False, True), (response.private, response.proxied))

    def test_switching(self) -> None:
        """Who asked in HTTP/1 is told so with the proof that RFC 6455 has for that key; who asked in HTTP/2, by 200."""
        head = self.head(b"200", (b"sec-websocket-protocol", b"chat"), (b"content-length", b"0"))
        told = switching(head, Request(b"GET", b"/chat", list(UPGRADE), 0, b"web.test", True))
        self.assertEqual((101, b"Switching Protocols"), (told.status, told.reason))
        self.assertEqual(
            [
                (b"Upgrade", b"websocket"),
                (b"Connection", b"Upgrade"),
                (b"Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                (b"sec-websocket-protocol", b"chat"),
            ],
            told.headers,
        )
        request = Request(b"CONNECT", b"/chat", [], 0, b"web.test", False)
        request.stream_id, request.protocol = 1, b"websocket"
        told = switching(self.head(b"200", (b"a", b"b")), request)
        self.assertEqual((200, [(b"a", b"b")]), (told.status, told.headers))
