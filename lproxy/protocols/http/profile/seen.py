# -*- test-case-name: tests.protocols.http.profile.test_seen -*-
"""
What the conditions of routes see of a request, in HTTP/1 and HTTP/2 alike.

A path is seen in its normal form (RFC 3986, 6.2.2), so that no other spelling of it has another route: without its
query, C{%61} as C{a}, C{%2f} as C{%2F} and not as a slash, C{/a/./b/../c} as C{/a/c}. The upstream gets it as it was
sent. Of a field that comes more than once the values are joined (RFC 9110, 5.3); cookies by C{; } (RFC 9113, 8.2.3).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from lproxy.protocols.http.message import Headers, Request

#: what need not be escaped (RFC 3986, 2.3)
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


def path_of(target: bytes) -> bytes:
    """The path of a request-target in origin form, in its normal form; another, C{*} or C{host:port}, is itself."""
    path = target.partition(b"?")[0]
    if b"%" in path or b"/." in path:
        return normal(path)
    return path


def normal(path: bytes) -> bytes:
    """C{path}, which may be spelt in other ways, as all are that mean the same."""
    path = _ESCAPE.sub(_unescaped, path)
    return _without_dots(path) if b"/." in path else path


def _unescaped(escape: re.Match[bytes]) -> bytes:
    byte = int(escape[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else escape[0].upper()


def _without_dots(path: bytes) -> bytes:
    """RFC 3986, 5.2.4."""
    first, *segments = path.split(b"/")
    kept: list[bytes] = []
    for segment in segments:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/".join((first, *kept))


class Seen:
    """
    One request, as conditions see it. What few ask for is made when somebody does.

    @ivar path: in its normal form
    """

    __slots__ = ("_fields", "_query", "_request", "method", "path")

    def __init__(self, request: Request, path: bytes) -> None:
        self.method = request.method
        self.path = path
        self._request = request
        self._fields: dict[bytes, bytes] | None = None
        self._query: dict[bytes, bytes] | None = None

    def field(self, lower: bytes) -> bytes | None:
        """The value of a field, by its name in lower case; C{None} where it has none of that name."""
        if lower == b"host":
            return self._request.authority or None
        fields = self._fields
        if fields is None:
            fields = self._fields = _joined(self._request.headers)
        return fields.get(lower)

    def parameter(self, name: bytes) -> bytes | None:
        """The first value of a parameter of its query."""
        query = self._query
        if query is None:
            query = self._query = _parameters(self._request.target.partition(b"?")[2])
        return query.get(name)


def _joined(headers: Headers) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        lower = name.lower()
        before = fields.get(lower)
        if before is None:
            fields[lower] = value
        else:
            fields[lower] = before + (b"; " if lower == b"cookie" else b", ") + value
    return fields


def _parameters(query: bytes) -> dict[bytes, bytes]:
    parameters: dict[bytes, bytes] = {}
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        parameters.setdefault(_text(name), _text(value))
    return parameters


def _text(encoded: bytes) -> bytes:
    return unquote_to_bytes(encoded.replace(b"+", b" "))
