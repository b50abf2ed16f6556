# -*- test-case-name: tests.protocols.http.h1.test_encode -*-
"""
L{lproxy.protocols.http.h1.encode}: heads as bytes.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h1.encode import encode_interim, encode_request, encode_response
from lproxy.protocols.http.message import CHUNKED, UNTIL_CLOSE, Headers, Request, Response


class EncodeTests(SynchronousTestCase):
    """Each head, and what the connection adds to it."""

    def response(self, framing: int, version: int = 11, last: bool = False, ours: bool = False) -> Headers:
        """The fields of a response with a field of its own, and a coding where it has one."""
        fields: Headers = [(b"A", b"b")]
        if framing == CHUNKED:
            fields.append((b"transfer-encoding", b"chunked"))
        data = encode_response(Response(200, b"Fine", fields, framing, ours), version, last)
        line, *lines = data.split(b"\r\n")
        self.assertEqual((b"HTTP/1.1 200 Fine", [b"", b""]), (line, lines[-2:]))
        return [(name, value) for name, _, value in (line.partition(b": ") for line in lines[:-2])]

    def test_request(self) -> None:
        """Whatever the client spoke, the upstream is spoken to in HTTP/1.1; fields keep order, case and duplicates."""
        head = Request(b"GET", b"/a?b", [(b"hOST", b"x"), (b"B", b""), (b"b", b"2")], 0, b"x", False)
        self.assertEqual(b"GET /a?b HTTP/1.1\r\nhOST: x\r\nB: \r\nb: 2\r\n\r\n", encode_request(head))

    def test_request_of_http2(self) -> None:
        """One that came in HTTP/2 has neither Host nor a coding, and gets them."""
        head = Request(b"POST", b"/a", [(b"b", b"1")], CHUNKED, b"web.test", False)
        head.stream_id = 1
        self.assertEqual(
            b"POST /a HTTP/1.1\r\nhost: web.test\r\ntransfer-encoding: chunked\r\nb: 1\r\n\r\n", encode_request(head)
        )
        head.framing = 3
        head.name_host(b"other.test")
        self.assertEqual(b"POST /a HTTP/1.1\r\nhost: other.test\r\nb: 1\r\n\r\n", encode_request(head))

    def test_interim(self) -> None:
        """1xx has its own fields and no more."""
        self.assertEqual(
            b"HTTP/1.1 103 Early\r\nA: b\r\n\r\n", encode_interim(Response(103, b"Early", [(b"A", b"b")], 0))
        )

    def test_as_it_is(self) -> None:
        """Where the length is known and the connection goes on there is nothing to add."""
        self.assertEqual([(b"A", b"b")], self.response(2))

    def test_last(self) -> None:
        """The end of the connection is announced, in the spelling of the head's other fields."""
        self.assertEqual([(b"A", b"b"), (b"Connection", b"close")], self.response(2, last=True))
        self.assertEqual([(b"A", b"b"), (b"connection", b"close")], self.response(2, last=True, ours=True))

    def test_unknown_length(self) -> None:
        """A body that ends with the upstream's connection goes in chunks."""
        self.assertEqual([(b"A", b"b"), (b"Transfer-Encoding", b"chunked")], self.response(UNTIL_CLOSE))
        self.assertEqual([(b"A", b"b"), (b"transfer-encoding", b"chunked")], self.response(CHUNKED))

    def test_http10(self) -> None:
        """HTTP/1.0 is told that the connection goes on, and of no coding that it does not know."""
        self.assertEqual([(b"A", b"b"), (b"Connection", b"keep-alive")], self.response(2, 10))
        for framing in (CHUNKED, UNTIL_CLOSE):
            self.assertEqual([(b"A", b"b"), (b"Connection", b"close")], self.response(framing, 10, True))
