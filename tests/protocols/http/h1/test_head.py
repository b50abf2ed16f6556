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

    def test_traced(self) -> None:
        """Whether it says something of a trace is seen on the way."""
        for name in (b"TraceParent", b"tracestate", b"B3", b"X-B3-Sampled"):
            self.assertTrue(make_request(b"GET", b"/", 11, [HOST, (name, b"x")])[0].traced)
        self.assertFalse(make_request(b"GET", b"/", 11, [HOST, (b"X-Trace", b"x")])[0].traced)

    def test_framing(self) -> None:
        """A request's body has a length, comes in chunks, or there is none."""
        for field, framing in (
            ((b"A", b"b"), 0),
            ((b"content-LENGTH", b"007"), 7),
            ((b"Transfer-Encoding", b"Chunked"), CHUNKED),
        ):
            self.assertEqual(framing, make_request(b"POST", b"/", 11, [HOST, field])[0].framing)

    def test_blanks(self) -> None:
        """Blanks around what says where a message ends and goes are no part of it, nor passed on."""
        for blanks in (b" ", b"\t", b" \t "):
            headers = [(b"Host", b"a" + blanks), (b"X", b"y "), (b"Content-Length", b"3" + blanks)]
            request = make_request(b"POST", b"/", 11, headers)[0]
            self.assertEqual((3, b"a"), (request.framing, request.authority))
            self.assertEqual([HOST, (b"X", b"y "), (b"Content-Length", b"3")], request.headers)
            fields = self.made((b"Transfer-Encoding", b"chunked" + blanks), method=b"POST")
            self.assertEqual([HOST, (b"Transfer-Encoding", b"chunked")], fields)

    def test_one_length(self) -> None:
        """Two lengths are one too many, whoever has let them pass."""
        length, chunked = (b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")
        for fields, reason in (
            ((length, length), "cl_dup"),
            ((length, chunked), "cl_te"),
            ((chunked, length), "cl_te"),
        ):
            error = self.assertRaises(Rejected, self.made, *fields, method=b"POST")
            self.assertEqual((400, reason), (error.status, error.reason))

    def test_hosts(self) -> None:
        """A Host may be empty, and a port; what it is for goes without the colon then."""
        for host, authority in ((b"", b""), (b"a:", b"a"), (b"[::1]:", b"[::1]"), (b"a:80", b"a:80")):
            request = make_request(b"GET", b"/", 11, [(b"Host", host)])[0]
            self.assertEqual((authority, [(b"Host", host)]), (request.authority, request.headers))

    def test_absolute(self) -> None:
        """A target with an authority decides, and Host has to say the same; https means another port."""
        for url, target, host, authority in (
            (b"http://b/x?y", b"/x?y", b"b", b"b"),
            (b"HTTP://b", b"/", b"b", b"b"),
            (b"http://b:/", b"/", b"b:", b"b"),
            (b"http://b?y", b"/?y", b"b", b"b"),
            (b"https://b/", b"/", b"b", b"b:443"),
            (b"HTTPS://b:/", b"/", b"b:", b"b:443"),
            (b"https://b:81/", b"/", b"b:81", b"b:81"),
        ):
            for fields in ([HOST], [(b"Host", b"")]):
                request = make_request(b"GET", url, 11, list(fields))[0]
                self.assertEqual((target, authority, url), (request.target, request.authority, request.absolute))
                self.assertEqual([(b"Host", host)], request.headers)
        self.assertEqual(b"*", make_request(b"OPTIONS", b"http://b", 11, [HOST])[0].target)
        self.assertEqual(b"", make_request(b"OPTIONS", b"*", 11, [HOST])[0].absolute)

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
        """What an upstream's Connection must not name is the answer's all the same, and the rest of it counts."""
        headers = [(b"Connection", b"content-length, X-A, close"), (b"Content-Length", b"5"), (b"X-A", b"b")]
        response, more = make_response(200, b"OK", 11, headers, b"GET", False)
        self.assertEqual((5, [(b"Content-Length", b"5")], False), (response.framing, response.headers, more))
        headers = [(b"Connection", b"Transfer-Encoding"), (b"Transfer-Encoding", b"chunked")]
        response, more = make_response(200, b"OK", 11, headers, b"GET", False)
        self.assertEqual((CHUNKED, True), (response.framing, more))
        self.assertEqual([(b"Transfer-Encoding", b"chunked")], response.headers)

    def test_proxied(self) -> None:
        """An answer is known to have what only a proxy says, and a challenge that is for its connection."""
        for name, value, status, private, proxied in (
            (b"Proxy-Authenticate", b"Basic", 407, False, True),
            (b"Proxy-Authenticate", b"NTLM", 407, True, True),
            (b"WWW-Authenticate", b"Basic realm=a , nEgotiate", 401, True, False),
            (b"WWW-Authenticate", b"NTLM", 200, False, False),
            (b"Proxy-Authentication-Info", b"x", 200, False, True),
        ):
            response = make_response(status, b"", 11, [(name, value)], b"GET", False)[0]
            self.assertEqual((private, proxied), (response.private, response.proxied), (name, value))
