# -*- test-case-name: tests.protocols.http.h2.test_sections -*-
"""
Tests for L{lproxy.protocols.http.h2.sections}.
"""

from __future__ import annotations

from hpack import Encoder
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2 import sections as module
from lproxy.protocols.http.h2.faults import FRAME_SIZE_ERROR, PROTOCOL_ERROR, TOO_LARGE, ConnectionFault, StreamFault
from lproxy.protocols.http.h2.guard import Guard
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.h2.sections import MEMO, Sections
from lproxy.protocols.http.message import Headers
from tests.protocols.http.h2.harness import ANSWER, REQUEST

ALL = wire.END_HEADERS | wire.END_STREAM


class SectionsTestCase(SynchronousTestCase):
    """Sections of a server's peer, unless C{client}."""

    def setUp(self) -> None:
        self.encoder = Encoder()
        self.sections = self.fresh(False)

    def fresh(self, client: bool, limits: Limits = Limits()) -> Sections:  # noqa: B008
        """Some that nothing was seen of."""
        self.guard = Guard(limits, lambda: 0.0)
        return Sections(client, limits, self.guard)

    def read(self, fields: Headers, sections: Sections | None = None) -> None:
        """A section has come whole."""
        self.assertTrue((sections or self.sections).headers(ALL, 1, self.encoder.encode(fields)))


class FrameTests(SectionsTestCase):
    """From frames to sections."""

    def test_pieces(self) -> None:
        """HEADERS and CONTINUATION, cut anywhere, are one section, which belongs to its stream meanwhile."""
        block = Encoder().encode(REQUEST, huffman=False)
        for cut in range(len(block)):
            sections = self.fresh(False)
            self.assertFalse(sections.headers(wire.END_STREAM, 7, block[:cut]))
            self.assertEqual(7, sections.stream_id)
            self.assertFalse(sections.continuation(0, block[cut : cut + 1]))
            self.assertTrue(sections.continuation(wire.END_HEADERS, block[cut + 1 :]))
            self.assertEqual((0, True), (sections.stream_id, sections.end))
            self.assertEqual(b"web.local", sections.head().authority)

    def test_decorated(self) -> None:
        """Padding and priority are no part of it, each must be there whole, and nothing is its own parent."""
        block = self.encoder.encode(REQUEST)
        flags = wire.END_HEADERS | wire.PADDED | wire.PRIORITISED
        for parent, own in ((b"\x80\0\0\1", True), (b"\0\0\0\3", False)):
            sections = self.fresh(False)
            self.assertTrue(sections.headers(flags, 1, b"\3" + parent + b"\x10" + block + bytes(3)))
            self.assertEqual((own, False), (sections.own_parent, sections.end))
        for code, payload in ((FRAME_SIZE_ERROR, b""), (PROTOCOL_ERROR, b"\3\0\0"), (FRAME_SIZE_ERROR, b"\0\0\0\0")):
            fault = self.assertRaises(ConnectionFault, self.sections.headers, flags, 1, payload)
            self.assertEqual(code, fault.code)


class HeadTests(SectionsTestCase):
    """From sections to messages."""

    def test_own(self) -> None:
        """Whoever is given a head, or trailers, may do with it what he likes: the next one's is another."""
        fields = [*REQUEST, (b"a", b"b")]
        for _ in range(5):
            self.read(fields)
            head = self.sections.head()
            self.assertEqual(([(b"a", b"b")], b"/"), (head.fields, head.path))
            head.fields.clear()
            head.path = b"/other"
            self.read([(b"a", b"b")])
            trailers = self.sections.trailers()
            self.assertEqual([(b"a", b"b")], trailers)
            trailers.clear()

    def test_remembered(self) -> None:
        """What is remembered is what the bytes mean now, not what they meant when the table was another."""
        self.read([*REQUEST, (b"x", b"1")])
        self.sections.head()
        block = b"\x82\x86\x84" + self.encoder.encode([REQUEST[3], (b"x", b"1")])
        for _ in range(3):
            self.sections.headers(ALL, 1, block)
            self.assertEqual([(b"x", b"1")], self.sections.head().fields)
        self.read([(b"y", b"2")])
        self.sections.trailers()
        # the newest entry is y now
        self.sections.headers(ALL, 1, b"\x82\x86\x84\x01\x01h\xbe")
        self.assertEqual([(b"y", b"2")], self.sections.head().fields)

    def test_skipped(self) -> None:
        """A section that nobody wants still changes the table, and what is remembered with it."""
        plain = b"\x82\x86\x84\x01\x01h"
        self.sections.headers(ALL, 1, b"\x40\x01a\x011")
        self.sections.skip()
        for value in (b"1", b"2", b"3"):
            self.sections.headers(ALL, 1, plain + b"\xbe")
            self.assertEqual([(b"a", value)], self.sections.head().fields)
            self.sections.headers(ALL, 1, b"\x40\x01a\x01" + b"%d" % (int(value) + 1))
            self.sections.skip()

    def test_malformed(self) -> None:
        """What is malformed is refused each time."""
        for _ in range(3):
            self.read(REQUEST[1:])
            self.assertRaises(StreamFault, self.sections.head)
            self.read(ANSWER)
            self.assertRaises(StreamFault, self.sections.trailers)

    def test_large(self) -> None:
        """Size and number are limited, for heads and trailers of either side."""
        limits = Limits(header_list=1000, header_count=5)
        for fields in ([(b"a", b"x" * 960)], [(b"a%d" % number, b"") for number in range(6)]):
            for client, head in ((False, REQUEST), (True, ANSWER)):
                sections = self.fresh(client, limits)
                self.encoder = Encoder()
                self.read([*head, *fields], sections)
                self.assertEqual(TOO_LARGE, self.assertRaises(StreamFault, sections.head).reason)
                self.read([*fields, (b"b", b"x" * 100)], sections)
                self.assertEqual(TOO_LARGE, self.assertRaises(StreamFault, sections.trailers).reason)

    def test_bounded(self) -> None:
        """So many sections are remembered and no more, and no long ones."""
        for number in range(3 * MEMO):
            block = b"\x82\x86\x04\x03%03d\x01\x01h" % number
            self.sections.headers(ALL, 1, block.replace(b"\x04\x03", b"\x04\x04/", 1))
            self.sections.head()
            self.sections.headers(ALL, 1, b"\x00\x01a\x03%03d" % number)
            self.sections.trailers()
            self.assertLessEqual(max(len(self.sections._heads), len(self.sections._trailers)), MEMO)
        self.sections._trailers.clear()
        self.sections.headers(ALL, 1, b"\x00\x01a\x7f\xff\x01" + b"x" * 382)
        self.sections.trailers()
        self.assertEqual({}, self.sections._trailers)
        self.assertEqual(256, module.SHORT)
