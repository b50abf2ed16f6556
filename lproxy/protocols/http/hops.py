# -*- test-case-name: tests.protocols.http.test_hops -*-
"""
What a request says to the proxies on its way.

Max-Forwards of OPTIONS and TRACE (RFC 9110, 7.6.2) is counted down, and answered by whoever is the last. Credentials
for a proxy, and the absolute form of a target, are for us, unless the service is a proxy itself.
"""

from __future__ import annotations

from lproxy.api import Conn
from lproxy.protocols.http.message import (
    AUTHORIZATION,
    HOPS,
    ORDINARY,
    PROXY_AUTHORIZATION,
    Headers,
    Request,
    Response,
    kinds,
)
from lproxy.protocols.http.record import Recorder

#: more digits than any way has hops; what is longer is passed on as it is
DIGITS = 9
#: not to be said to whoever asks, who may be a script in a browser (RFC 9110, 9.3.8)
SECRET = frozenset((b"cookie", b"cookie2", b"x-api-key"))
ALLOWED = b"GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH"


def said_to_proxy(request: Request, proxy: bool, record: Recorder, conn: Conn) -> tuple[Response, bytes] | None:
    """
    Have C{request} say no more than it may to who comes next.

    @param proxy: whether that is a proxy as well
    @return: our answer, and its body, where it goes no further
    """
    if request.h2c:
        record.no_h2c(conn)
    answered = _last_hop(request) if request.hops else None
    if answered is None:
        if not proxy:
            request.not_proxied()
        elif request.absolute:
            request.target = request.absolute
    return answered


def _last_hop(request: Request) -> tuple[Response, bytes] | None:
    """Count C{request} down; the answer, and its body, where it goes no further."""
    headers: Headers = []
    for field in request.headers:
        name, value = field
        if kinds[name] == HOPS and value.isdigit() and len(value) <= DIGITS:
            hops = int(value)
            if not hops:
                return _answer(request)
            field = (name, b"%d" % (hops - 1))
        headers.append(field)
    request.headers = headers
    return None


def _answer(request: Request) -> tuple[Response, bytes]:
    if request.method == b"OPTIONS":
        return Response(200, b"OK", [(b"allow", ALLOWED), (b"content-length", b"0")], 0, ours=True), b""
    lines = [b"%b %b HTTP/1.1" % (request.method, request.target)]
    lines += [b"%b: %b" % field for field in request.headers if not _secret(field[0])]
    body = b"\r\n".join([*lines, b"", b""])
    headers = [(b"content-type", b"message/http"), (b"content-length", b"%d" % len(body))]
    return Response(200, b"OK", headers, len(body), ours=True), body


def _secret(name: bytes) -> bool:
    kind = kinds[name]
    return kind in (AUTHORIZATION, PROXY_AUTHORIZATION) or (kind == ORDINARY and name.lower() in SECRET)
