# -*- test-case-name: tests.protocols.http.h2.test_requests -*-
"""
L{lproxy.protocols.http.h2.requests}: from and to the fields of a stream.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.fields import request_head
from lproxy.protocols.http.h2.requests import answer_fields, make_request, trailer_section, tunnel_fields
from lproxy.protocols.http.message import CHUNKED, Headers, Request, Response

POST: Headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"web.test"), (b":path", b"/a?b")]


def request(*fields: tuple[bytes, bytes], end: bool = False, pseudo: Headers = POST) -> Request:
    """Of those fields."""
    return make_request(5, request_head([*pseudo, *fields], 100, True), end)


class RequestTests(SynchronousTestCase):
    """What goes on."""

    def test_pseudo(self) -> None:
        """The pseudo-fields are the request line; the others are as they came."""
        one = request((b"x", b"y"), (b"x", b"z"), end=True)
        self.assertEqual((b"POST", b"/a?b", b"web.test", 5), (one.method, one.target, one.authority, one.stream_id))
        self.assertEqual([(b"x", b"y"), (b"x", b"z")], one.headers)
        self.assertFalse(one.special or one.private or one.upgrade or one.protocol)

    def test_framing(self) -> None:
        """A length where one was given; else it ends by itself."""
        self.assertEqual(0, request(end=True).framing)
        self.assertEqual(CHUNKED, request().framing)
        self.assertEqual(7, request((b"content-length", b"7")).framing)
        self.assertEqual([(b"content-length", b"7")], request((b"content-length", b"7")).headers)

    def test_connect(self) -> None:
        """CONNECT has no body, and its authority for a target; the extended one a path, and what it asks for."""
        plain = request(pseudo=[(b":method", b"CONNECT"), (b":authority", b"a:1")])
        self.assertEqual((b"a:1", b"a:1", 0, b""), (plain.target, plain.authority, plain.framing, plain.protocol))
        extended = request(pseudo=[(b":method", b"CONNECT"), *POST[1:], (b":protocol", b"websocket")])
        self.assertEqual((b"/a?b", 0, b"websocket"), (extended.target, extended.framing, extended.protocol))

    def test_call(self) -> None:
        """A call of gRPC is known as such, with its deadline; nothing but a POST is one."""
        fields = ((b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"grpc-timeout", b"100m"))
        self.assertEqual((True, 0.1), (request(*fields).grpc, request(*fields).timeout))
        put = request(*fields, pseudo=[(b":method", b"PUT"), *POST[1:]])
        self.assertEqual((False, None), (put.grpc, put.timeout))

    def test_traced(self) -> None:
        """Whether it says something of a trace is seen on the way; it goes on."""
        for name in (b"traceparent", b"tracestate", b"b3", b"x-b3-traceid"):
            self.assertEqual((True, [(name, b"x")]), (request((name, b"x")).traced, request((name, b"x")).headers))
        self.assertFalse(request((b"x-trace", b"x")).traced)

    def test_special(self) -> None:
        """What is said to proxies, or about who somebody is, is found as in HTTP/1."""
        for field, attribute in (
            ((b"authorization", b"NTLM x"), "private"),
            ((b"proxy-authorization", b"Basic x"), "proxied"),
            ((b"proxy-authorization", b"Negotiate x"), "private"),
        ):
            self.assertTrue(getattr(request(field), attribute), field)
        self.assertFalse(request((b"authorization", b"Basic x")).private)
        hops = (b"max-forwards", b"1")
        self.assertFalse(request(hops).hops)
        self.assertTrue(request(hops, pseudo=[(b":method", b"TRACE"), *POST[1:]]).special)

    def test_dropped(self) -> None:
        """What only lproxy says nobody else does."""
        self.assertEqual([(b"x", b"y")], request((b"l5d-client-id", b"admin"), (b"x", b"y")).headers)


class AnswerTests(SynchronousTestCase):
    """What comes back."""

    def fields(self, head: Response, make: Any = answer_fields) -> Headers:
        """Its fields but the first, which is the status."""
        status, *fields = make(head)
        self.assertEqual(b":status", status[0])
        return fields

    def test_http1(self) -> None:
        """Names in lower case, no blanks behind values, and nothing of a connection's."""
        head = Response(200, b"OK", [(b"X-A", b"b \t"), (b"Transfer-Encoding", b"chunked"), (b"Via", b"c")], CHUNKED)
        self.assertEqual([(b"x-a", b"b"), (b"via", b"c")], self.fields(head))

    def test_http2(self) -> None:
        """What came in HTTP/2 is as it is."""
        head = Response(200, b"", [(b"x", b"y")], 0)
        head.http2 = True
        self.assertEqual([(b":status", b"200"), (b"x", b"y")], answer_fields(head))
        self.assertEqual([(b"x", b"y")], head.headers)

    def test_tunnel(self) -> None:
        """A tunnel is a 200, whatever HTTP/1 says, and of its handshake remains what both have."""
        head = Response(
            101,
            b"Switching Protocols",
            [
                (b"Upgrade", b"websocket"),
                (b"Connection", b"Upgrade"),
                (b"Sec-WebSocket-Accept", b"x"),
                (b"Sec-WebSocket-Protocol", b"chat"),
            ],
            0,
        )
        self.assertEqual([(b":status", b"200"), (b"sec-websocket-protocol", b"chat")], tunnel_fields(head))

    def test_trailers(self) -> None:
        """Likewise."""
        self.assertEqual([(b"x-t", b"1")], trailer_section([(b"X-T", b" 1 ")]))
