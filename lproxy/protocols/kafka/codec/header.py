# -*- test-case-name: tests.protocols.kafka.codec.test_header -*-
"""
Heads of frames, as they stand on the wire: the four bytes of size, then a request's or a response's header.

Source: the Kafka protocol guide, KIP-482. A request's header is key, version, correlation id (version 0, which only
ControlledShutdown v0 has), then a nullable client id with a length of two bytes in I{every} version, then in version 2
a tag buffer. A response's is the correlation id, and in version 1 a tag buffer.

All functions here take the bytes and where to look; C{None} says that the bytes end too early.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from lproxy.protocols.kafka.codec.apis import APIS, CONTROLLED_SHUTDOWN

SIZE = Struct(">i")
#: size, key and version in one word, correlation id, length of the client id
REQUEST = Struct(">iiih")
#: size, correlation id
ANSWER = Struct(">ii")
#: key, version and correlation id: less is no header
SHORTEST: Final = 8
#: and with a client id's length
WITH_CLIENT: Final = 10
#: a uvarint of 32 bits has no more bytes, and in its last no more bits
UVARINT: Final = 5
_LAST_BITS: Final = 0x0F
#: tags of a header; Kafka has none yet. They are read anew with each piece of it that comes, however small
MOST_TAGS: Final = 32

_INT16 = Struct(">h")
_WORDS = Struct(">iii")

#: frame sizes that are the first four bytes of something else: of a TLS hello or alert in any version, and of HTTP
TLS = (0x16, 0x15)
HTTP = tuple(
    int.from_bytes(word)
    for word in (b"HTTP", b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"PRI ")
)


class RequestHead(NamedTuple):
    """
    Who asks for what.

    @ivar size: bytes of the frame without its size
    @ivar client_id: what the client calls itself, C{None} where it does not
    @ivar body: where the body begins, counted from the frame's size on
    """

    size: int
    key: int
    version: int
    correlation_id: int
    client_id: str | None
    body: int


class Malformed(ValueError):
    """Bytes that are no head."""


def read_request(frame: bytes) -> RequestHead | None:
    """
    The head of a request from the bytes of its frame, size word included, as far as they have come.

    An unknown key's header is taken for version 1: its tags, if it has any, are left in the body.

    @raise Malformed: the header does not fit into its frame, or its client id is no length
    """
    if len(frame) < SHORTEST + 4:
        return None
    size, word, correlation = _WORDS.unpack_from(frame)
    key, version = word >> 16 & 0xFFFF, word & 0xFFFF
    if key == CONTROLLED_SHUTDOWN and version == 0:
        return RequestHead(size, key, version, correlation, None, 12)
    if size < WITH_CLIENT:
        raise Malformed("truncated")
    if len(frame) < WITH_CLIENT + 4:
        return None
    (length,) = _INT16.unpack_from(frame, 12)
    body = 14 + max(length, 0)
    if length < -1 or body > size + 4:
        raise Malformed("client_id")
    if len(frame) < body:
        return None
    client_id = None if length < 0 else frame[14:body].decode(errors="replace")
    api = APIS.get(key)
    if api is not None and api.is_flexible(version):
        after = skip_tags(frame, body, size + 4)
        if after is None:
            return None
        body = after
    return RequestHead(size, key, version, correlation, client_id, body)


def other_protocol(size: int) -> str:
    """The protocol whose first bytes were taken for a frame's size, C{tls} or C{http}, empty where it may be a size."""
    if size >> 24 in TLS and size >> 16 & 0xFF == 3:
        return "tls"
    return "http" if size in HTTP else ""


def refused_size(size: int) -> str:
    """Why no request has this size: C{size}, C{too_large}, or C{truncated} where it is too small for a header."""
    if size >= WITH_CLIENT:
        return "too_large"
    return "truncated" if size >= SHORTEST else "size"


def uvarint(data: bytes, at: int) -> tuple[int, int] | None:
    """
    The unsigned varint at C{at}, and where it ends.

    @raise Malformed: it has more than 32 bits
    """
    value = shift = 0
    for byte in data[at : at + UVARINT]:
        at += 1
        if shift == 28 and byte > _LAST_BITS:
            raise Malformed("varint")
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return None


def skip_tags(data: bytes, at: int, stop: int) -> int | None:
    """
    Where the tag buffer at C{at} ends.

    @param stop: where its frame ends
    @raise Malformed: it does not fit into that, or has too many
    """
    count = uvarint(data, at)
    if count is None:
        _short(data, stop)
        return None
    left, at = count
    # each has a tag and a size
    if left * 2 > stop - at or left > MOST_TAGS:
        raise Malformed("tags")
    while left:
        tag = uvarint(data, at)
        size = uvarint(data, tag[1]) if tag is not None else None
        if size is None:
            _short(data, stop)
            return None
        at = size[1] + size[0]
        if at > stop:
            raise Malformed("tags")
        left -= 1
    return at if at <= len(data) else None


def find_acks(data: bytes, at: int, stop: int, version: int) -> int | None:
    """
    Where in a Produce request whose body begins at C{at} its acks stand; the bytes may end before.

    Before them stands, from version 3 on, a nullable transactional id.

    @raise Malformed: the body is too short for them
    """
    if version >= 9:
        length = uvarint(data, at)
        if length is None:
            _short(data, stop)
            return None
        at = length[1] + max(length[0] - 1, 0)
    elif version >= 3:
        if at + 2 > len(data):
            _short(data, stop)
            return None
        at += 2 + max(_INT16.unpack_from(data, at)[0], 0)
    if at + 2 > stop:
        raise Malformed("truncated")
    return at


def read_acks(data: bytes, at: int, stop: int, version: int) -> int | None:
    """
    What a Produce request whose body begins at C{at} wants acknowledged: -1 by all replicas, 1 by the leader, or 0.

    There is no response to 0.

    @raise Malformed: the body is too short for it
    """
    found = find_acks(data, at, stop, version)
    if found is None or found + 2 > len(data):
        return None
    acks: int = _INT16.unpack_from(data, found)[0]
    return acks


def _short(data: bytes, stop: int) -> None:
    """More bytes will come, unless the frame has no more."""
    if len(data) >= stop:
        raise Malformed("truncated")
