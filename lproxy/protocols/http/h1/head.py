# -*- test-case-name: tests.protocols.http.h1.test_head -*-
"""
From the lines of a head to a message as HTTP means it: the checks that llhttp leaves to us, framing, routing, and the
fields that belong to one connection only.
"""

from __future__ import annotations

import re

from lproxy.protocols.http.h1.refuse import DIGITS
from lproxy.protocols.http.message import (
    AUTHORIZATION,
    CHALLENGE,
    CHUNKED,
    CONNECTION,
    DROP,
    ENCODING,
    HOP_BY_HOP,
    HOPS,
    HOST,
    HOST_FIELD,
    LENGTH,
    MEASURED,
    PROXY_AUTHORIZATION,
    PROXY_CHALLENGE,
    TE,
    TRACE,
    UNTIL_CLOSE,
    UPGRADE,
    Headers,
    Rejected,
    Request,
    Response,
    kinds,
    of_connection,
)
from lproxy.protocols.http.options import connection_options

#: an absolute URI; userinfo is not allowed (RFC 9110, 4.2.4)
ABSOLUTE = re.compile(rb"(https?)://([^/?#@]+)([/?][^#]*)?", re.IGNORECASE)
#: where a URI names none; what a TLS terminator passes on may say https (RFC 9112, 3.2.2)
PORTS = {b"http": b"", b"https": b":443"}
#: what may stand around a value, and is no part of it
BLANKS = b" \t"
BLANK = (b" ", b"\t")


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
    close = keep = private = proxied = sized = untidy = hops = traced = False
    for name, value in headers:
        kind = kinds[name]
        if not kind:
            continue
        if kind == HOST_FIELD:
            if host is not None:
                raise Rejected("", 400, "host", "two Host fields")
            host = value
            if value[-1:] in BLANK:
                host, untidy = value.rstrip(BLANKS), True
        elif kind == LENGTH:
            if sized or framing == CHUNKED:
                raise Rejected("", 400, "cl_dup" if sized else "cl_te", "more than one length")
            framing, sized = _length(value), True
            untidy = untidy or value[-1:] in BLANK
        elif kind == ENCODING:
            if sized:
                raise Rejected("", 400, "cl_te", "Content-Length and Transfer-Encoding")
            untidy = untidy or value[-1:] in BLANK
            if framing == CHUNKED or value.strip(BLANKS).lower() != b"chunked":
                raise Rejected("", 501, "te_unknown", f"Transfer-Encoding {value[:40]!r} is not understood")
            framing = CHUNKED
        elif kind == CONNECTION:
            dropped.append((name, value))
            names, closing, keeping, protected = connection_options(value)
            if protected:
                raise Rejected("", 400, "connection", f"Connection names {protected!r}, which no connection may drop")
            named = named | names if named else names
            close = close or closing
            keep = keep or keeping
        elif kind == UPGRADE:
            dropped.append((name, value))
            upgrade = value.lower()
        elif kind == TE:
            if not _trailers_only(value):
                dropped.append((name, value))
        elif kind == DROP:
            dropped.append((name, value))
        elif kind in (AUTHORIZATION, PROXY_AUTHORIZATION):
            private = private or of_connection(value)
            proxied = proxied or kind == PROXY_AUTHORIZATION
        elif kind == PROXY_CHALLENGE:
            proxied = True
        elif kind == HOPS:
            hops = hops or method in (b"OPTIONS", b"TRACE")
        elif kind == TRACE:
            traced = True
    upgrading = (
        upgrade is not None
        and version == 11
        and b"upgrade" in named
        # h2c would change the protocol on this connection only; so would anything offered beside it
        and b"h2c" not in upgrade
    )
    if dropped:
        headers = _kept(headers, dropped, named, upgrading)
    if untidy:
        headers = [(n, v.strip(BLANKS) if kinds[n] in MEASURED else v) for n, v in headers]
    if host is None:
        if version == 11:
            raise Rejected("", 400, "host", "no Host field")
        authority = b""
    elif HOST.fullmatch(host):
        authority = host if host[-1:] != b":" else host[:-1]
    elif not host:
        # what is for no authority at all says so by an empty one: good where nobody needs to know (RFC 9112, 3.2)
        authority = b""
    else:
        raise Rejected("", 400, "host", f"not a host: {host[:80]!r}")
    if method == b"CONNECT":
        if not _has_port(url) or framing:
            raise Rejected("", 400, "connect", f"CONNECT needs host:port and no body, not {url[:80]!r}")
        request = Request(method, url, headers, framing, url, upgrading)
    elif url[:1] != b"/" and (url != b"*" or method != b"OPTIONS"):
        request = _absolute(method, url, headers, framing, upgrading)
    else:
        request = Request(method, url, headers, framing, authority, upgrading)
    if private or proxied or hops or upgrade is not None:
        request.private = private
        request.proxied = proxied
        request.hops = hops
        request.h2c = upgrade is not None and b"h2c" in upgrade
        request.special = proxied or hops or request.h2c or request.special
    if traced:
        request.traced = True
    request.old = version == 10
    return request, not close and (keep or version == 11)


def _length(value: bytes) -> int:
    value = value.strip(BLANKS)
    if not value.isdigit() or len(value) > DIGITS:
        raise Rejected("", 400, "cl_bad", f"Content-Length {value[:40]!r}")
    return int(value)


def _has_port(authority: bytes) -> bool:
    match = HOST.fullmatch(authority)
    return match is not None and bool(match[2]) and 0 < int(match[2]) < 65536


def _absolute(method: bytes, url: bytes, headers: Headers, framing: int, upgrading: bool) -> Request:
    """A target that begins with neither a slash nor an asterisk: in absolute form, or wrong."""
    match = ABSOLUTE.fullmatch(url)
    host = HOST.fullmatch(match[2]) if match is not None else None
    if match is None or host is None:
        raise Rejected("", 400, "req_line", f"not a request-target for {method[:20]!r}: {url[:80]!r}")
    authority: bytes = match[2]
    path: bytes = match[3] or (b"*" if method == b"OPTIONS" else b"/")
    if path[:1] == b"?":
        path = b"/" + path
    # the target decides, and Host has to say the same (RFC 9112, 3.2.2)
    rewritten = [(name, authority if kinds[name] == HOST_FIELD else value) for name, value in headers]
    if not any(kinds[name] == HOST_FIELD for name, _ in headers):
        rewritten.insert(0, (b"Host", authority))
    if not host[2]:
        # a port of its own, whatever the connection's is
        authority = authority.removesuffix(b":") + PORTS[match[1].lower()]
    request = Request(method, path, rewritten, framing, authority, upgrading)
    request.absolute = url
    request.special = True
    return request


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
    close = keep = private = proxied = False
    for name, value in headers:
        kind = kinds[name]
        if not kind:
            continue
        if kind == LENGTH:
            if length is not None or chunked:
                raise Rejected("", 502, "cl_te" if chunked else "cl_dup", f"another length: {name!r} {value[:40]!r}")
            length = int(value) if value.isdigit() and len(value) <= DIGITS else _length(value)
        elif kind == ENCODING:
            if length is not None:
                raise Rejected("", 502, "cl_te", "Content-Length and Transfer-Encoding")
            if chunked or value.strip(BLANKS).lower() != b"chunked" or version == 10:
                raise Rejected("", 502, "te_unknown", f"Transfer-Encoding {value[:40]!r} is not understood")
            chunked = True
        elif kind == CONNECTION:
            dropped.append((name, value))
            # what it names and must not is the answer's to have all the same
            names, closing, keeping, _ = connection_options(value)
            named = named | names if named else names
            close = close or closing
            keep = keep or keeping
        elif kind in (CHALLENGE, PROXY_CHALLENGE):
            private = private or (status in (401, 407) and of_connection(value))
            proxied = proxied or kind == PROXY_CHALLENGE
        elif kind in (DROP, UPGRADE, TE):
            dropped.append((name, value))
    if status == 101:
        if not upgrading:
            raise Rejected("", 502, "upgrade", "101 to a request that asked for nothing of the kind")
        switching = Response(status, reason, _kept(headers, dropped, named, True), 0)
        switching.proxied = proxied
        return switching, False
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
    response = Response(status, reason, headers, framing)
    response.private = private
    response.proxied = proxied
    return response, not close and (keep or version == 11)
