# -*- test-case-name: tests.protocols.http.h1.test_head -*-
"""
From the lines of a head to a message as HTTP means it: the checks that llhttp leaves to us, framing, routing, and the
fields that belong to one connection only.
"""

from __future__ import annotations

import re

from lproxy.protocols.http.h1.refuse import DIGITS
from lproxy.protocols.http.message import (
    CHUNKED,
    CONNECTION,
    DROP,
    ENCODING,
    FORWARDED,
    HOP_BY_HOP,
    HOST,
    HOST_FIELD,
    LENGTH,
    TE,
    UNTIL_CLOSE,
    UPGRADE,
    Headers,
    Rejected,
    Request,
    Response,
    connection_options,
    kinds,
)

#: an absolute URI; userinfo is not allowed (RFC 9110, 4.2.4)
ABSOLUTE = re.compile(rb"http://([^/?#@]+)([/?][^#]*)?", re.IGNORECASE)


def make_request(method: bytes, url: bytes, version: int, headers: Headers) -> tuple[Request, bool]:
    """
    Make a request of what was read: check it, and take out what is for this connection only.

    @return: the request, and whether the client may send another on the connection
    """
    host: bytes | None = None
    framing = 0
    upgrade: bytes | None = None
    dropped: Headers = []
    named: frozenset[bytes] = frozenset()
    close = keep = False
    for name, value in headers:
        kind = kinds[name]
        if not kind:
            continue
        if kind == HOST_FIELD:
            if host is not None:
                raise Rejected("", 400, "host", "two Host fields")
            host = value
        elif kind == LENGTH:
            framing = _length(value)
        elif kind == ENCODING:
            if framing == CHUNKED or value.lower() != b"chunked":
                raise Rejected("", 501, "te_unknown", f"Transfer-Encoding {value[:40]!r} is not understood")
            framing = CHUNKED
        elif kind == CONNECTION:
            dropped.append((name, value))
            names, closing, keeping = connection_options(value)
            named = named | names if named else names
            close = close or closing
            keep = keep or keeping
        elif kind == UPGRADE:
            dropped.append((name, value))
            upgrade = value.lower()
        elif kind == TE:
            if not _trailers_only(value):
                dropped.append((name, value))
        elif kind != FORWARDED:
            dropped.append((name, value))
    upgrading = (
        upgrade is not None
        and version == 11
        and b"upgrade" in named
        # h2c would change the protocol on this connection only; so would anything offered beside it
        and b"h2c" not in upgrade
    )
    if dropped:
        headers = _kept(headers, dropped, named, upgrading)
    if host is None:
        if version == 11:
            raise Rejected("", 400, "host", "no Host field")
        authority = b""
    elif HOST.fullmatch(host):
        authority = host
    elif not host and version == 10:
        authority = b""
    else:
        raise Rejected("", 400, "host", f"not a host: {host[:80]!r}")
    if method == b"CONNECT":
        if not _has_port(url) or framing:
            raise Rejected("", 400, "connect", f"CONNECT needs host:port and no body, not {url[:80]!r}")
        authority = url
    elif url[:1] != b"/":
        url, authority, headers = _other_form(method, url, authority, headers)
    return Request(method, url, headers, framing, authority, upgrading), not close and (keep or version == 11)


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > DIGITS:
        raise Rejected("", 400, "cl_bad", f"Content-Length {value[:40]!r}")
    return int(value)


def _has_port(authority: bytes) -> bool:
    match = HOST.fullmatch(authority)
    return match is not None and match[2] is not None and 0 < int(match[2]) < 65536


def _other_form(method: bytes, url: bytes, authority: bytes, headers: Headers) -> tuple[bytes, bytes, Headers]:
    """A target that does not begin with a slash: absolute form, asterisk form, or wrong."""
    if url == b"*" and method == b"OPTIONS":
        return url, authority, headers
    match = ABSOLUTE.fullmatch(url)
    if match is None or not HOST.fullmatch(match[1]):
        raise Rejected("", 400, "req_line", f"not a request-target for {method[:20]!r}: {url[:80]!r}")
    authority = match[1]
    path: bytes = match[2] or (b"*" if method == b"OPTIONS" else b"/")
    if path[:1] == b"?":
        path = b"/" + path
    # the target decides, and Host has to say the same (RFC 9112, 3.2.2)
    rewritten = [(name, authority if kinds[name] == HOST_FIELD else value) for name, value in headers]
    if not any(kinds[name] == HOST_FIELD for name, _ in headers):
        rewritten.insert(0, (b"Host", authority))
    return path, authority, rewritten


def _kept(headers: Headers, dropped: Headers, named: frozenset[bytes], upgrading: bool) -> Headers:
    """All but what is for one connection only: C{dropped}, and what Connection has C{named}."""
    if not named and not upgrading:
        if len(dropped) == 1:
            # by far the most have one Connection field
            headers.remove(dropped[0])
            return headers
        return [f for f in headers if kinds[f[0]] not in HOP_BY_HOP and (kinds[f[0]] != TE or _trailers_only(f[1]))]
    kept: Headers = []
    for field in headers:
        name, value = field
        kind = kinds[name]
        if kind in (UPGRADE, CONNECTION):
            if upgrading and kind == UPGRADE:
                kept.append(field)
            elif upgrading and b"upgrade" in value.lower():
                kept.append((name, b"Upgrade"))
        elif kind == TE:
            if _trailers_only(value):
                kept.append(field)
        elif kind != DROP and name.lower() not in named:
            kept.append(field)
    return kept


def _trailers_only(te: bytes) -> bool:
    """Whether a TE field is the one that means the same to everybody on the way."""
    return te.lower() == b"trailers"


def make_response(
    status: int, reason: bytes, version: int, headers: Headers, method: bytes, upgrading: bool
) -> tuple[Response, bool]:
    """
    Make a response of what was read: check it, and take out what is for this connection only.

    @return: the response, and whether the connection that it came on can be used again
    """
    length: int | None = None
    chunked = False
    dropped: Headers = []
    named: frozenset[bytes] = frozenset()
    close = keep = False
    for name, value in headers:
        kind = kinds[name]
        if not kind:
            continue
        if kind == LENGTH:
            length = int(value) if value.isdigit() and len(value) <= DIGITS else _length(value)
        elif kind == ENCODING:
            if chunked or value.lower() != b"chunked" or version == 10:
                raise Rejected("", 502, "te_unknown", f"Transfer-Encoding {value[:40]!r} is not understood")
            chunked = True
        elif kind == CONNECTION:
            dropped.append((name, value))
            names, closing, keeping = connection_options(value)
            named = named | names if named else names
            close = close or closing
            keep = keep or keeping
        elif kind != FORWARDED and kind != HOST_FIELD:
            dropped.append((name, value))
    if status == 101:
        if not upgrading:
            raise Rejected("", 502, "upgrade", "101 to a request that asked for nothing of the kind")
        return Response(status, reason, _kept(headers, dropped, named, True), 0), False
    if dropped:
        headers = _kept(headers, dropped, named, False)
    if status < 200 or status == 204:
        framing = 0
        if length is not None or chunked:
            # they have neither (RFC 9112, 6.1 and RFC 9110, 8.6): not sent on
            headers = [field for field in headers if kinds[field[0]] not in (LENGTH, ENCODING)]
    elif method == b"HEAD" or status == 304:
        framing = 0
    elif chunked:
        framing = CHUNKED
    elif length is not None:
        framing = length
    else:
        framing = UNTIL_CLOSE
        close = True
    return Response(status, reason, headers, framing), not close and (keep or version == 11)
