# -*- test-case-name: tests.transport.tls.test_hello -*-
"""
Does a connection open with a TLS ClientHello, and whom does it ask for?

RFC 8446, 4.1.2 and 5.1: a handshake message, cut into records as its sender likes. Only what has come is looked at, by
offsets into it: no length that a peer gives makes us keep or allocate anything.

A hello that is not whole or not well-formed is none: whoever has got it does as with any bytes that nobody knows.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from lproxy.verdict import Match, NeedMore, NoMatch, Verdict

#: bytes, records' headers included, by the end of which the hello has to be whole
LIMIT: Final = 65536
#: records that it may be cut into: one a byte, for a small one
RECORDS: Final = 1024
#: extensions that it may have; browsers send twenty
EXTENSIONS: Final = 128
#: protocols of ALPN that are looked at
PROTOCOLS: Final = 32

#: record: type, version (2), length (2)
HEADER: Final = 5
HANDSHAKE: Final = 22
#: the major version of all records and hellos since SSL 3.0
MAJOR: Final = 3
#: of the plain bytes of a record (RFC 8446, 5.1)
RECORD_LIMIT: Final = 16384
CLIENT_HELLO: Final = b"\1"
#: message: type, length (3); then version (2), random (32), and the length of the session's name
MESSAGE: Final = 4
SESSION: Final = MESSAGE + 34

SERVER_NAME: Final = 0
ALPN: Final = 16
SUPPORTED_VERSIONS: Final = 43
TLS12: Final = 0x0303

#: a DNS name as it is looked up: labels of letters, digits, hyphens and, as some do, underscores. No IP address
NAME: Final = re.compile(rb"(?![0-9.]+\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.(?!\Z)|\Z))+")
#: of a DNS name, without the root's dot
NAME_LIMIT: Final = 253


class Hello(NamedTuple):
    """
    What a ClientHello says.

    @ivar sni: the DNS name that is asked for, in lower case. Empty where there is none, or what RFC 6066 (3) does not
        allow: an IP address, or what cannot be looked up (NUL, letters beyond ASCII, over 253 bytes)
    @ivar alpn: the protocols that are offered, the first 32
    @ivar versions: the versions that are offered, C{0x0304} for TLS 1.3
    """

    sni: str = ""
    alpn: tuple[bytes, ...] = ()
    versions: tuple[int, ...] = ()


#: what a detector says of one
MATCH: Final = Match("TLS")


def detect(prefix: bytes) -> Verdict:
    """Judge C{prefix}, everything the client has sent so far, perhaps nothing."""
    found = examine(prefix)
    return MATCH if isinstance(found, Hello) else found


def examine(prefix: bytes) -> Hello | NeedMore | NoMatch:
    """What L{detect} does, with what the hello says."""
    end = len(prefix)
    pieces: list[bytes] = []
    begun = False
    got = at = 0
    whole = -1
    while at < LIMIT and len(pieces) < RECORDS:
        # each byte of a record's header is judged as it comes
        if (at < end and prefix[at] != HANDSHAKE) or (at + 1 < end and prefix[at + 1] != MAJOR):
            return NoMatch()
        if at + 3 < end and prefix[at + 3] > RECORD_LIMIT >> 8:
            return NoMatch()
        if at + HEADER > end:
            return NeedMore(end + 1 if at + 4 > end else at + HEADER)
        length = prefix[at + 3] << 8 | prefix[at + 4]
        if not 0 < length <= RECORD_LIMIT:
            return NoMatch()
        at += HEADER
        piece = prefix[at : at + length]
        pieces.append(piece)
        got += len(piece)
        if not begun:
            head = b"".join(pieces)
            if not _may_begin(head):
                return NoMatch()
            if got >= MESSAGE:
                whole = MESSAGE + int.from_bytes(head[1:MESSAGE], "big")
            begun = got > MESSAGE
        if at + len(piece) + whole - got > LIMIT:
            return NoMatch()  # not even if it needed no other header
        if 0 <= whole <= got:
            return parse(b"".join(pieces)[:whole]) or NoMatch()
        if len(piece) < length:
            # the end of the message, or what comes after this record
            return NeedMore(min(at + length + 1, end + whole - got) if begun else end + 1)
        at += length
    return NoMatch()


def _may_begin(head: bytes) -> bool:
    """Whether a ClientHello may begin so: its type, a length below 64 KiB, the major version."""
    return (
        head[:1] in (b"", CLIENT_HELLO)
        and head[1:2] in (b"", b"\0")
        and (len(head) <= MESSAGE or head[MESSAGE] == MAJOR)
    )


def parse(message: bytes) -> Hello | None:
    """What the ClientHello C{message} says, with no headers of records in it; C{None} where that makes no sense."""
    end = len(message)
    at = _skip(message, SESSION, 1, end)  # the session that is resumed
    at = _skip(message, at, 2, end)  # cipher suites
    at = _skip(message, at, 1, end)  # compression methods
    if at < 0:
        return None
    version = message[MESSAGE] << 8 | message[MESSAGE + 1]
    if at == end:
        return Hello("", (), (version,))  # TLS 1.2 and before need no extensions
    if _skip(message, at, 2, end) != end:
        return None
    at += 2
    sni = ""
    alpn: tuple[bytes, ...] = ()
    versions: tuple[int, ...] = (version,)
    for _ in range(EXTENSIONS):
        if at == end:
            return Hello(sni, alpn, versions)
        after = _skip(message, at + 2, 2, end)
        if after < 0:
            return None
        kind = message[at] << 8 | message[at + 1]
        if kind == SERVER_NAME:
            sni = _server_name(message[at + 4 : after])
        elif kind == ALPN:
            alpn = _protocols(message[at + 4 : after])
        elif kind == SUPPORTED_VERSIONS:
            versions = _versions(message[at + 4 : after])
        at = after
    return None


def _skip(message: bytes, at: int, size: int, end: int) -> int:
    """The offset after what has its length in C{size} bytes at C{at}; -1 where that is past C{end}, or C{at} is -1."""
    if at < 0 or at + size > end:
        return -1
    length = message[at] if size == 1 else message[at] << 8 | message[at + 1]
    after = at + size + length
    return after if after <= end else -1


def is_name(name: str) -> bool:
    """Whether a client may ask for C{name}, and would be understood."""
    return len(name) <= NAME_LIMIT and name.isascii() and NAME.fullmatch(name.encode("ascii")) is not None


def _server_name(body: bytes) -> str:
    """The first DNS name in a server_name extension, if it is one."""
    # list's length (2), kind (0 is a host name), name's length (2)
    if len(body) < 5 or body[2] != 0:
        return ""
    name = body[5 : 5 + (body[3] << 8 | body[4])].lower()
    if name.endswith(b"."):
        name = name[:-1]
    return name.decode("ascii") if len(name) <= NAME_LIMIT and NAME.fullmatch(name) else ""


def _protocols(body: bytes) -> tuple[bytes, ...]:
    """Those in an ALPN extension."""
    found: list[bytes] = []
    at, end = 2, len(body)
    while at < end and len(found) < PROTOCOLS:
        after = at + 1 + body[at]
        if after > end:
            break
        found.append(body[at + 1 : after])
        at = after
    return tuple(found)


def _versions(body: bytes) -> tuple[int, ...]:
    """Those in a supported_versions extension; its length, one byte, bounds them."""
    return tuple(body[at] << 8 | body[at + 1] for at in range(1, len(body) - 1, 2)) if len(body) < 256 else ()
