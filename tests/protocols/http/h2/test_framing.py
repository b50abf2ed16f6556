# -*- test-case-name: tests.protocols.http.h2.test_framing -*-
"""
Tests for L{lproxy.protocols.http.h2.framing}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.engine import PREFACE
from lproxy.protocols.http.h2.faults import FRAME_SIZE_ERROR, PROTOCOL_ERROR, ConnectionFault
from lproxy.protocols.http.h2.framing import FrameReader
from tests.protocols.http.h2.harness import split

FRAMES = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary(max_size=40)), max_size=6
)


class SplitTests(SynchronousTestCase):
    """Frames from bytes, however those come."""

    @given(FRAMES, st.binary(max_size=8), st.booleans())
    def test_three_ways(self, frames: list[tuple[int, int, int, bytes]], rest: bytes, preface: bool) -> None:
        """Whole, byte by byte and with the beginning of another behind them they are the same."""
        data = (PREFACE if preface else b"") + b"".join([wire.frame(*frame) for frame in frames])
        begin = PREFACE if preface else b""
        whole, trailing, slow = FrameReader(begin), FrameReader(begin), FrameReader(begin)
        self.assertEqual(frames, split(whole, data))
        self.assertEqual(frames, split(trailing, data + rest))
        self.assertEqual(frames, [frame for at in range(len(data)) for frame in split(slow, data[at : at + 1])])
        # nothing is kept of what was read
        self.assertEqual((b"", b""), (whole._data, whole.payload))

    def test_reserved(self) -> None:
        """The bit before a stream's id is none of it."""
        self.assertEqual([(0, 0, 1, b"")], split(FrameReader(b""), b"\0\0\0\0\0\x80\0\0\1"))

    def test_too_large(self) -> None:
        """A frame over 16 KiB is refused by its header; those before it are not."""
        reader = FrameReader(b"")
        reader.feed(wire.frame(wire.DATA, 0, 1, bytes(wire.FRAME_SIZE)) + b"\0\x40\1\0\0\0\0\0\1")
        self.assertTrue(reader.next())
        self.assertEqual(FRAME_SIZE_ERROR, self.assertRaises(ConnectionFault, reader.next).code)

    def test_later(self) -> None:
        """What is not asked for yet waits, whatever comes behind it."""
        frames = [wire.frame(wire.PING, 0, 0, b"%08d" % number) for number in range(3)]
        reader = FrameReader(b"")
        reader.feed(frames[0] + frames[1][:5])
        self.assertTrue(reader.next())
        reader.feed(frames[1][5:] + frames[2])
        self.assertEqual([b"00000001", b"00000002"], [payload for *_, payload in split(reader, b"")])

    def test_no_preface(self) -> None:
        """What cannot become the preface is refused at its first wrong byte."""
        for size in range(len(PREFACE)):
            reader = FrameReader(PREFACE)
            self.assertEqual([], split(reader, PREFACE[:size]))
            self.assertEqual(PROTOCOL_ERROR, self.assertRaises(ConnectionFault, reader.feed, b"\0").code)

    def test_unfinished(self) -> None:
        """The preface and HEADERS are waited for with a clock, DATA are not."""
        reader = FrameReader(PREFACE)
        self.assertTrue(reader.unfinished())
        split(reader, PREFACE)
        self.assertFalse(reader.unfinished())
        headers, data = wire.frame(wire.HEADERS, 4, 1, b"abc"), wire.frame(wire.DATA, 0, 1, b"abc")
        for frame, unfinished in ((headers, True), (data, False)):
            for size in range(4, len(frame)):
                reader = FrameReader(b"")
                split(reader, frame[:size])
                self.assertEqual(unfinished, reader.unfinished())
            split(reader, frame[size:])
            self.assertFalse(reader.unfinished())
