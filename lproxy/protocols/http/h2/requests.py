# -*- test-case-name: tests.protocols.http.h2.test_requests -*-
"""
From the head of a stream to a request, and from an answer's head to the fields of a stream.

What the engine has found well-formed is taken as it is; what is said to proxies, and about them, is what it is in
HTTP/1.
"""

from __future__ import annotations

from typing import Final

from lproxy.protocols.http.carried import unpack
from lproxy.protocols.http.grpc import recognise
from lproxy.protocols.http.h2.engine import NO_LENGTH, Head
from lproxy.protocols.http.h2.fields import lowered
from lproxy.protocols.http.message import (
    AUTHORIZATION,
    CHUNKED,
    CONNECTION,
    DROP,
    ENCODING,
    HOPS,
    LENGTH,
    MEMO,
    PROXY_AUTHORIZATION,
    PROXY_CHALLENGE,
    TRACE,
    UPGRADE,
    Headers,
    Request,
    Response,
    kinds,
    of_connection,
)

#: kinds of fields that need more than to be sent on
_SPECIAL: Final = 1 << DROP | 1 << AUTHORIZATION | 1 << PROXY_AUTHORIZATION | 1 << PROXY_CHALLENGE | 1 << HOPS
_TRACE: Final = 1 << TRACE
#: what an answer must not have in HTTP/2 (RFC 9113, 8.2.2)
_OF_HTTP1: Final = frozenset((ENCODING, CONNECTION, UPGRADE))
#: and what it must not have besides, where the stream becomes a tunnel
_OF_MESSAGES: Final = frozenset((ENCODING, CONNECTION, UPGRADE, LENGTH))
#: an answer to HTTP/1's handshake for WebSocket, which HTTP/2 does without (RFC 8441, 5)
_ACCEPT: Final = b"sec-websocket-accept"
_BLANKS: Final = b" \t"


class _Spelt(dict[bytes, bytes]):
    """Names of an answer's fields in HTTP/1, to how HTTP/2 spells them: empty where it has none of the kind."""

    def __missing__(self, name: bytes) -> bytes:
        spelt = b"" if kinds[name] in _OF_HTTP1 else lowered[name]
        if len(self) < MEMO:
            self[name] = spelt
        return spelt


_spelt = _Spelt()


def make_request(stream_id: int, head: Head, end: bool, meshed: bool = False) -> Request:
    """
    A request that is ready to be sent on.

    @param end: whether it is all there
    @param meshed: whether the client is another proxy, whose identity was verified
    """
    method = head.method
    if method == b"CONNECT":
        # what follows is no body
        framing = 0
    elif head.length != NO_LENGTH:
        framing = head.length
    else:
        framing = 0 if end else CHUNKED
    fields = head.fields
    target = head.path or head.authority
    if head.seen & _SPECIAL:
        request = Request(method, target, _kept(fields, head.seen), framing, head.authority, False)
        _special(request, fields)
        if meshed:
            unpack(fields, request)
    else:
        request = Request(method, target, fields, framing, head.authority, False)
    request.stream_id = stream_id
    request.protocol = head.protocol
    if head.seen & _TRACE:
        request.traced = True
    if method == b"POST":
        recognise(request)
    return request


def _kept(fields: Headers, seen: int) -> Headers:
    return [field for field in fields if kinds[field[0]] != DROP] if seen & 1 << DROP else fields


def _special(request: Request, fields: Headers) -> None:
    for name, value in fields:
        kind = kinds[name]
        if kind in (AUTHORIZATION, PROXY_AUTHORIZATION):
            request.private = request.private or of_connection(value)
        if kind in (PROXY_AUTHORIZATION, PROXY_CHALLENGE):
            request.proxied = request.special = True
        elif kind == HOPS and request.method in (b"OPTIONS", b"TRACE"):
            request.hops = request.special = True


def answer_fields(head: Response) -> Headers:
    """The fields of an answer, or a 1xx before it."""
    status = head.status
    fields: Headers = [(b":status", b"200" if status == 200 else b"%d" % status)]
    if head.http2:
        fields += head.headers
        return fields
    for name, value in head.headers:
        spelt = _spelt[name]
        if spelt:
            if value[-1:] in _BLANKS:
                value = value.rstrip(_BLANKS)
            fields.append((spelt, value))
    return fields


def tunnel_fields(head: Response) -> Headers:
    """Those of the answer that makes a tunnel of a stream: always a 200, whatever HTTP/1 says for it."""
    fields: Headers = [(b":status", b"200")]
    for name, value in head.headers:
        if kinds[name] not in _OF_MESSAGES and lowered[name] != _ACCEPT:
            fields.append((lowered[name], value.rstrip(_BLANKS)))
    return fields


def trailer_section(trailers: Headers) -> Headers:
    """Trailers, as HTTP/2 spells them."""
    return [(lowered[name], value.strip(_BLANKS)) for name, value in trailers]
