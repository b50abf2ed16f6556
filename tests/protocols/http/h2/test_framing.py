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
from lproxy.protocols.http.h2.faults import FRAME_SIZE_ERROR, PROTOCOL_ERROR
from lproxy.protocols.http.h2.framing import FrameReader

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
        self.assertEqual(frames, whole.split(data))
        self.assertEqual(frames, trailing.split(data + rest))
        self.assertEqual(frames, [frame for at in range(len(data)) for frame in slow.split(data[at : at + 1])])
        self.assertIsNone(whole.fault)

    def test_reserved(self) -> None:
        """The bit before a stream's id is none of it."""
        self.assertEqual([(0, 0, 1, b"")], FrameReader(b"").split(b"\0\0\0\0\0\x80\0\0\1"))

    def test_too_large(self) -> None:
        """A frame over 16 KiB is refused by its header, those before it are not, and nothing follows."""
        reader = FrameReader(b"")
        good = wire.frame(wire.DATA, 0, 1, bytes(wire.FRAME_SIZE))
        self.assertEqual(1, len(reader.split(good + b"\0\x40\1\0\0\0\0\0\1")))
        assert reader.fault is not None
        self.assertEqual(FRAME_SIZE_ERROR, reader.fault.code)
        self.assertEqual([], reader.split(good))

    def test_no_preface(self) -> None:
        """What cannot become the preface is refused at its first wrong byte."""
        for size in range(len(PREFACE)):
            reader = FrameReader(PREFACE)
            self.assertEqual([], reader.split(PREFACE[:size]))
            self.assertIsNone(reader.fault)
            self.assertEqual([], reader.split(b"\0"))
            assert reader.fault is not None
            self.assertEqual(PROTOCOL_ERROR, reader.fault.code)

    def test_unfinished(self) -> None:
        """The preface and HEADERS are waited for with a clock, DATA are not."""
        reader = FrameReader(PREFACE)
        self.assertTrue(reader.unfinished())
        reader.split(PREFACE)
        self.assertFalse(reader.unfinished())
        headers, data = wire.frame(wire.HEADERS, 4, 1, b"abc"), wire.frame(wire.DATA, 0, 1, b"abc")
        for frame, unfinished in ((headers, True), (data, False)):
            for size in range(4, len(frame)):
                reader = FrameReader(b"")
                reader.split(frame[:size])
                self.assertEqual(unfinished, reader.unfinished())
            reader.split(frame[size:])
            self.assertFalse(reader.unfinished())
