# -*- test-case-name: tests.protocols.http.h1.test_refuse -*-
"""
Tests for L{lproxy.protocols.http.h1.refuse}, through the reader: what is refused, with which status, under which word.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Limits
from lproxy.protocols.http.h1.read import RequestReader, ResponseReader
from lproxy.protocols.http.message import Rejected, Request

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"\r\n"
LIMITS = Limits()


def read(data: bytes, step: int = 0) -> Request | None:
    """Read a request and its body, C{step} bytes at a time; returns its head, C{None} where there is none yet."""
    reader = RequestReader(LIMITS)
    request = None
    for start in range(0, len(data), step or max(len(data), 1)):
        reader.feed(data[start : start + (step or len(data))])
        if request is None:
            request = reader.head()
        if request is not None:
            while not reader.done and reader.body():
                pass
    return request


#: id of http.md, bytes, status, reason
BAD: tuple[tuple[str, bytes, int, str], ...] = (
    ("F01", POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400, "cl_te"),
    ("F01", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", 400, "cl_te"),
    ("F01", POST + b"transfer-encoding: CHUNKED\r\ncontent-length: 3\r\n\r\nabc", 400, "cl_te"),
    ("F02", POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "cl_dup"),
    ("F02", POST + b"Content-Length: 3\r\ncontent-length: 4\r\n\r\nabc", 400, "cl_dup"),
    ("F01", POST + b"Transfer-Encoding: chunked \r\nContent-Length: 3 \r\n\r\nabc", 400, "cl_te"),
    ("F01", POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\t\r\n\r\nabc", 400, "cl_te"),
    ("F02", POST + b"Content-Length: 3 \r\nContent-Length: 3\r\n\r\nabc", 400, "cl_dup"),
    ("F03", POST + b"Content-Length: 3, 3\r\n\r\nabc", 400, "cl_dup"),
    *(
        ("F04", POST + b"Content-Length: " + length + b"\r\n\r\nabc", 400, "cl_bad")
        for length in (b"+3", b"-3", b"", b"0x3", b"3_0", b"3.0", b"abc", b"3 3", b"\xd9\xa3", b"9" * 30)
    ),
    *(
        ("F05", POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n", 501, "te_unknown")
        for coding in (
            b"xchunked",
            b"identity",
            b"gzip, chunked",
            b"chunked, chunked",
            b",chunked",
            b"chunked;q=1",
            b"gzip",
        )
    ),
    ("F05", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501, "te_unknown"),
    ("F05", POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", 501, "te_unknown"),
    ("F05", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400, "hdr_value"),
    ("F08", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "te_http10"),
    ("F10", b"GET / HTTP/1.1\nHost: a\n\n", 400, "bare_lf"),
    ("F10", b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "bare_lf"),
    ("F10", b"GET / HTTP/1.1\r\nHost: a\r\nb: c\nd: e\r\n\r\n", 400, "bare_lf"),
    ("F10", CHUNKED + b"3\nabc\r\n0\r\n\r\n", 400, "bare_lf"),
    ("F10", CHUNKED + b"3;a=b\nabc\r\n0\r\n\r\n", 400, "bare_lf"),
    ("F11", GET + b"a: b\rc\r\n\r\n", 400, "bare_cr"),
    ("F11", GET + b"a: \rb\r\n\r\n", 400, "bare_cr"),
    *(
        ("F12", CHUNKED + size + b"\r\nabc\r\n0\r\n\r\n", 400, "chunk_size")
        for size in (
            b"0x3",
            b"+3",
            b" 3",
            b"",
            b"3 ",
            b"-3",
            b"3_0",
            b"g",
            b"f" * 16,
            b" 3;a",
            b"3 a;b",
            b"0" * 16 + b"f" * 16,
        )
    ),
    ("F13", CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", 400, "chunk_end"),
    ("F13", CHUNKED + b"3\r\nabc\rX0\r\n\r\n", 400, "chunk_end"),
    ("R01", b"GET / HTTP/1.1\r\n\r\n", 400, "host"),
    ("R01", GET + b"Host: a\r\n\r\n", 400, "host"),
    *(
        ("R01", b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 400, "host")
        for host in (
            b"a/b",
            b"u@a",
            b"a b",
            b":80",
            b"%zz",
            b"a, b",
            b"a:b",
            b"[::1",
            b"a#b",
            b"a?b",
            b"a\\b",
            b"\xc3\xa9.de",
        )
    ),
    ("R03", GET + b"a b: c\r\n\r\n", 400, "hdr_name"),
    ("R03", GET + b"a(: c\r\n\r\n", 400, "hdr_name"),
    ("R03", GET + b"a\xe9: c\r\n\r\n", 400, "hdr_name"),
    ("R03", GET + b": c\r\n\r\n", 400, "hdr_name"),
    ("R03", GET + b"abc\r\n\r\n", 400, "hdr_name"),
    ("R03", GET + b"a : c\r\n\r\n", 400, "hdr_name"),
    ("R03", GET + b"a\0: c\r\n\r\n", 400, "hdr_name"),
    ("R04", GET + b"a: b\0\r\n\r\n", 400, "hdr_value"),
    ("R04", GET + b"a: b\x01c\r\n\r\n", 400, "hdr_value"),
    ("R04", GET + b"a: b\x7fc\r\n\r\n", 400, "hdr_value"),
    ("R04", b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "hdr_value"),
    ("R05", GET + b"a: b\r\n c\r\n\r\n", 400, "obs_fold"),
    ("R05", GET + b"a: b\r\n\tc\r\n\r\n", 400, "obs_fold"),
    ("R05", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "obs_fold"),
    *(
        ("R06", line + b"\r\nHost: a\r\n\r\n", 400, "req_line")
        for line in (
            b"GET\t/\tHTTP/1.1",
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b"GET /",
            b"GET / HTTP/1.2",
            b"GET / HTTP/1.11",
            b"GET / http/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
            b"GET / HTTP/11",
            b"GET / ICE/1.0",
            b"GET / RTSP/1.0",
            b"(GET) / HTTP/1.1",
            b"GET a HTTP/1.1",
            b"GET * HTTP/1.1",
            b"GET ftp://a/ HTTP/1.1",
            b"GET https:///x HTTP/1.1",
            b"GET https://u@a/ HTTP/1.1",
            b"GET http://a%zz/ HTTP/1.1",
            b"GET http:///x HTTP/1.1",
            b"GET http://u@a/ HTTP/1.1",
        )
    ),
    ("R06", b"GET /\r\n", 400, "req_line"),
    ("R07", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "req_line"),
    ("R07", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, "req_line"),
    ("R07", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "req_line"),
    ("R08", GET + b"a: b\r\n" * 100 + END, 431, "too_large"),
    ("R08", GET + b"a: " + b"b" * 33 * 1024 + b"\r\n\r\n", 431, "too_large"),
    ("R08", b"GET /" + b"a" * 9 * 1024 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "too_large"),
    *(
        ("R12", b"CONNECT " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400, "connect")
        for target in (b"/", b"http://a:80/", b"a", b"a:", b"a:0", b"a:70000", b"u@a:80", b"*")
    ),
    ("R12", b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 400, "connect"),
    ("hop", GET + b"Connection: content-length\r\n\r\n", 400, "connection"),
    ("hop", GET + b"Connection: close, Host\r\n\r\n", 400, "connection"),
    ("hop", GET + b"Connection: l5d-client-id\r\n\r\n", 400, "connection"),
    ("hop", GET + b"Connection: keep-alive, X-Forwarded-For\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", 400, "connection"),
    ("hop", GET + b"Connection: X-Real-IP\r\n\r\n", 400, "connection"),
    ("hop", GET + b"Connection: Forwarded\r\n\r\n", 400, "connection"),
    ("hop", GET + b"Connection: x-forwarded-proto, close\r\n\r\n", 400, "connection"),
    ("hop", GET + b"Connection: close\r\nConnection: X-Forwarded-Host\r\n\r\n", 400, "connection"),
    ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "req_line"),
)


class RefusedTests(SynchronousTestCase):
    """Rows of the table of bad input."""

    def outcome(self, data: bytes, step: int = 0) -> tuple[int, str]:
        """Status and reason that C{data} is refused with."""
        refused = self.assertRaises(Rejected, read, data, step)
        self.assertTrue(refused.detail)
        return refused.status, refused.reason

    def test_at_once(self) -> None:
        """Each is refused with its status, under its word."""
        for row, data, status, reason in BAD:
            with self.subTest(row=row, data=data[:80]):
                self.assertEqual((status, reason), self.outcome(data))

    def test_byte_by_byte(self) -> None:
        """However it arrives."""
        for row, data, status, reason in BAD:
            if len(data) < 2_000:
                with self.subTest(row=row, data=data[:80]):
                    self.assertEqual((status, reason), self.outcome(data, 1))

    def test_limits(self) -> None:
        """What is just as large as it may be is taken; one more is not."""
        line = LIMITS.request_line - len(b"GET / HTTP/1.1")
        taken = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
        self.assertIsNotNone(read(taken % (b"a" * line)))
        self.assertEqual((414, "too_large"), self.outcome(taken % (b"a" * (line + 1))))
        self.assertIsNotNone(read(GET + b"a: b\r\n" * 99 + END))
        block = LIMITS.headers - len(b"Host: a\r\nX: ")
        self.assertIsNotNone(read(GET + b"X: " + b"y" * (block - 4) + b"\r\n\r\n"))
        self.assertEqual((431, "too_large"), self.outcome(GET + b"X: " + b"y" * (block + 40) + b"\r\n\r\n"))

    def test_never_ending(self) -> None:
        """A head that never ends is refused once it is too large, whichever part of it grows."""
        self.assertEqual((414, "too_large"), self.outcome(b"GET /" + b"a" * 9_000, 1_000))
        self.assertEqual((431, "too_large"), self.outcome(GET + b"a: " + b"b" * 34_000, 1_000))
        self.assertEqual((431, "too_large"), self.outcome(GET + b"a: b\r\n" * 10_000, 1_000))


class ResponseTests(SynchronousTestCase):
    """What an upstream may not answer."""

    def test_refused(self) -> None:
        """A malformed answer is refused as such, however it arrives."""
        ok = b"HTTP/1.1 200 OK\r\n"
        for data in (
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\nA: b\n\n",
            b"SSH-2.0-OpenSSH\r\n",
            b"\x16\x03\x01",
            b"ICY 200 OK\r\n\r\n",
            b"HTTP/1.1 99 X\r\n\r\n",
            b"HTTP/1.1 2000 X\r\n\r\n",
            b"HTTP/1.1 abc X\r\n\r\n",
            b"HTTP/1.1  200 X\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            ok + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            ok + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
            ok + b"Content-Length: +3\r\n\r\n",
            ok + b"Transfer-Encoding: gzip\r\n\r\n",
            ok + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            ok + b"A: b\r\n c\r\n\r\n",
            ok + b"A: b\0\r\n\r\n",
            ok + b"A b: c\r\n\r\n",
            ok + b"A: b\r\n" * 101 + END,
            ok + b"A: " + b"b" * 50_000 + b"\r\n\r\n",
        ):
            for step in (len(data), 1) if len(data) < 2_000 else (len(data),):
                reader = ResponseReader(LIMITS)
                with self.subTest(data=data[:60], step=step), self.assertRaises(Rejected):
                    for start in range(0, len(data), step):
                        reader.feed(data[start : start + step])
                        reader.head(b"GET", False)
