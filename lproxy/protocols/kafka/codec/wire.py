# -*- test-case-name: tests.protocols.kafka.codec.test_wire -*-
"""
The primitives of Kafka's bodies: lengths, strings, arrays, tag buffers.

Source: the Kafka protocol guide, KIP-482. A string's length is two bytes, an array's four, -1 being null; or compactly,
in flexible versions, both are an unsigned varint that is one more, 0 being null. Every reader takes the bytes and where
to look, and returns what is there and where it ends. None reads, counts or keeps more than the bytes it is given.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from lproxy.protocols.kafka.codec.header import Malformed

INT16 = Struct(">h")
INT32 = Struct(">i")

#: the last byte of the longest uvarint has room for these
_LAST_BITS: Final = 0x0F


class Truncated(Malformed):
    """
    The bytes end before what should be there.

    @ivar end: how far they would have to go, at least
    """

    def __init__(self, end: int) -> None:
        super().__init__(f"truncated: ends before byte {end}")
        self.end = end


def int16(data: bytes, at: int) -> int:
    """The number in the two bytes at C{at}."""
    if at + 2 > len(data):
        raise Truncated(at + 2)
    number: int = INT16.unpack_from(data, at)[0]
    return number


def int32(data: bytes, at: int) -> int:
    """The number in the four bytes at C{at}."""
    if at + 4 > len(data):
        raise Truncated(at + 4)
    number: int = INT32.unpack_from(data, at)[0]
    return number


def uvarint(data: bytes, at: int) -> tuple[int, int]:
    """
    The unsigned varint at C{at}.

    @raise Malformed: it has more than 32 bits
    """
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        if shift == 28 and byte > _LAST_BITS:
            raise Malformed("a varint has more than 32 bits")
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Truncated(at + 1)


def length(data: bytes, at: int, compact: bool) -> tuple[int, int]:
    """
    How long the nullable string at C{at} is, -1 being null, and where its text begins, all of which is there.

    @raise Malformed: it is another negative number
    """
    if compact:
        size, at = uvarint(data, at)
        size -= 1
    else:
        size = int16(data, at)
        at += 2
        if size < -1:
            raise Malformed(f"a string of {size} bytes")
    if at + size > len(data):
        raise Truncated(at + size)
    return size, at


def string(data: bytes, at: int, compact: bool) -> tuple[str | None, int]:
    """
    The nullable string at C{at}.

    @raise Malformed: it is no UTF-8
    """
    size, at = length(data, at, compact)
    if size < 0:
        return None, at
    try:
        return data[at : at + size].decode(), at + size
    except UnicodeDecodeError as e:
        raise Malformed(f"a string is no UTF-8: {e}") from None


def skip_string(data: bytes, at: int, compact: bool) -> int:
    """Where the nullable string at C{at} ends, whatever it holds."""
    size, at = length(data, at, compact)
    return at + size if size > 0 else at


def array(data: bytes, at: int, compact: bool, least: int) -> tuple[int, int]:
    """
    How many elements the array at C{at} has, and where the first begins.

    @param least: bytes that the smallest element takes: a count that cannot be true is found out here
    @raise Malformed: the count is negative, or null
    """
    if compact:
        count, at = uvarint(data, at)
        count -= 1
    else:
        count = int32(data, at)
        at += 4
    if count < 0:
        raise Malformed(f"an array of {count} elements")
    if at + count * least > len(data):
        raise Truncated(at + count * least)
    return count, at


def skip_tags(data: bytes, at: int) -> int:
    """Where the tag buffer at C{at} ends."""
    left, at = uvarint(data, at)
    # each has a tag and a size
    if at + 2 * left > len(data):
        raise Truncated(at + 2 * left)
    while left:
        _, at = uvarint(data, at)
        size, at = uvarint(data, at)
        at += size
        left -= 1
    if at > len(data):
        raise Truncated(at)
    return at


def encode_uvarint(value: int) -> bytes:
    """C{value} as an unsigned varint, in as few bytes as it needs."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_string(text: str, compact: bool) -> bytes:
    """C{text} with its length before it."""
    raw = text.encode()
    return (encode_uvarint(len(raw) + 1) if compact else INT16.pack(len(raw))) + raw


def encode_count(count: int, compact: bool) -> bytes:
    """The count of an array."""
    return encode_uvarint(count + 1) if compact else INT32.pack(count)
