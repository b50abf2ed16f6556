# -*- test-case-name: tests.protocols.http.test_forwarded -*-
"""
What a listener makes of the fields that say for whom a request is forwarded: X-Forwarded-For, -Proto, -Host and others
of that name, X-Real-IP and Forwarded (RFC 7239).

Anybody can write them. Those of a peer outside of the trusted networks, where such are configured, are taken out; what
remains is passed on, appended to, replaced or removed.
"""

from __future__ import annotations

from typing import Final

from lproxy.api import Conn
from lproxy.config import Listen
from lproxy.protocols.http.guard import by_https
from lproxy.protocols.http.message import FORWARDED, Headers, Request, kinds
from lproxy.transport.networks import Networks

#: of a client without an address (RFC 7239, 6.2)
UNKNOWN: Final = b"unknown"

#: as the version of HTTP spells them that the request came in
_HTTP1: Final = (b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host")
_HTTP2: Final = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")


class Forwarding:
    """Of one listener."""

    __slots__ = ("_adds", "_drops", "_trusted")

    def __init__(self, listen: Listen) -> None:
        self._adds = listen.forwarded in ("append", "replace")
        self._drops = listen.forwarded in ("replace", "remove")
        self._trusted = Networks(listen.trusted) if listen.trusted else None

    def apply(self, request: Request, conn: Conn) -> None:
        """Have C{request}, which came on C{conn}, say no more than it may."""
        if self._drops or (self._trusted is not None and not self._trusted.has(conn.peer[0])):
            request.headers = [field for field in request.headers if kinds[field[0]] != FORWARDED]
        if self._adds:
            https = by_https(conn.tls)
            names = _HTTP2 if request.stream_id else _HTTP1
            request.headers = _added(request.headers, conn.peer[0].encode("ascii"), request.authority, https, names)


def forwarding(listen: Listen) -> Forwarding | None:
    """What C{listen} makes of such fields; C{None}: it passes them on as they are."""
    return Forwarding(listen) if listen.forwarded != "pass" or listen.trusted else None


def _added(headers: Headers, peer: bytes, authority: bytes, https: bool, names: tuple[bytes, bytes, bytes]) -> Headers:
    """With what is known of the client at the end of each list, and in each field that is not there."""
    said = {}
    for at, (name, _) in enumerate(headers):
        if kinds[name] == FORWARDED:
            said[name.lower()] = at
    headers = list(headers)
    # that it was http says nobody, as nobody did so far
    element = b"for=%b;proto=https" % _node(peer) if https else b"for=%b" % _node(peer)
    for lower, more in ((b"x-forwarded-for", peer or UNKNOWN), (b"forwarded", element)):
        if lower in said:
            name, value = headers[said[lower]]
            headers[said[lower]] = (name, b"%b, %b" % (value, more) if value else more)
    if b"x-forwarded-for" not in said:
        headers.append((names[0], peer or UNKNOWN))
    if b"x-forwarded-proto" not in said:
        headers.append((names[1], b"https" if https else b"http"))
    if authority and b"x-forwarded-host" not in said:
        headers.append((names[2], authority))
    return headers


def _node(peer: bytes) -> bytes:
    """An address as a node of RFC 7239."""
    if not peer:
        return UNKNOWN
    return b'"[%b]"' % peer if b":" in peer else peer
