# -*- test-case-name: tests.protocols.http.test_carried -*-
"""
From lproxy to lproxy: requests of either version travel on the same HTTP/2 connections, and say what they were.

Where both ends have identities the outbound proxy speaks HTTP/2 to the inbound one, as ALPN has it, and
C{l5d-orig-proto} says in which version a request came to it. The inbound proxy goes on in that, so that an application
sees what its client has sent. The field is taken from peers alone whose identity was verified, and never passed on.
What wants a connection to itself (L{lproxy.protocols.http.upstreams.single}) travels on one of HTTP/1.1.
"""

from __future__ import annotations

from typing import Final

from lproxy.protocols.http.message import Headers, Request

#: linkerd's name for it, and its value
ORIGINAL: Final = b"l5d-orig-proto"
HTTP1: Final = (ORIGINAL, b"HTTP/1.1")
HTTP2: Final = (ORIGINAL, b"HTTP/2")


def carry(fields: Headers, request: Request) -> Headers:
    """C{fields} of C{request} for another proxy, which is to know in which version it came."""
    return [*fields, HTTP2 if request.stream_id else HTTP1]


def unpack(fields: Headers, request: Request) -> None:
    """Have C{request}, whose C{fields} a verified peer has sent, know what it was."""
    for name, value in fields:
        if name == ORIGINAL:
            request.original = 1 if value.startswith(b"HTTP/1.") else 2
