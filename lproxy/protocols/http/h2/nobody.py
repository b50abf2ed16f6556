# -*- test-case-name: tests.protocols.http.h2.test_nobody -*-
"""
Whom an engine of HTTP/2 tells when its connection is gone: it may be in the middle of what was read.
"""

from __future__ import annotations

from typing import Final

from lproxy.protocols.http.h2.engine import Handler, Head
from lproxy.protocols.http.message import Headers


class Nobody(Handler):
    """Hears what is said on a connection that is gone, and does nothing about it."""

    __slots__ = ()

    def headers(self, stream_id: int, head: Head, end: bool) -> None:
        return

    def data(self, stream_id: int, data: bytes, end: bool) -> None:
        return

    def trailers(self, stream_id: int, fields: Headers) -> None:
        return

    def oversized(self, stream_id: int, end: bool) -> None:
        return

    def stream_reset(self, stream_id: int, code: int) -> None:
        return

    def refused(self, stream_id: int, code: int, reason: str, detail: str) -> None:
        return

    def window(self, stream_id: int) -> None:
        return

    def settings(self) -> None:
        return

    def ping_acked(self, payload: bytes) -> None:
        return

    def goaway(self, last_id: int, code: int, debug: bytes) -> None:
        return


#: they need but one
NOBODY: Final = Nobody()
