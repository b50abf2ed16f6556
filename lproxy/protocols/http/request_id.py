# -*- test-case-name: tests.protocols.http.test_request_id -*-
"""
X-Request-Id: a name for each request, by which it is found in everybody's logs.
"""

from __future__ import annotations

import re
from typing import Final

from lproxy.api import Conn
from lproxy.config import Listen
from lproxy.protocols.http.digits import Digits
from lproxy.protocols.http.message import MEMO, Headers, Request
from lproxy.transport.networks import Networks

#: what is kept of others': something that can stand in a log, and is not long
_KEPT: Final = re.compile(rb"[\x21-\x7e]{1,128}")


class _Ours(dict[bytes, bool]):
    """Names as they were spelt, to whether they are this one."""

    def __missing__(self, name: bytes) -> bool:
        ours = name.lower().replace(b"_", b"-") == b"x-request-id"
        if len(self) < MEMO:
            self[name] = ours
        return ours


_is_id = _Ours()


class RequestIds:
    """What a listener does about it."""

    __slots__ = ("_digits", "_keeps", "_tells", "_trusted")

    def __init__(self, listen: Listen, digits: Digits) -> None:
        self._digits = digits
        self._keeps = listen.request_id == "keep"
        self._trusted = Networks(listen.trusted) if listen.trusted else None
        self._tells = listen.request_id_reply

    def apply(self, request: Request, conn: Conn) -> None:
        """Have C{request}, which came on C{conn}, one id."""
        headers = request.headers
        said = [value for name, value in headers if _is_id[name]]
        known = b""
        if said:
            if self._keeps and len(said) == 1 and (self._trusted is None or self._trusted.has(conn.peer[0])):
                match = _KEPT.fullmatch(said[0].strip(b" \t"))
                known = match[0] if match is not None else b""
            if not known:
                headers = [field for field in headers if not _is_id[field[0]]]
        request.id = known or self._digits.uuid()
        if not known:
            name = b"x-request-id" if request.stream_id else b"X-Request-Id"
            request.headers = [*headers, (name, request.id)]
        request.id_told = self._tells


def tell(headers: Headers, request: Request) -> Headers:
    """An answer's fields, with the id of C{request} in the place of the upstream's own."""
    name = b"x-request-id" if request.stream_id else b"X-Request-Id"
    return [*(field for field in headers if not _is_id[field[0]]), (name, request.id)]
