# -*- test-case-name: tests.stack.test_tried -*-
"""
Which endpoint was tried, where nothing came of that: for the access log, which names it all the same.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError

from lproxy.errors import ProxyError
from lproxy.target import Endpoint


class GaveUp(CancelledError):
    """
    An acquisition was cancelled; the text says what it was waiting for.

    @ivar endpoint: whom it was connecting to, if anybody
    """

    def __init__(self, text: str, endpoint: Endpoint | None = None) -> None:
        super().__init__(text)
        self.endpoint = endpoint


def tried(error: BaseException | None) -> Endpoint | None:
    """The endpoint that C{error}, or what it was caused by, is about: the last of several."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        about = error.target if isinstance(error, ProxyError) else error.endpoint if isinstance(error, GaveUp) else None
        if isinstance(about, Endpoint):
            return about
        error = error.__cause__
    return None
