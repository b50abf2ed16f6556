# -*- test-case-name: tests.protocols.http.h2.test_outward -*-
"""
Heads on their way through an upstream that speaks HTTP/2: a request of either version as fields, and an answer of
fields as both versions have it (RFC 9113, 8.3 and 8.5; RFC 8441).

C{:scheme} is how the upstream's own connection is secured, as servers are entitled to check: what the client's was is
said by X-Forwarded-Proto, where somebody asked for that.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from http import HTTPStatus
from typing import Final

from lproxy.protocols.http.h2.engine import Head
from lproxy.protocols.http.h2.fields import lowered
from lproxy.protocols.http.message import (
    CHALLENGE,
    CONNECTION,
    DROP,
    ENCODING,
    HOST_FIELD,
    LENGTH,
    PROXY_CHALLENGE,
    TE,
    UNTIL_CLOSE,
    UPGRADE,
    Headers,
    Request,
    Response,
    find,
    kinds,
    of_connection,
)

#: what HTTP/1 wants to read behind a status, and HTTP/2 has not
REASONS: Final[dict[int, bytes]] = {int(status): status.phrase.encode("ascii") for status in HTTPStatus}

_SECURE: Final = (b":scheme", b"https")
_PLAIN: Final = (b":scheme", b"http")
_CONNECT: Final = (b":method", b"CONNECT")
_WEBSOCKET: Final = (b":protocol", b"websocket")
#: what an answer's fields may be, that calls for a closer look
_CHECKED: Final = 1 << DROP | 1 << TE | 1 << CHALLENGE | 1 << PROXY_CHALLENGE
_LENGTH: Final = 1 << LENGTH
#: what a request of HTTP/1 may still have of its connection; of what its reader takes out, l5d-*, we have our own since
_OF_CONNECTION: Final = frozenset((HOST_FIELD, ENCODING, CONNECTION, UPGRADE))
_BLANKS: Final = b" \t"
#: what only the handshake of a WebSocket over HTTP/1 has (RFC 8441, 5)
_KEY: Final = b"sec-websocket-key"
_ACCEPT: Final = b"sec-websocket-accept"
#: RFC 6455, 1.3
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def websocket(request: Request) -> bool:
    """Whether C{request}, of HTTP/1, asks to become a WebSocket."""
    return request.upgrade and (find(request.headers, b"upgrade") or b"").strip().lower() == b"websocket"


def request_fields(request: Request, secure: bool) -> Headers:
    """
    C{request} as HTTP/2 has it: pseudo-fields first, names in lower case, nothing of its connection.

    An upgrade to a WebSocket becomes an extended CONNECT; any other is left out, as a server may do itself.

    @param secure: whether the upstream's connection is
    """
    scheme = _SECURE if secure else _PLAIN
    if request.stream_id and request.target[:1] == b"/":
        if request.protocol:
            return [
                _CONNECT,
                (b":protocol", request.protocol),
                scheme,
                (b":authority", request.authority),
                (b":path", request.target),
                *request.headers,
            ]
        return [
            (b":method", request.method),
            scheme,
            (b":authority", request.authority),
            (b":path", request.target),
            *request.headers,
        ]
    authority = request.authority
    fields: Headers = []
    for field in request.headers:
        name, value = field
        kind = kinds[name]
        if kind and kind in _OF_CONNECTION:
            if kind == HOST_FIELD and value:
                authority = value
            continue
        # llhttp leaves blanks behind values, which HTTP/2 does not allow
        fields.append((lowered[name], value if value[-1:] not in _BLANKS else value.rstrip(_BLANKS)))
    target = request.target
    if request.method == b"CONNECT":
        return [_CONNECT, (b":authority", target), *fields]
    if target[:1] != b"/" and target != b"*":
        # in absolute form, for a proxy: its parts have fields of their own
        scheme, authority, target = _parts(target)
    if websocket(request):
        fields = [field for field in fields if field[0] != _KEY]
        return [_CONNECT, _WEBSOCKET, scheme, (b":authority", authority), (b":path", target), *fields]
    return [(b":method", request.method), scheme, (b":authority", authority), (b":path", target), *fields]


def _parts(absolute: bytes) -> tuple[tuple[bytes, bytes], bytes, bytes]:
    scheme, _, rest = absolute.partition(b"://")
    authority, slash, path = rest.partition(b"/")
    authority, question, query = authority.partition(b"?")
    if question:
        path = b"/?" + query + slash + path
    else:
        path = b"/" + path
    return _SECURE if scheme.lower() == b"https" else _PLAIN, authority, path


def answer(head: Head, method: bytes) -> Response:
    """
    The answer that C{head} is to a request of C{method}.

    As with HTTP/1, what says how long a body is stays where there is one, or would be (HEAD, 304).
    """
    status, fields = head.status, head.fields
    private = proxied = False
    bodiless = status < 200 or status == 204
    if head.seen & (_CHECKED | _LENGTH if bodiless else _CHECKED):
        kept: Headers = []
        for field in fields:
            kind = kinds[field[0]]
            if kind in (CHALLENGE, PROXY_CHALLENGE):
                private = private or (status in (401, 407) and of_connection(field[1]))
                proxied = proxied or kind == PROXY_CHALLENGE
            elif kind in (DROP, TE) or (bodiless and kind == LENGTH):
                continue
            kept.append(field)
        fields = kept
    if status < 200 or status in (204, 304) or method == b"HEAD":
        framing = 0
    else:
        framing = head.length if head.length >= 0 else UNTIL_CLOSE
    response = Response(status, REASONS.get(status, b""), fields, framing)
    response.http2 = True
    response.private = private
    response.proxied = proxied
    return response


def switching(head: Head, request: Request) -> Response:
    """
    What C{request} asked for is granted: the stream is bytes from now on.

    @return: to a client of HTTP/1 that asked for a WebSocket what that expects (RFC 6455, 4.2.2), with the proof that
        it was understood; else the answer as it is
    """
    response = answer(head, request.method)
    response.framing = 0
    response.headers = [field for field in response.headers if kinds[field[0]] != LENGTH]
    if not request.stream_id and request.upgrade:
        response.status = 101
        response.reason = REASONS[101]
        key = (find(request.headers, _KEY) or b"").strip()
        response.headers = [
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Accept", b64encode(sha1(key + _GUID).digest())),
            *[field for field in response.headers if field[0] != _ACCEPT],
        ]
    return response
