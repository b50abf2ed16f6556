# -*- test-case-name: tests.protocols.http.h1.test_head -*-
"""
Tests for L{lproxy.protocols.http.h1.head}: what becomes of the lines of a head. Whole messages: test_read, test_refuse.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h1.head import make_request, make_response
from lproxy.protocols.http.message import CHUNKED, UNTIL_CLOSE, Headers, Rejected

HOST = (b"Host", b"a")


class RequestTests(SynchronousTestCase):
    """Heads of requests."""

    def made(self, *fields: tuple[bytes, bytes], method: bytes = b"GET", url: bytes = b"/") -> Headers:
        """What is sent on of a request with C{fields} besides Host."""
        return make_request(method, url, 11, [HOST, *fields])[0].headers

    def test_as_it_came(self) -> None:
        """Where nothing has to be taken out, the very list goes on."""
        headers = [HOST, (b"A", b"b"), (b"X-Forwarded-For", b"1.2.3.4"), (b"A", b"c"), (b"traceparent", b"00-1-2-01")]
        self.assertIs(headers, make_request(b"GET", b"/", 11, headers)[0].headers)

    def test_taken_out(self) -> None:
        """In whatever case it is written, what is for one connection is taken out, and no more."""
        for name, value in (
            (b"Connection", b"close"),
            (b"CONNECTION", b"keep-alive"),
            (b"Keep-Alive", b"5"),
            (b"proxy-connection", b"close"),
            (b"TE", b"gzip"),
            (b"upgrade", b"websocket"),
            (b"l5d-anything", b"x"),
            (b"L5d-Client-Id", b"x"),
        ):
            with self.subTest(name=name):
                self.assertEqual([HOST, (b"A", b"b")], self.made((name, value), (b"A", b"b")))

    def test_framing(self) -> None:
        """A request's body has a length, comes in chunks, or there is none."""
        for field, framing in (
            ((b"A", b"b"), 0),
            ((b"content-LENGTH", b"007"), 7),
            ((b"Transfer-Encoding", b"Chunked"), CHUNKED),
        ):
            self.assertEqual(framing, make_request(b"POST", b"/", 11, [HOST, field])[0].framing)

    def test_connect_by_authority(self) -> None:
        """CONNECT goes where its target says, whatever Host says."""
        self.assertEqual(b"b:443", make_request(b"CONNECT", b"b:443", 11, [HOST])[0].authority)

    def test_upgrade_needs_both(self) -> None:
        """An upgrade needs Upgrade, Connection naming it, and HTTP/1.1."""
        up, connection = (b"Upgrade", b"websocket"), (b"Connection", b"x, UPGRADE")
        self.assertTrue(make_request(b"GET", b"/", 11, [HOST, up, connection])[0].upgrade)
        self.assertFalse(make_request(b"GET", b"/", 11, [HOST, up])[0].upgrade)
        self.assertFalse(make_request(b"GET", b"/", 11, [HOST, connection])[0].upgrade)
        self.assertFalse(make_request(b"GET", b"/", 10, [HOST, up, connection])[0].upgrade)


class ResponseTests(SynchronousTestCase):
    """Heads of responses."""

    def test_framing(self) -> None:
        """Without length or chunks, an answer ends with its connection."""
        self.assertEqual(UNTIL_CLOSE, make_response(200, b"OK", 11, [], b"GET", False)[0].framing)
        self.assertEqual(0, make_response(304, b"", 11, [(b"Content-Length", b"5")], b"GET", False)[0].framing)

    def test_identity_not_dropped(self) -> None:
        """An upstream cannot have its framing dropped on the way."""
        headers = [(b"Connection", b"content-length"), (b"Content-Length", b"5")]
        self.assertRaises(Rejected, make_response, 200, b"OK", 11, headers, b"GET", False)
