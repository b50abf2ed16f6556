# -*- test-case-name: tests.protocols.http.profile.test_sticky -*-
"""
By what the requests of one client are known, to be served by the same endpoint, and backend, as long as that serves.
"""

from __future__ import annotations

from lproxy.api import Hint
from lproxy.profile import Sticky
from lproxy.protocols.http.message import Request


class Sticking:
    """A L{Sticky}, ready to be asked."""

    __slots__ = ("_cookie", "_header")

    def __init__(self, sticky: Sticky) -> None:
        self._header: bytes = sticky.header.lower().encode()
        self._cookie: bytes = sticky.cookie.encode()

    def hint(self, request: Request) -> Hint | None:
        """With the field's value, or else the cookie's; C{None}: C{request} has neither, and goes to anybody."""
        key = self._field(request) if self._header else b""
        if not key and self._cookie:
            key = self._of_cookie(request)
        return Hint(key) if key else None

    def _field(self, request: Request) -> bytes:
        if self._header == b"host":
            # HTTP/2 has it elsewhere
            return request.authority.lower()
        return b",".join([value for name, value in request.headers if name.lower() == self._header])

    def _of_cookie(self, request: Request) -> bytes:
        """The first of that name (RFC 6265, 5.4), in whichever field: HTTP/2 may have several."""
        for name, value in request.headers:
            if name.lower() == b"cookie":
                for pair in value.split(b";"):
                    cookie, _, said = pair.strip(b" \t").partition(b"=")
                    if cookie == self._cookie:
                        return said
        return b""
