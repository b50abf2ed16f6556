# -*- test-case-name: tests.protocols.http.profile.test_answer -*-
"""
What a route answers by itself: always the same, or where else to ask.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from lproxy.profile import Answer, Condition, Redirect
from lproxy.protocols.http.message import Headers, Rejected, Request, Response
from lproxy.protocols.http.profile.edit import Edit
from lproxy.protocols.http.profile.rewrite import NewPath

#: ports that a URL of the scheme does not name
_DEFAULT: Final = {b"http": b"80", b"https": b"443"}
#: what a URL has none of, whoever has written it
_NOT_IN_URL: Final = re.compile(rb"[^\x21-\x7e]|[\"<>\\^`{|}]")


class Static:
    """
    The same answer for everybody.

    @param response: what becomes of its fields, if anything
    """

    __slots__ = ("_body", "_headers", "_reason", "_status")

    def __init__(self, answer: Answer, response: Edit | None) -> None:
        self._status: int = answer.status
        self._reason: bytes = _phrase(answer.status)
        bodiless = answer.status in (204, 304)
        self._body: bytes = b"" if bodiless else answer.body.encode("utf-8")
        headers: Headers = []
        if self._body and answer.content_type:
            headers.append((b"content-type", answer.content_type.encode("utf-8")))
        if not bodiless:
            headers.append((b"content-length", b"%d" % len(self._body)))
        self._headers: Headers = response.apply(headers, True) if response is not None else headers

    def to(self, request: Request, https: bool) -> tuple[Response, bytes]:
        """
        The answer to C{request}, and its body.

        @raise Rejected: it asks for a connection, which nobody has who is answered with a page
        """
        if request.method == b"CONNECT" and self._status < 300:
            raise Rejected("", 400, "connect", "asks for a connection, and its route has none")
        # as servers and clients may take out fields of it, each has its own
        head = Response(self._status, self._reason, list(self._headers), len(self._body), ours=True)
        return head, b"" if request.method == b"HEAD" else self._body


class Elsewhere:
    """
    A redirect.

    @param condition: the route's
    @param response: what becomes of its answers' fields, if anything
    """

    __slots__ = ("_host", "_path", "_port", "_reason", "_response", "_scheme", "_status")

    def __init__(self, redirect: Redirect, condition: Condition, response: Edit | None) -> None:
        self._status: int = redirect.status
        self._reason: bytes = _phrase(redirect.status)
        self._scheme: bytes = redirect.scheme.lower().encode("ascii")
        host, port = _split(redirect.host.encode("ascii"))
        self._host: bytes = host
        self._port: bytes = b"%d" % redirect.port if redirect.port is not None else port
        self._path: NewPath = NewPath(redirect.path, redirect.prefix, condition)
        self._response: Edit | None = response

    def to(self, request: Request, https: bool) -> tuple[Response, bytes]:
        """
        The answer to C{request}, and its body, which is empty.

        @param https: whether it was asked by https
        @raise Rejected: it asks for no URL that could be found elsewhere
        """
        if not request.authority or (request.method == b"CONNECT" and not request.protocol):
            raise Rejected("", 400, "host", "names no host that could be asked elsewhere")
        headers: Headers = [(b"location", self._location(request, https)), (b"content-length", b"0")]
        if self._response is not None:
            headers = self._response.apply(headers, True)
        return Response(self._status, self._reason, headers, 0, ours=True), b""

    def _location(self, request: Request, https: bool) -> bytes:
        scheme = self._scheme or (b"https" if https else b"http")
        host, port = _split(request.authority)
        if self._scheme:
            # another scheme is spoken at another port
            port = b""
        port = self._port or port
        authority = self._host or host
        if port and port != _DEFAULT.get(scheme):
            authority += b":" + port
        target = self._path.of(request.target if request.target[:1] == b"/" else b"/")
        return scheme + b"://" + authority + _NOT_IN_URL.sub(_escaped, target)


def _split(authority: bytes) -> tuple[bytes, bytes]:
    """Host and port, which is empty where there is none. A colon within brackets is an IPv6 address's."""
    host, colon, port = authority.rpartition(b":")
    return (host, port) if colon and b"]" not in port else (authority, b"")


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]
