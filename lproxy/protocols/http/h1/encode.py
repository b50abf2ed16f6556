# -*- test-case-name: tests.protocols.http.h1.test_encode -*-
"""
Heads as HTTP/1.1 (RFC 9112), from messages.
"""

from __future__ import annotations

from typing import Final

from lproxy.protocols.http.message import CHUNKED, ENCODING, UNTIL_CLOSE, Headers, Request, Response, kinds

CLOSE: Final = b"Connection: close\r\n"
#: in the spelling of our own answers
CLOSE_OURS: Final = b"connection: close\r\n"
KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"
TRANSFER_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


#: a field's name and value, as a line; faster than formatting, which a request and its answer do for each of theirs
line: Final = b": ".join
END: Final = b"\r\n"


def encode_request(request: Request) -> bytes:
    """A request's head. One that came in HTTP/2 gets the fields that only HTTP/1 has."""
    if request.stream_id:
        host: Headers = [(b"host", request.authority)]
        if request.framing == CHUNKED:
            host.append((b"transfer-encoding", b"chunked"))
        return b"\r\n".join(
            [b"%b %b HTTP/1.1" % (request.method, request.target), *map(line, host), *map(line, request.headers), END]
        )
    return b"\r\n".join([b"%b %b HTTP/1.1" % (request.method, request.target), *map(line, request.headers), END])


def encode_interim(response: Response) -> bytes:
    """The head of an answer that says nothing of the connection: a 1xx, or the last before a tunnel."""
    return b"\r\n".join([b"HTTP/1.1 %d %b" % (response.status, response.reason), *map(line, response.headers), END])


def encode_response(response: Response, version: int, last: bool) -> bytes:
    """
    A response's head, with what its connection and its body need to be understood.

    A body of unknown length goes in chunks; to HTTP/1.0, which knows none, it ends with the connection.

    @param version: of the request, 10 or 11
    @param last: whether the connection ends with it
    """
    headers, end = response.headers, END
    if version == 10:
        headers = [field for field in headers if kinds[field[0]] != ENCODING]
        if not last:
            end = KEEP_ALIVE + END
    elif response.framing == UNTIL_CLOSE:
        end = TRANSFER_CHUNKED + END
    if last:
        end = (CLOSE_OURS if response.ours else CLOSE) + end
    return b"\r\n".join([b"HTTP/1.1 %d %b" % (response.status, response.reason), *map(line, headers), end])
