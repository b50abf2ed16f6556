# -*- test-case-name: tests.protocols.http.h2.test_framing -*-
"""
From what was read to frames (RFC 9113, 4.1), after a client's preface (3.4).
"""

from __future__ import annotations

from typing import Final

from lproxy.protocols.http.h2.faults import FRAME, FRAME_SIZE_ERROR, PROTOCOL_ERROR, ConnectionFault
from lproxy.protocols.http.h2.frames import FRAME_SIZE, HEADER, HEADER_SIZE, HEADERS, IDS

unpack_header: Final = HEADER.unpack_from


class FrameReader:
    """
    One frame after the other; what is no whole frame waits for more.

    @ivar kind: of the frame that L{next} has come to
    @ivar flags: its flags
    @ivar stream_id: its stream
    @ivar payload: what is in it
    """

    __slots__ = ("_at", "_data", "_preface", "flags", "kind", "payload", "stream_id")

    def __init__(self, preface: bytes) -> None:
        """
        @param preface: what must come first
        """
        self._preface = preface
        self._data = b""
        self._at = 0
        self.kind = 0
        self.flags = 0
        self.stream_id = 0
        self.payload = b""

    def feed(self, data: bytes) -> None:
        """
        More has been read.

        @raise ConnectionFault: it is not the preface
        """
        if self._data:
            data = self._data[self._at :] + data
        self._data = data
        self._at = 0
        if self._preface:
            size = min(len(data), len(self._preface))
            if data[:size] != self._preface[:size]:
                raise ConnectionFault(PROTOCOL_ERROR, FRAME, f"not the preface of HTTP/2: {data[:24]!r}")
            self._preface = self._preface[size:]
            self._at = size

    def next(self) -> bool:
        """
        Come to the next frame, if that is there.

        @raise ConnectionFault: it is larger than we allow
        """
        data, at = self._data, self._at
        left = len(data) - at - HEADER_SIZE
        if left >= 0:
            header: tuple[int, int, int, int, int] = unpack_header(data, at)
            high, low, kind, flags, stream_id = header
            size = high << 8 | low
            if size > FRAME_SIZE:
                raise ConnectionFault(FRAME_SIZE_ERROR, FRAME, f"a frame of {size} bytes")
            if size <= left:
                start = at + HEADER_SIZE
                self._at = start + size
                self.kind = kind
                self.flags = flags
                self.stream_id = stream_id & IDS
                self.payload = data[start : start + size]
                return True
        # keep no more than what waits
        self._data = data[at:]
        self._at = 0
        self.payload = b""
        return False

    def unfinished(self) -> bool:
        """Whether the preface, or a frame that may be HEADERS, has come in part."""
        data, at = self._data, self._at
        left = len(data) - at
        # the fourth byte says what it is
        return bool(self._preface) or (left > 0 and (left < 4 or data[at + 3] == HEADERS))
