# -*- test-case-name: tests.protocols.http.test_detect -*-
"""
Tests for L{lproxy.protocols.http.detect}. Its laws are in tests.testing.test_detectors, its precision in test_corpus.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import NeedMore, NoMatch
from lproxy.protocols.http.detect import HTTP1, HTTP2, PREFACE, detect


class DetectTests(SynchronousTestCase):
    """What is HTTP, what is not, and when it is clear."""

    def decided_at(self, data: bytes) -> tuple[object, int]:
        """The verdict on C{data} as it comes byte by byte, and how many of them it took."""
        for end in range(len(data) + 1):
            verdict = detect(data[:end])
            if not isinstance(verdict, NeedMore):
                return verdict, end
        return verdict, -1

    def test_requests(self) -> None:
        """A request of a registered method is recognised by the first byte that only HTTP has there."""
        for data, known in (
            (b"GET / HTTP/1.1\r\n", b"GET /"),
            (b"POST /x", b"POST /"),
            (b"PROPFIND /x", b"PROPFIND /"),
            (b"VERSION-CONTROL /x", b"VERSION-CONTROL /"),
            (b"GET http://a/ HTTP/1.1", b"GET http://"),
            (b"GET HTTPS://a/ HTTP/1.1", b"GET HTTPS://"),
            (b"CONNECT a.b:443 HTTP/1.1", b"CONNECT a.b:4"),
            (b"CONNECT [::1]:443 HTTP/1.1", b"CONNECT [::1]:4"),
            (b"OPTIONS * HTTP/1.1\r\n", b"OPTIONS * HTTP/1.1\r\n"),
            (b"\r\nGET /", b"\r\nGET /"),
        ):
            with self.subTest(data=data):
                self.assertEqual((HTTP1, len(known)), self.decided_at(data))

    def test_wrong_requests(self) -> None:
        """What is HTTP and wrong is HTTP's to refuse, never somebody else's to receive as bytes."""
        for data in (
            b"GET  / HTTP/1.1\r\n",
            b"GET\t/\tHTTP/1.1\r\n",
            b"GET /\r\n",
            b"GET /\xff HTTP/1.1\r\n",
            b"GET / HTTP/1.1\nHost: a\n\n",
            b"GET / HTTP/2.0\r\n",
            b"CONNECT / HTTP/1.1\r\n",
            b"CONNECT a HTTP/1.1\r\n",
            b"POST * HTTP/1.1\r\n",
        ):
            with self.subTest(data=data):
                self.assertEqual(HTTP1, self.decided_at(data)[0])

    def test_extension_methods(self) -> None:
        """A method of one's own needs its line; in capitals, or it is a word like any other."""
        self.assertEqual((HTTP1, 18), self.decided_at(b"FOO /bar HTTP/1.1\n"))
        self.assertEqual((HTTP1, 21), self.decided_at(b"BREW-IT /x HTTP/1.1\r\n"))
        self.assertEqual((NoMatch(), 10), self.decided_at(b"FOO /bar xTTP/1.1\r\n"))

    def test_other_text(self) -> None:
        """Text that cannot become a request is let go at the byte that says so, not at a newline that may not come."""
        for data, known in (
            (b"hello", b"hel"),
            (b"bytes of no protocol", b"by"),
            (b"EHLO mail\r\n", b"EHLO mail\r\n"),
            (b"PING\r\n", b"PING\r"),
            (b"USER anon and more", b"USER anon a"),
            (b"GET key\r\n", b"GET key\r\n"),
            (b"get key\r\n", b"get key\r\n"),
            (b"OPTIONS rtsp://a RTSP/1.0\r\n", b"OPTIONS rtsp://a R"),
            (b"INVITE sip:a SIP/2.0\r\n", b"INVITE sip:a S"),
            (b"SSH-2.0-x\r\n", b"SSH-2."),
            (b"A" * 40, b"A" * 33),
        ):
            with self.subTest(data=data):
                self.assertEqual((NoMatch(), len(known)), self.decided_at(data))

    def test_empty_lines(self) -> None:
        """One may come before a request; two are somebody else's."""
        self.assertEqual(NoMatch(), self.decided_at(b"\r\n\r\n")[0])
        self.assertEqual(HTTP1, self.decided_at(b"\r\nGET / HTTP/1.1\r\n")[0])

    def test_words(self) -> None:
        """A word that ends before a space is none of HTTP's, at once."""
        for data in (b"HELLO\r\n", b"STATUS\n", b"GET\r\n", b"QUIT\r\n", b"x\n"):
            self.assertEqual(NoMatch(), detect(data), data)

    def test_doubtful(self) -> None:
        """What begins like no method that is registered, in capitals, is hardly HTTP, but can still be."""
        for data in (b"HELLO", b"c", b"get", b"\r\n", b"\r\nHELLO", b"\r"):
            self.assertEqual(NeedMore(len(data) + 1, doubtful=True), detect(data), data)
        for data in (b"", b"GE", b"\r\nPOS", b"CONNECT", b"HELLO ", b"HELLO /x HT"):
            self.assertEqual(NeedMore(len(data) + 1), detect(data), data)

    def test_binary(self) -> None:
        """No byte that begins something else is waited behind."""
        for first in range(256):
            byte = bytes([first])
            if byte.isalnum() or byte in b"-_\r":
                continue
            self.assertEqual(NoMatch(), detect(byte), byte)

    def test_http2(self) -> None:
        """The HTTP/2 preface is named as soon as it is whole."""
        self.assertEqual((HTTP2, len(PREFACE)), self.decided_at(PREFACE + b"\0\0\0"))
        self.assertTrue(HTTP2.spoken)
