# -*- test-case-name: tests.protocols.http.h2.test_hpack -*-
"""
Tests for L{lproxy.protocols.http.h2.hpack}.
"""

from __future__ import annotations

from typing import Any

import hpack
from hpack import NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.faults import COMPRESSION_ERROR, ConnectionFault
from lproxy.protocols.http.h2.hpack import ONCE, TABLE_SIZE, Decoder, Encoder, integer
from tests.protocols.http.h2.rfc7541 import EVICTING_ANSWERS, REQUESTS

NAMES = st.sampled_from([b":path", b":status", b"a", b"x-long-name", b"cookie", b"set-cookie", b"authorization"])
VALUES = st.one_of(st.sampled_from([b"", b"/", b"200", b"a=1; b=2", b"x" * 100]), st.binary(max_size=20))
SECTIONS = st.lists(st.lists(st.tuples(NAMES, VALUES), max_size=6), max_size=8)


def crumbled(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What the encoder says of C{fields}: cookies in crumbs, no blanks around."""
    return [
        (name, crumb)
        for name, value in fields
        for crumb in (value.strip(b" \t").split(b"; ") if name == b"cookie" else [value.strip(b" \t")])
    ]


class IntegerTests(SynchronousTestCase):
    """RFC 7541, C.1."""

    def test_rfc(self) -> None:
        """Its examples."""
        self.assertEqual(b"\x0a", integer(10, 5, 0))
        self.assertEqual(b"\x1f\x9a\x0a", integer(1337, 5, 0))
        self.assertEqual(b"\x2a", integer(42, 8, 0))
        self.assertEqual(b"\x9f\x00", integer(31, 5, 0x80))


class DecoderTests(SynchronousTestCase):
    """What peers encode."""

    def setUp(self) -> None:
        self.decoder = Decoder(32 * 1024)

    def refused(self, *blocks: str) -> str:
        """What is said of the last of C{blocks}, in hexadecimal."""
        decoder = Decoder(32 * 1024)
        for block in blocks[:-1]:
            decoder.decode(bytes.fromhex(block))
        fault = self.assertRaises(ConnectionFault, decoder.decode, bytes.fromhex(blocks[-1]))
        self.assertEqual(COMPRESSION_ERROR, fault.code)
        return fault.detail

    def test_rfc(self) -> None:
        """RFC 7541, C.3 to C.6: requests and answers in a row, with and without Huffman coding, tables included."""
        for sections in (*REQUESTS, *EVICTING_ANSWERS):
            decoder = Decoder(32 * 1024)
            if sections in EVICTING_ANSWERS:
                decoder.decode(integer(256, 5, 0x20))
            for block, fields in sections:
                self.assertEqual(fields, decoder.decode(bytes.fromhex(block)))

    @given(SECTIONS, st.lists(st.integers(0, TABLE_SIZE), max_size=3), st.booleans())
    def test_theirs(self, sections: list[list[tuple[bytes, bytes]]], sizes: list[int], huffman: bool) -> None:
        """What hpack encodes, tables of other sizes included."""
        encoder, decoder = hpack.Encoder(), Decoder(32 * 1024)
        for fields in sections:
            if sizes:
                encoder.header_table_size = sizes.pop()
            self.assertEqual(fields, decoder.decode(encoder.encode(fields, huffman)))

    @given(st.lists(st.binary(max_size=30), max_size=4))
    def test_anything(self, blocks: list[bytes]) -> None:
        """Whatever comes is decoded as hpack does, or refused with COMPRESSION_ERROR, and nothing else is raised."""
        ours, theirs = Decoder(32 * 1024), hpack.Decoder()
        for block in blocks:
            try:
                wanted: Any = [tuple(field) for field in theirs.decode(block, raw=True)]
            except (hpack.HPACKError, IndexError):
                wanted = None
            try:
                got: Any = [tuple(field) for field in ours.decode(block)]
            except ConnectionFault as fault:
                self.assertEqual(COMPRESSION_ERROR, fault.code)
                got = None
            self.assertEqual(wanted, got)
            if got is None:
                return

    def test_cut(self) -> None:
        """A section that ends too early is refused wherever it was cut, unless that is between fields."""
        block = bytes.fromhex("828684410f7777772e6578616d706c652e636f6d")
        whole = {0, 1, 2, 3, len(block)}
        for size in range(len(block) + 1):
            if size in whole:
                Decoder(1000).decode(block[:size])
            else:
                self.refused(block[:size].hex())

    def test_refused(self) -> None:
        """Entries that are not there, integers without end, tables that are too large or change too late."""
        self.assertIn("no entry 0", self.refused("80"))
        self.assertIn("no entry 62", self.refused("be"))
        self.assertIn("no entry 62", self.refused("7e0161"))
        self.assertIn("no entry 63", self.refused("400161016282", "bf"))
        self.assertIn("integer", self.refused("ff8080808001"))
        self.assertIn("integer", self.refused("ffff"))
        self.assertIn("integer", self.refused("007fffffffffff"))
        self.assertIn("table", self.refused("3fe21f"))
        self.assertIn("behind", self.refused("8220"))
        self.assertIn("Huffman", self.refused("0081ff8161"))
        self.assertIn("ends too early", self.refused("0003616263"))

    def test_never_indexed(self) -> None:
        """What is never to be indexed is marked, and in no table (6.2.3)."""
        fields = self.decoder.decode(bytes.fromhex("100870617373776f726406736563726574") + b"\x00\x01a\x01b")
        self.assertEqual([NeverIndexedHeaderTuple, tuple], [type(field) for field in fields])
        self.assertEqual(("password", 0), (fields[0][0].decode(), self.decoder.changes))

    def test_changes(self) -> None:
        """The same bytes mean the same as long as nothing has changed."""
        self.decoder.decode(b"\x82\x86\x04\x01/\x10\x01a\x01b")
        self.assertEqual(0, self.decoder.changes)
        for block in (b"\x40\x01a\x01b", b"\x3e"):
            before = self.decoder.changes
            self.decoder.decode(block)
            self.assertGreater(self.decoder.changes, before)

    def test_evicted(self) -> None:
        """The oldest entries give way, and one that is larger than the table empties it (4.4)."""
        decoder = self.decoder
        for number in range(100):
            decoder.decode(b"\x40\x02%02d\x32" % number + b"x" * 50)
        self.assertEqual(b"99", decoder.decode(b"\xbe")[0][0])
        self.assertEqual(48, TABLE_SIZE // 84)
        self.assertEqual(b"52", decoder.decode(b"\xed")[0][0])
        self.assertRaises(ConnectionFault, decoder.decode, b"\xee")
        decoder.decode(b"\x40\x01a" + integer(5000, 7, 0) + b"x" * 5000)
        self.assertRaises(ConnectionFault, decoder.decode, b"\xbe")

    def test_oversized(self) -> None:
        """Over the limit a section is decoded, for its table, but not kept; four times the limit is a bomb."""
        decoder = Decoder(1000)
        fields = decoder.decode(b"\x40\x01a\x7f\x00" + b"x" * 127 + b"\xbe" * 10)
        self.assertTrue(decoder.oversized)
        self.assertLessEqual(sum(len(name) + len(value) + 32 for name, value in fields), 1000)
        self.assertEqual(1, len(decoder.decode(b"\xbe")))
        self.assertFalse(decoder.oversized)
        bomb = b"\xbe" * 100_000
        self.assertIn("more than 4000 bytes", self.assertRaises(ConnectionFault, decoder.decode, bomb).detail)


class EncoderTests(SynchronousTestCase):
    """What we encode."""

    def setUp(self) -> None:
        self.encoder, self.theirs = Encoder(), hpack.Decoder()

    def said(self, fields: list[Any]) -> list[Any]:
        """What hpack understands of it."""
        return list(self.theirs.decode(self.encoder.encode(fields), raw=True))

    @given(SECTIONS, st.lists(st.integers(0, 2 * TABLE_SIZE), max_size=6))
    def test_understood(self, sections: list[list[tuple[bytes, bytes]]], sizes: list[int]) -> None:
        """hpack understands it, whatever sizes of tables it allows meanwhile."""
        encoder, theirs = Encoder(), hpack.Decoder()
        for fields in sections:
            for size in sizes[:2]:
                encoder.resize(size)
                theirs.max_allowed_table_size = size
            del sizes[:2]
            self.assertEqual(crumbled(fields), list(theirs.decode(encoder.encode(fields), raw=True)))

    def test_learns(self) -> None:
        """What comes twice is in the table then; what differs each time never is, and displaces nothing."""
        constant = [(b"user-agent", b"grpc-go/1.68.0"), (b"te", b"trailers"), (b":path", b"/svc/Method")]
        for number in range(1000):
            block = self.encoder.encode([*constant, (b"grpc-timeout", b"%du" % number), (b"x", b"%d" % number)])
            self.theirs.decode(block)
            if number > 1:
                self.assertEqual(b"\xc0\xbf\xbe", block[:3])
        self.assertEqual(3, len(self.theirs.header_table.dynamic_entries))

    def test_far(self) -> None:
        """Entries far back in a full table are still found: an index of two bytes."""
        fields = [(b"a%d" % number, b"") for number in range(110)]
        for _ in range(2):
            self.assertEqual(fields, self.said(fields[:60]) + self.said(fields[60:]))
        for field in fields:
            self.assertEqual([field], self.said([field]))
            self.assertLessEqual(len(self.encoder.encode([field])), 2)

    def test_static(self) -> None:
        """What the static table has is one byte."""
        self.assertEqual(
            b"\x82\x87\x84", self.encoder.encode([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/")])
        )

    def test_secret(self) -> None:
        """Credentials, short cookies and what came so are never indexed, however often they are sent."""
        fields = [
            (b"authorization", b"Bearer abc"),
            (b"proxy-authorization", b"x"),
            (b"cookie", b"a=1"),
            NeverIndexedHeaderTuple(b"x-token", b"y"),
        ]
        for _ in range(3):
            self.assertEqual([NeverIndexedHeaderTuple] * 4, [type(field) for field in self.said(fields)])
        self.assertEqual(0, len(self.theirs.header_table.dynamic_entries))
        # the same by name and value, but no secret
        for _ in range(3):
            self.said([(b"x-token", b"y")])
        self.assertIs(NeverIndexedHeaderTuple, type(self.said([fields[3]])[0]))

    def test_cookies(self) -> None:
        """A long cookie goes in crumbs, each of which may come again; a secret one in secret crumbs."""
        cookie = b"session=0123456789abcdef; theme=dark; id=1"
        self.assertEqual(crumbled([(b"cookie", cookie)]), self.said([(b"cookie", cookie)]))
        secret = self.said([NeverIndexedHeaderTuple(b"cookie", cookie)])
        self.assertEqual([NeverIndexedHeaderTuple] * 3, [type(field) for field in secret])

    def test_blanks(self) -> None:
        """Blanks around values, which HTTP/1 knows, are not sent."""
        self.assertEqual([(b"a", b"b c"), (b"d", b"")], self.said([(b"a", b" b c\t"), (b"d", b"  ")]))

    def test_resized(self) -> None:
        """Sizes that a peer allows are acknowledged in the next section: the smallest, then what it is (4.2)."""
        self.said([(b"a", b"b")])
        self.said([(b"a", b"b")])
        self.encoder.resize(0)
        self.encoder.resize(100)
        self.assertEqual(b"\x20\x3f\x45", self.encoder.encode([]))
        self.assertEqual(b"", self.encoder.encode([]))
        self.encoder.resize(1 << 30)
        self.assertEqual(b"\x3f\xe1\x1f", self.encoder.encode([]))
        self.encoder.resize(1 << 31)
        self.assertEqual(b"", self.encoder.encode([]))

    def test_bounded(self) -> None:
        """A million different fields leave no more behind than the table and a few that came once."""
        for number in range(5000):
            self.encoder.encode([(b"n%d" % number, b"v" * 100)] * (1 + number % 2))
        self.assertLessEqual(len(self.encoder._once), ONCE)
        self.assertLessEqual(len(self.encoder._numbers) * 133, TABLE_SIZE)
        self.assertEqual(len(self.encoder._numbers), len(self.encoder._table))
