# -*- test-case-name: tests.protocols.http.h2.test_frames -*-
"""
Frames of HTTP/2 (RFC 9113, 4.1 and 6): their types and flags, how they are written, and how their payloads are read.

Functions of bytes; what a frame means is its engine's affair. A payload of a form that no frame has is a
L{ConnectionFault}.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from lproxy.protocols.http.h2.faults import FRAME, FRAME_SIZE_ERROR, NO_ERROR, PROTOCOL_ERROR, ConnectionFault

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

# settings, RFC 9113, 6.5.2 and RFC 8441, 3
HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6
ENABLE_CONNECT_PROTOCOL: Final = 0x8

#: the length's upper 16 bits and its lower 8, type, flags, stream
HEADER: Final = Struct(">HBBBI")
HEADER_SIZE: Final = 9
#: what a frame may hold until a peer says otherwise; we never do
FRAME_SIZE: Final = 16_384
LARGEST_FRAME: Final = 2**24 - 1
#: the bit before stream ids and increments, which means nothing
IDS: Final = 0x7FFF_FFFF

pack_header: Final = HEADER.pack
_pair: Final = Struct(">HI")
_two: Final = Struct(">II")
_word: Final = Struct(">I")


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """One frame."""
    size = len(payload)
    return pack_header(size >> 8, size & 0xFF, kind, flags, stream_id) + payload


def section(stream_id: int, block: bytes, end: bool, size: int) -> list[bytes]:
    """A field section as HEADERS and, if it is longer than C{size}, CONTINUATION frames."""
    flags = END_STREAM if end else 0
    if len(block) <= size:
        return [frame(HEADERS, flags | END_HEADERS, stream_id, block)]
    frames = [frame(HEADERS, flags, stream_id, block[:size])]
    start = size
    while len(block) - start > size:
        frames.append(frame(CONTINUATION, 0, stream_id, block[start : start + size]))
        start += size
    frames.append(frame(CONTINUATION, END_HEADERS, stream_id, block[start:]))
    return frames


def settings(pairs: Iterable[tuple[int, int]]) -> bytes:
    """SETTINGS, of identifiers and values."""
    return frame(SETTINGS, 0, 0, b"".join([_pair.pack(name, value) for name, value in pairs]))


def reset(stream_id: int, code: int) -> bytes:
    """RST_STREAM."""
    return pack_header(0, 4, RST_STREAM, 0, stream_id) + _word.pack(code)


def window_update(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE."""
    return pack_header(0, 4, WINDOW_UPDATE, 0, stream_id) + _word.pack(increment)


def goaway(last_id: int, code: int, debug: bytes) -> bytes:
    """GOAWAY."""
    return frame(GOAWAY, 0, 0, _two.pack(last_id, code) + debug)


def unpadded(payload: bytes, what: str) -> bytes:
    """The content of a PADDED frame."""
    if not payload:
        raise ConnectionFault(FRAME_SIZE_ERROR, FRAME, f"{what} without its pad length")
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionFault(PROTOCOL_ERROR, FRAME, f"{what} of {len(payload)} bytes with {padding} of padding")
    return payload[1 : len(payload) - padding]


def read_word(payload: bytes, what: str) -> int:
    """The one number that RST_STREAM and WINDOW_UPDATE consist of."""
    if len(payload) != 4:
        raise ConnectionFault(FRAME_SIZE_ERROR, FRAME, f"{what} of {len(payload)} bytes")
    return int.from_bytes(payload, "big")


def check_priority(stream_id: int, payload: bytes) -> int:
    """What is wrong with PRIORITY: an error code, or L{NO_ERROR}. Otherwise it says nothing (RFC 9113, 5.3.2)."""
    if len(payload) != 5:
        return FRAME_SIZE_ERROR
    return PROTOCOL_ERROR if int.from_bytes(payload[:4], "big") & IDS == stream_id else NO_ERROR


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Identifiers and values, in order."""
    if len(payload) % 6:
        raise ConnectionFault(FRAME_SIZE_ERROR, FRAME, f"SETTINGS of {len(payload)} bytes")
    return [(name, value) for name, value in _pair.iter_unpack(payload)]


def read_goaway(payload: bytes) -> tuple[int, int, bytes]:
    """Last stream, error code and the first 256 bytes of an explanation."""
    if len(payload) < 8:
        raise ConnectionFault(FRAME_SIZE_ERROR, FRAME, f"GOAWAY of {len(payload)} bytes")
    last_id, code = _two.unpack_from(payload)
    return last_id & IDS, code, payload[8 : 8 + 256]
