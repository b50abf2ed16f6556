# -*- test-case-name: tests.protocols.http.h2.test_judge, tests.protocols.http.h2.test_fields -*-
"""
Single fields of HTTP/2 (RFC 9113, 8.2 and 8.3): well-formed by themselves or not, and of which kind.

The grammar is that of L{lproxy.protocols.http.message}, so that what passes here can be said in HTTP/1 (10.3).
Judgements are remembered, as most fields come again and again; of what differs each time only the value is judged.
"""

from __future__ import annotations

import re
from typing import Any, Final

from lproxy.protocols.http.h2.faults import FIELD, PROTOCOL_ERROR, PSEUDO, StreamFault
from lproxy.protocols.http.message import FIELD_VALUE, HOST, HOST_FIELD, LENGTH, MEMO, TE, TOKEN, kinds

# beyond the kinds of message.py
COOKIE: Final = 32
REFUSED: Final = 33
#: pseudo-fields: from here on
METHOD: Final = 40
SCHEME: Final = 41
PATH: Final = 42
AUTHORITY: Final = 43
PROTOCOL: Final = 44
STATUS: Final = 45

_PSEUDO: Final = {
    b":method": METHOD,
    b":scheme": SCHEME,
    b":path": PATH,
    b":authority": AUTHORITY,
    b":protocol": PROTOCOL,
    b":status": STATUS,
}
#: what belongs to a connection has no place here (RFC 9113, 8.2.2)
_CONNECTIONS: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings")
)
#: digits of a length: more than there are bytes on earth, fewer than Python takes long for
DIGITS: Final = 18
#: a field longer than this is judged each time, for memory's sake
LONG: Final = 256

_LOWER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
#: bytes that a value, or a path, may consist of: what is left without them is wrong, which costs less than a match
_IN_VALUES: Final = bytes([byte for byte in range(256) if FIELD_VALUE.fullmatch(bytes((byte,)))])
_IN_PATHS: Final = bytes(range(0x21, 0x7F))
SPACE: Final = 0x20
TAB: Final = 0x09
_STATUS: Final = re.compile(rb"[1-9][0-9][0-9]")

#: names to kinds, and whole fields likewise; both forget all when they are full
names: Final[dict[bytes, int]] = {}
judged: Final[dict[Any, int]] = {}


def shown(field: Any) -> str:
    name, value = field
    return f"{name[:40]!r}: {value[:80]!r}"


def _judge_name(name: bytes) -> int:
    """What a name says of its field, well-formed as it must be."""
    kind = _PSEUDO.get(name)
    if kind is None:
        if name[:1] == b":":
            raise StreamFault(PROTOCOL_ERROR, PSEUDO, f"unknown pseudo-field {name[:40]!r}")
        if _LOWER.fullmatch(name) is None:
            raise StreamFault(PROTOCOL_ERROR, FIELD, f"not a field name in lower case: {name[:40]!r}")
        if name in _CONNECTIONS:
            kind = REFUSED
        elif name == b"cookie":
            kind = COOKIE
        else:
            kind = kinds[name]
    if len(name) < LONG:
        if len(names) >= MEMO:
            names.clear()
        names[name] = kind
    return kind


def judge(field: Any) -> int:
    """The kind of a field that is well-formed by itself."""
    name: bytes = field[0]
    value: bytes = field[1]
    known = names.get(name)
    kind = _judge_name(name) if known is None else known
    if kind >= METHOD:
        _judge_pseudo(kind, field, value)
    elif kind == REFUSED or (kind == TE and value.lower() != b"trailers"):
        raise StreamFault(PROTOCOL_ERROR, FIELD, f"of a connection, which HTTP/2 has not: {shown(field)}")
    elif value.translate(None, _IN_VALUES) or _padded(value):
        raise StreamFault(PROTOCOL_ERROR, FIELD, f"not a field value: {shown(field)}")
    elif kind == LENGTH and not (value.isdigit() and len(value) <= DIGITS):
        raise StreamFault(PROTOCOL_ERROR, FIELD, f"not a length: {shown(field)}")
    elif kind == HOST_FIELD:
        _judge_host(field, value)
    if len(value) < LONG and len(name) < LONG:
        if len(judged) >= MEMO:
            judged.clear()
        judged[field] = kind
    return kind


def _padded(value: bytes) -> bool:
    """Whether there are blanks around it."""
    if not value:
        return False
    first, last = value[0], value[-1]
    return first in (SPACE, TAB) or last in (SPACE, TAB)


def _judge_pseudo(kind: int, field: Any, value: bytes) -> None:
    if kind == PATH:
        good = (value[:1] == b"/" and not value.translate(None, _IN_PATHS)) or value == b"*"
    elif kind == AUTHORITY:
        _judge_host(field, value)
        good = True
    elif kind == STATUS:
        good = _STATUS.fullmatch(value) is not None and value != b"101"
    elif kind == SCHEME:
        good = value.lower() in (b"http", b"https")
    else:
        good = TOKEN.fullmatch(value) is not None
    if not good:
        raise StreamFault(PROTOCOL_ERROR, PSEUDO, f"malformed {shown(field)}")


def _judge_host(field: Any, value: bytes) -> None:
    if HOST.fullmatch(value) is None:
        raise StreamFault(PROTOCOL_ERROR, PSEUDO, f"not a host: {shown(field)}")
