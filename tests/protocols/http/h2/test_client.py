# -*- test-case-name: tests.protocols.http.h2.test_client -*-
"""
L{lproxy.protocols.http.h2.client}: a connection to an upstream that speaks HTTP/2.
"""

from __future__ import annotations

from tests.protocols.http.h2.upstream import Http2UpstreamCase
from tests.protocols.http.harness import GET, get, post


class ExchangeTests(Http2UpstreamCase):
    """Requests of HTTP/1, answered in HTTP/2."""

    def test_get(self) -> None:
        """A request and its answer, as each version has them."""
        client = self.client(get("/a?b=c", "X-Y: z", "Connection: X-Gone, keep-alive", "X-Gone: 1"))
        stream = self.server.last
        fields = [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"web.test"),
            (b":path", b"/a?b=c"),
            (b"x-y", b"z"),
        ]
        self.assertEqual((fields, [stream]), (self.server.fields[stream], self.server.ended))
        self.server.answer(stream, b"hello", ((":status", "200"), ("content-length", "5"), ("x-a", "b")))
        self.assertEqual(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello", self.heard(client))

    def test_unknown_length(self) -> None:
        """A body of unknown length goes in chunks, and its trailers behind them."""
        client = self.client(GET)
        stream = self.server.last
        self.server.head(stream)
        self.server.body(stream, b"hello")
        self.server.head(stream, (("x-sum", "1"), ("content-length", "7")), True)
        self.assertEqual(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
            self.heard(client),
        )

    def test_body(self) -> None:
        """A request's body, with its length and in chunks with trailers."""
        self.client(post(b"hello"))
        server = self.server
        self.assertEqual((b"hello", b"5"), (server.bodies[1], server.requests[1][b"content-length"]))
        self.client(get("/", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n0\r\nX-T: u\r\n\r\n")
        self.assertEqual((b"abc", [(b"x-t", b"u")]), (server.bodies[3], server.trailers[3]))
        self.assertNotIn(b"transfer-encoding", server.requests[3])
        self.assertEqual([1, 3], server.ended)
