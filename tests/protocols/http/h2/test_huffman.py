# -*- test-case-name: tests.protocols.http.h2.test_huffman -*-
"""
Tests for L{lproxy.protocols.http.h2.huffman}.
"""

from __future__ import annotations

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2 import huffman
from lproxy.protocols.http.h2.huffman import decode

encode = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode


class DecodeTests(SynchronousTestCase):
    """Against hpack's own."""

    @given(st.binary(max_size=200))
    def test_back(self, text: bytes) -> None:
        """What is encoded is decoded."""
        self.assertEqual(text, decode(encode(text)))

    @given(st.binary(max_size=12))
    @example(b"\xff\xff\xff\xff")
    @example(b"\x00\xff")
    def test_refused(self, data: bytes) -> None:
        """Whatever else there is, hpack refuses it too: EOS, padding that is too long, or is not its beginning."""
        try:
            wanted: bytes | None = decode_huffman(data)
        except Exception:
            wanted = None
        self.assertEqual(wanted, decode(data))

    def test_rfc(self) -> None:
        """RFC 7541, C.4 and C.6."""
        for code, text in (
            ("f1e3c2e5f23a6ba0ab90f4ff", b"www.example.com"),
            ("a8eb10649cbf", b"no-cache"),
            ("d07abe941054d444a8200595040b8166e082a62d1bff", b"Mon, 21 Oct 2013 20:13:21 GMT"),
        ):
            self.assertEqual(text, decode(bytes.fromhex(code)))

    def test_bounded(self) -> None:
        """What is remembered is bounded in number and in length, and remembering changes nothing."""
        memo = huffman._decoded
        for number in range(5000):
            text = b"%d" % number * 5
            self.assertEqual([text, text], [decode(encode(text)), decode(encode(text))])
            self.assertLessEqual(len(memo), huffman._MEMO)
        decode(encode(b"x" * 1000))
        self.assertLessEqual(max(map(len, memo)), huffman._SHORT)
