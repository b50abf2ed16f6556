# -*- test-case-name: tests.protocols.http.h2.test_fields -*-
"""
From the fields that HPACK gives to a message as HTTP means it (RFC 9113, 8.2 and 8.3).

Fields are judged one by one in L{lproxy.protocols.http.h2.judge}, and here as a message. What is refused is refused for
good: nothing of it is ever forwarded.
"""

from __future__ import annotations

from typing import Any, Final

from hpack import NeverIndexedHeaderTuple

from lproxy.protocols.http.h2.engine import NO_LENGTH, Head
from lproxy.protocols.http.h2.faults import FIELD, PROTOCOL_ERROR, PSEUDO, TOO_LARGE, StreamFault
from lproxy.protocols.http.h2.judge import (
    AUTHORITY,
    COOKIE,
    LONG,
    METHOD,
    PATH,
    PROTOCOL,
    SCHEME,
    STATUS,
    judge,
    judged,
    shown,
)
from lproxy.protocols.http.message import HOST, HOST_FIELD, LENGTH, MEMO, ORDINARY, Headers


class _Lowered(dict[bytes, bytes]):
    """Names as HTTP/1 spells them, to how HTTP/2 does."""

    def __missing__(self, name: bytes) -> bytes:
        lower = name.lower()
        if len(self) < MEMO and len(name) < LONG:
            self[name] = lower
        return lower


lowered: Final = _Lowered()


def _section(fields: list[Any], head: Head, limit: int) -> int:
    """
    Sort C{fields} into C{head}.

    @return: which pseudo-fields there are, a bit for each, C{1 << kind - METHOD}
    """
    pseudo = seen = 0
    host: bytes | None = None
    crumbs: list[Any] = []
    rest: list[Any] = []
    for field in fields:
        known = judged.get(field)
        kind = judge(field) if known is None else known
        if kind == ORDINARY:
            rest.append(field)
        elif kind >= METHOD:
            bit = 1 << kind - METHOD
            if pseudo & bit or rest or seen:
                raise StreamFault(PROTOCOL_ERROR, PSEUDO, f"twice, or behind others: {shown(field)}")
            pseudo |= bit
            value: bytes = field[1]
            if kind == METHOD:
                head.method = value
            elif kind == PATH:
                head.path = value
            elif kind == AUTHORITY:
                head.authority = value
            elif kind == SCHEME:
                head.scheme = value.lower()
            elif kind == STATUS:
                head.status = int(value)
            else:
                head.protocol = value
        elif kind == COOKIE:
            if not crumbs:
                rest.append(field)
            crumbs.append(field)
            seen |= 1 << COOKIE
        elif kind == HOST_FIELD:
            if host is not None:
                raise StreamFault(PROTOCOL_ERROR, PSEUDO, "two host fields")
            host = field[1]
            seen |= 1 << HOST_FIELD
        else:
            if kind == LENGTH:
                if seen & (1 << LENGTH):
                    raise StreamFault(PROTOCOL_ERROR, FIELD, "more than one content-length")
                head.length = int(field[1])
            seen |= 1 << kind
            rest.append(field)
    if len(crumbs) > 1:
        rest[rest.index(crumbs[0])] = _joined(crumbs)
    if len(rest) > limit:
        raise StreamFault(PROTOCOL_ERROR, TOO_LARGE, f"{len(rest)} fields")
    if host is not None:
        if not pseudo & _BIT_AUTHORITY:
            head.authority = host
        elif host.lower() != head.authority.lower():
            raise StreamFault(PROTOCOL_ERROR, PSEUDO, f"host {host[:80]!r} is not {head.authority[:80]!r}")
    head.fields = rest
    head.seen = seen & _KINDS
    return pseudo


#: the bits of C{Head.seen}: kinds of message.py but the host, which is taken out
_KINDS: Final = (1 << COOKIE) - 1 & ~(1 << HOST_FIELD)
_BIT_SCHEME: Final = 1 << SCHEME - METHOD
_BIT_AUTHORITY: Final = 1 << AUTHORITY - METHOD
_BIT_PROTOCOL: Final = 1 << PROTOCOL - METHOD
_BIT_PATH: Final = 1 << PATH - METHOD
_BIT_STATUS: Final = 1 << STATUS - METHOD
_USUAL: Final = 1 | _BIT_SCHEME | _BIT_PATH


def _joined(crumbs: list[Any]) -> Any:
    """The pieces of a cookie in one (RFC 9113, 8.2.3), as secret as its most secret one."""
    value = b"; ".join([crumb[1] for crumb in crumbs])
    if any(type(crumb) is NeverIndexedHeaderTuple for crumb in crumbs):
        return NeverIndexedHeaderTuple(b"cookie", value)
    return (b"cookie", value)


def request_head(fields: list[Any], limit: int, extended: bool) -> Head:
    """
    The head of a request.

    @param limit: fields that it may have, apart from pseudo-fields and host
    @param extended: whether extended CONNECT was announced
    @raise StreamFault: it is malformed; with L{TOO_LARGE} it is not, but has too many fields
    """
    head = Head()
    try:
        pseudo = _section(fields, head, limit)
    except StreamFault as fault:
        if fault.reason != TOO_LARGE:
            raise
        # what is malformed besides is refused as such
        _complete(head, _section(fields, head, len(fields)), extended)
        raise
    _complete(head, pseudo, extended)
    return head


def _complete(head: Head, pseudo: int, extended: bool) -> None:
    """Whether those pseudo-fields are there that must, and go together."""
    method = head.method
    if method == b"CONNECT" and not pseudo & _BIT_PROTOCOL:
        if pseudo != 1 | _BIT_AUTHORITY or head.length != NO_LENGTH:
            raise StreamFault(
                PROTOCOL_ERROR, PSEUDO, "CONNECT has :authority, and nothing else of its kind, nor a length"
            )
        port = HOST.fullmatch(head.authority)
        if port is None or not port[2] or not 0 < int(port[2]) < 65536:
            raise StreamFault(PROTOCOL_ERROR, PSEUDO, f"CONNECT needs host:port, not {head.authority[:80]!r}")
        return
    if pseudo & ~(_BIT_AUTHORITY | _BIT_PROTOCOL) != _USUAL:
        raise StreamFault(PROTOCOL_ERROR, PSEUDO, "a request has :method, :scheme and :path, and no :status")
    if pseudo & _BIT_PROTOCOL and not (extended and method == b"CONNECT" and pseudo & _BIT_AUTHORITY):
        raise StreamFault(PROTOCOL_ERROR, PSEUDO, ":protocol without CONNECT, without :authority, or not announced")
    if not head.authority:
        raise StreamFault(PROTOCOL_ERROR, PSEUDO, "neither :authority nor host")
    if head.path == b"*" and method != b"OPTIONS":
        raise StreamFault(PROTOCOL_ERROR, PSEUDO, f"path * with {method[:20]!r}")
    if head.authority[-1:] == b":":
        head.authority = head.authority[:-1]


def response_head(fields: list[Any], limit: int) -> Head:
    """
    The head of an answer, or a 1xx before it.

    @raise StreamFault: it is malformed, or has too many fields
    """
    head = Head()
    if _section(fields, head, limit) != _BIT_STATUS:
        raise StreamFault(PROTOCOL_ERROR, PSEUDO, "an answer has :status, and no other pseudo-field")
    return head


def trailer_section(fields: list[Any], limit: int) -> Headers:
    """
    Trailers.

    @raise StreamFault: they are malformed, or too many
    """
    head = Head()
    if _section(fields, head, limit):
        raise StreamFault(PROTOCOL_ERROR, PSEUDO, "pseudo-fields in trailers")
    return head.fields
