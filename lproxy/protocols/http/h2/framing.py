# -*- test-case-name: tests.protocols.http.h2.test_framing -*-
"""
From what was read to frames (RFC 9113, 4.1), after a client's preface (3.4).
"""

from __future__ import annotations

from typing import Any, Final

from lproxy.protocols.http.h2.faults import FRAME, FRAME_SIZE_ERROR, PROTOCOL_ERROR, ConnectionFault
from lproxy.protocols.http.h2.frames import FRAME_SIZE, HEADER, HEADER_SIZE, HEADERS, IDS

unpack_header: Final = HEADER.unpack_from


class FrameReader:
    """
    A buffer for what is no whole frame yet: at most one frame.

    @ivar fault: what is wrong behind the frames that were split off last, if something is; nothing follows it
    """

    __slots__ = ("_preface", "_unread", "fault")

    def __init__(self, preface: bytes) -> None:
        """
        @param preface: what must come first
        """
        self._preface = preface
        self._unread = b""
        self.fault: ConnectionFault | None = None

    def split(self, data: bytes) -> list[Any]:
        """The frames that are whole with C{data}, each as type, flags, stream and payload."""
        frames: list[Any] = []
        if self.fault is not None:
            return frames
        if self._unread:
            data = self._unread + data
            self._unread = b""
        at = self._read_preface(data) if self._preface else 0
        end = len(data)
        while end - at >= HEADER_SIZE:
            high, low, kind, flags, stream_id = unpack_header(data, at)
            size = high << 8 | low
            if size > FRAME_SIZE:
                self.fault = ConnectionFault(FRAME_SIZE_ERROR, FRAME, f"a frame of {size} bytes")
                return frames
            start = at + HEADER_SIZE
            if start + size > end:
                break
            at = start + size
            frames.append((kind, flags, stream_id & IDS, data[start:at]))
        if at < end:
            self._unread = data[at:] if at else data
        return frames

    def _read_preface(self, data: bytes) -> int:
        """How much of C{data} belongs to it."""
        size = min(len(data), len(self._preface))
        if data[:size] != self._preface[:size]:
            self.fault = ConnectionFault(PROTOCOL_ERROR, FRAME, f"not the preface of HTTP/2: {data[:24]!r}")
            return len(data)
        self._preface = self._preface[size:]
        return size

    def unfinished(self) -> bool:
        """Whether the preface, or a frame that may be HEADERS, has come in part."""
        unread = self._unread
        # the fourth byte says what it is
        return bool(self._preface) or (bool(unread) and (len(unread) < 4 or unread[3] == HEADERS))
