# -*- test-case-name: tests.protocols.http.test_client_fields -*-
"""
What clients say of themselves and of their requests, as far as the access log has it. Looked for only where there is
one.
"""

from __future__ import annotations

from typing import Final

from lproxy.protocols.http.message import MEMO, Headers

USER_AGENT: Final = 0
REFERER: Final = 1
FORWARDED_FOR: Final = 2
REQUEST_ID: Final = 3
TRACEPARENT: Final = 4
B3: Final = 5
B3_TRACE_ID: Final = 6
_NONE: Final = 7
_HEXADECIMAL: Final = b"0123456789abcdefABCDEF"

_NAMES = {
    b"user-agent": USER_AGENT,
    b"referer": REFERER,
    b"x-forwarded-for": FORWARDED_FOR,
    b"x-request-id": REQUEST_ID,
    b"traceparent": TRACEPARENT,
    b"b3": B3,
    b"x-b3-traceid": B3_TRACE_ID,
}


class _Places(dict[bytes, int]):
    """Names as they were spelt, to places in what L{said} returns."""

    def __missing__(self, name: bytes) -> int:
        place = _NAMES.get(name.lower(), _NONE)
        if len(self) < MEMO:
            self[name] = place
        return place


_places = _Places()


def said(headers: Headers) -> list[bytes | None]:
    """The first value of each, by the places above."""
    found: list[bytes | None] = [None] * _NONE
    for name, value in headers:
        place = _places[name]
        if place != _NONE and found[place] is None:
            found[place] = value
    return found


def trace_id(found: list[bytes | None]) -> bytes | None:
    """The trace's, whichever of the fields has it, as 32 or 16 hexadecimal digits; C{None} where none does."""
    parent, single, many = found[TRACEPARENT], found[B3], found[B3_TRACE_ID]
    if parent is not None and len(parent) >= 55 and _is_id(parent[3:35]):
        return parent[3:35]
    if single is not None and b"-" in single and _is_id(single.partition(b"-")[0]):
        return single.partition(b"-")[0]
    return many if many is not None and _is_id(many) else None


def _is_id(value: bytes) -> bool:
    """Whether it could be one; all that is not is somebody's who does not know what it is."""
    return len(value) in (16, 32) and not value.strip(_HEXADECIMAL) and value.strip(b"0") != b""
