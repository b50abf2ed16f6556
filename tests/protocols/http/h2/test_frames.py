# -*- test-case-name: tests.protocols.http.h2.test_frames -*-
"""
Tests for L{lproxy.protocols.http.h2.frames}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.faults import FRAME_SIZE_ERROR, NO_ERROR, PROTOCOL_ERROR, ConnectionFault
from lproxy.protocols.http.h2.framing import FrameReader
from tests.protocols.http.h2.harness import split


class WriteTests(SynchronousTestCase):
    """Frames as bytes."""

    def test_frame(self) -> None:
        """Length in 24 bits, type, flags, stream, then the payload (RFC 9113, 4.1)."""
        self.assertEqual(b"\x00\x00\x03\x01\x05\x00\x00\x00\x07abc", wire.frame(wire.HEADERS, 5, 7, b"abc"))
        self.assertEqual(b"\x01\x00\x01\x00\x00", wire.frame(wire.DATA, 0, 1, bytes(65537))[:5])

    def test_small(self) -> None:
        """Those of one size, by their numbers."""
        self.assertEqual(bytes.fromhex("000004 03 00 00000005 00000008"), wire.reset(5, 8))
        self.assertEqual(bytes.fromhex("000004 08 00 00000000 00010000"), wire.window_update(0, 65536))
        self.assertEqual(
            bytes.fromhex("00000c 04 00 00000000 0002 00000000 0004 0000ffff"), wire.settings([(2, 0), (4, 65535)])
        )
        self.assertEqual(bytes.fromhex("00000a 07 00 00000000 00000003 0000000b") + b"hm", wire.goaway(3, 11, b"hm"))

    def test_section(self) -> None:
        """A section that one frame does not hold goes on in CONTINUATION, which alone says that it ends."""
        for size, kinds in ((9, [1]), (10, [1]), (11, [1, 9]), (20, [1, 9]), (21, [1, 9, 9])):
            block = bytes(range(size))
            frames = split(FrameReader(b""), b"".join(wire.section(3, block, True, 10)))
            self.assertEqual(kinds, [kind for kind, *_ in frames])
            self.assertEqual(block, b"".join([payload for *_, payload in frames]))
            self.assertEqual([True] + [False] * (len(kinds) - 1), [flags & 1 == 1 for _, flags, _, _ in frames])
            self.assertEqual([False] * (len(kinds) - 1) + [True], [flags & 4 == 4 for _, flags, _, _ in frames])


class ReadTests(SynchronousTestCase):
    """Payloads, well-formed and not."""

    def code(self, what: object, *arguments: object) -> int:
        """The error code that it is refused with."""
        return self.assertRaises(ConnectionFault, what, *arguments).code

    def test_padding(self) -> None:
        """Padding comes off; more of it than there are bytes, or none that says so, is refused."""
        self.assertEqual(b"abc", wire.unpadded(b"\x02abc\0\0", "DATA"))
        self.assertEqual(b"", wire.unpadded(b"\x02\0\0", "DATA"))
        self.assertEqual(PROTOCOL_ERROR, self.code(wire.unpadded, b"\x03\0\0", "DATA"))
        self.assertEqual(FRAME_SIZE_ERROR, self.code(wire.unpadded, b"", "DATA"))

    def test_sizes(self) -> None:
        """What has a size of its own has no other."""
        self.assertEqual(258, wire.read_word(b"\0\0\1\2", "RST_STREAM"))
        for payload in (b"", b"abc", b"abcde"):
            self.assertEqual(FRAME_SIZE_ERROR, self.code(wire.read_word, payload, "RST_STREAM"))
        self.assertEqual([(1, 2), (65535, 2**32 - 1)], wire.read_settings(b"\0\1\0\0\0\2" + b"\xff" * 6))
        self.assertEqual(FRAME_SIZE_ERROR, self.code(wire.read_settings, bytes(7)))
        self.assertEqual(FRAME_SIZE_ERROR, self.code(wire.read_goaway, bytes(7)))

    def test_goaway(self) -> None:
        """The reserved bit is nothing, and of an explanation 256 bytes are enough."""
        self.assertEqual((1, 11, b"x" * 256), wire.read_goaway(b"\x80\0\0\1\0\0\0\x0b" + b"x" * 1000))

    def test_priority(self) -> None:
        """Nothing depends on itself."""
        self.assertEqual(NO_ERROR, wire.check_priority(3, b"\x80\0\0\1\0"))
        self.assertEqual(PROTOCOL_ERROR, wire.check_priority(3, b"\x80\0\0\3\0"))
        self.assertEqual(FRAME_SIZE_ERROR, wire.check_priority(3, b"\0\0\0\1"))
