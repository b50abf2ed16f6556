# -*- test-case-name: tests.protocols.http.h1.test_handshake -*-
"""
What an extended CONNECT of HTTP/2 (RFC 8441) is in HTTP/1: a GET that asks for an upgrade (RFC 9110, 7.8).

A WebSocket's handshake has a key besides, and a proof that it was understood (RFC 6455, 4.1), which HTTP/2 does
without: we make the one, and check the other.
"""

from __future__ import annotations

import os
from base64 import b64encode
from hashlib import sha1
from typing import Final

from lproxy.protocols.http.h1.encode import END, line
from lproxy.protocols.http.message import Headers, Rejected, Request, Response, find

WEBSOCKET: Final = b"websocket"
#: RFC 6455, 1.3
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def encode_handshake(request: Request) -> tuple[bytes, bytes]:
    """
    The head of the GET that asks for what C{request} does.

    @return: the head, and the proof that is expected: empty where there is none
    """
    fields: Headers = [(b"host", request.authority), (b"connection", b"Upgrade"), (b"upgrade", request.protocol)]
    proof = b""
    if request.protocol == WEBSOCKET:
        key = b64encode(os.urandom(16))
        fields.append((b"sec-websocket-key", key))
        proof = b64encode(sha1(key + GUID).digest())
    start = b"GET %b HTTP/1.1" % request.target
    return b"\r\n".join([start, *map(line, fields), *map(line, request.headers), END]), proof


def check(head: Response, proof: bytes) -> None:
    """
    Whether C{head} answers such a handshake.

    @raise Rejected: it says that something was agreed upon, which was not
    """
    if head.status == 101:
        if proof and (find(head.headers, b"sec-websocket-accept") or b"").strip(b" \t") != proof:
            raise Rejected("", 502, "upgrade", "a WebSocket is accepted without the proof that it was understood")
    elif 200 <= head.status < 300:
        # which would say in HTTP/2 that it was
        raise Rejected("", 502, "upgrade", f"{head.status} where 101 was asked for")
