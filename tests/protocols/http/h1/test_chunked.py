# -*- test-case-name: tests.protocols.http.h1.test_chunked -*-
"""
Tests for L{lproxy.protocols.http.h1.chunked}.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h1.chunked import ChunkedDecoder, encode, encode_end
from lproxy.protocols.http.message import Headers, Rejected
from lproxy.testing import feed_three_ways

NEXT = b"GET / HTTP/1.1\r\n"


def decoder() -> object:
    """A codec for L{feed_three_ways}: data as bytes, then the trailers and what was left, once."""
    chunks = ChunkedDecoder(1024, 8192)
    left = b""

    def feed(data: bytes) -> Iterable[object]:
        nonlocal left
        if chunks.done:
            return
        body, left = chunks.decode(left + data)
        if body:
            yield body
        if chunks.done:
            yield chunks.trailers

    return feed


def joined(events: list[object]) -> list[object]:
    """The body in one piece."""
    body = b"".join(event for event in events if isinstance(event, bytes))
    return [body, *(event for event in events if not isinstance(event, bytes))]


class DecodeTests(SynchronousTestCase):
    """Well-formed bodies."""

    def decoded(self, data: bytes) -> list[object]:
        """Body and trailers of C{data}, which must not depend on how it arrives."""
        return feed_three_ways(decoder, data, NEXT, joined)  # type: ignore[arg-type]

    def test_body(self) -> None:
        """Chunks become a body; sizes are hexadecimal in either case, with any number of zeros; extensions go."""
        self.assertEqual([b"", []], self.decoded(b"0\r\n\r\n"))
        self.assertEqual([b"abc", []], self.decoded(b"3\r\nabc\r\n0\r\n\r\n"))
        self.assertEqual(
            [b"abcdefghijklmnop", []], self.decoded(b"a\r\nabcdefghij\r\n006;x=y\r\nklmnop\r\n000\r\n\r\n")
        )
        self.assertEqual([b"\r\n0\r\n\r\n", []], self.decoded(b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"))
        self.assertEqual([b"x" * 0x1F, []], self.decoded(b'1F;a="b"\r\n' + b"x" * 0x1F + b"\r\n0;last\r\n\r\n"))

    def test_trailers(self) -> None:
        """Trailers come through in order, but those that frame, route or authenticate."""
        data = (
            b"0\r\nX-Sum: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: b\r\nAuthorization: x\r\n"
            b"Set-Cookie: a\r\nl5d-client-id: x\r\nconnection: x\r\ngrpc-status:0\r\nX-Sum: 2\r\n\r\n"
        )
        fields = [(b"X-Sum", b"1"), (b"grpc-status", b"0"), (b"X-Sum", b"2")]
        self.assertEqual([b"", fields], self.decoded(data))

    def test_leftover(self) -> None:
        """What follows the body is not touched."""
        chunks = ChunkedDecoder(1024, 8192)
        self.assertEqual((b"ab", NEXT), chunks.decode(b"2\r\nab\r\n0\r\n\r\n" + NEXT))
        self.assertTrue(chunks.done)

    def test_round_trip(self) -> None:
        """What is encoded is decoded to the same, however it is cut: 200 bodies by a seeded random."""
        random = Random(3)
        for _ in range(200):
            pieces = [random.randbytes(random.randrange(1, 300)) for _ in range(random.randrange(6))]
            trailers: Headers = [(b"X", b"y")] * random.randrange(3)
            wire = b"".join(map(encode, pieces)) + encode_end(trailers)
            chunks, left, body = ChunkedDecoder(1024, 8192), b"", b""
            while wire:
                cut = random.randrange(1, 50)
                data, left = chunks.decode(left + wire[:cut])
                body, wire = body + data, wire[cut:]
            self.assertEqual((b"".join(pieces), trailers, b"", True), (body, chunks.trailers, left, chunks.done))


class RefuseTests(SynchronousTestCase):
    """Bodies that are refused."""

    def reason(self, data: bytes, step: int) -> str:
        """Why C{data} is refused when it comes C{step} bytes at a time."""
        chunks, left = ChunkedDecoder(1024, 8192), b""
        with self.assertRaises(Rejected) as caught:
            for start in range(0, len(data), step):
                _, left = chunks.decode(left + data[start : start + step])
        self.assertEqual(400, caught.exception.status)
        return caught.exception.reason

    def test_reasons(self) -> None:
        """Each defect has its word, however it arrives."""
        for data, reason in (
            (b"x\r\n", "chunk_size"),
            (b"\r\n", "chunk_size"),
            (b"3 \r\nabc", "chunk_size"),
            (b"3\r;a\r\nabc", "bare_cr"),
            (b"3;\0\r\nabc", "chunk_size"),
            (b"3\nabc", "bare_lf"),
            (b"3\r\nabc\n0\r\n\r\n", "bare_lf"),
            (b"3\r\nabc0\r\n\r\n", "chunk_end"),
            (b"0\r\nA: b\n\r\n", "bare_lf"),
            (b"0\r\nA b: c\r\n\r\n", "hdr_name"),
            (b"0\r\nA: b\0\r\n\r\n", "hdr_value"),
            (b"0\r\nA: b\r\n c\r\n\r\n", "obs_fold"),
            (b"0\r\nno colon\r\n\r\n", "hdr_name"),
        ):
            for step in (len(data), 1):
                with self.subTest(data=data, step=step):
                    self.assertEqual(reason, self.reason(data, step))

    def test_limits(self) -> None:
        """A chunk's line and the trailers are bounded to the byte, also while they are incomplete."""
        for extra, ok in ((b"x" * 1021, True), (b"x" * 1022, True), (b"x" * 1023, False), (b"x" * 70_000, False)):
            chunks = ChunkedDecoder(1024, 8192)
            line = b"1;" + extra + b"\r\n"
            if ok:
                self.assertEqual((b"a", b""), chunks.decode(line + b"a"))
            else:
                self.assertEqual("too_large", self.reason(line + b"a", len(line) + 1))
                self.assertEqual("too_large", self.reason(b"1;" + extra + b"x", 1_000))
        self.assertEqual("too_large", self.reason(b"0\r\n" + b"A: b\r\n" * 2_000, 100_000))
        self.assertEqual("too_large", self.reason(b"0\r\n" + b"A: b\r\n" * 2_000, 500))


class SizeTests(SynchronousTestCase):
    """How a chunk's size may be written."""

    def decoded(self, size: bytes, padded: bool, step: int) -> bytes:
        """The data of one chunk of five bytes whose size is written so."""
        decoder = ChunkedDecoder(1024, 1024, padded)
        data, rest, out = size + b"\r\nhello\r\n0\r\n\r\n", b"", b""
        for start in range(0, len(data), step):
            piece, rest = decoder.decode(rest + data[start : start + step])
            out += piece
        self.assertTrue(decoder.done)
        return out

    def test_allowed(self) -> None:
        """Zeros before it, and blanks before an extension; behind it only in answers."""
        for step in (1, 1000):
            for size in (b"5", b"0005", b"0" * 100 + b"5", b"5;a", b"5 ;a=b", b"5\t ; a", b"05 ;a"):
                self.assertEqual(b"hello", self.decoded(size, False, step))
                self.assertEqual(b"hello", self.decoded(size, True, step))
            for size in (b"5 ", b"5\t", b"05    "):
                self.assertEqual(b"hello", self.decoded(size, True, step))
                self.assertRaises(Rejected, self.decoded, size, False, step)

    def test_refused(self) -> None:
        """Nothing else, in either direction."""
        for padded in (False, True):
            for size in (
                b" 5",
                b"5 5",
                b"+5",
                b"0x5",
                b"5_0",
                b"",
                b" ",
                b";a",
                b"0" * 9 + b"f" * 16,
                b"5\x0b",
                b"5 a;b",
            ):
                for step in (1, 1000):
                    self.assertRaises(Rejected, self.decoded, size, padded, step)
