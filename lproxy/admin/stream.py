# -*- test-case-name: tests.admin.test_stream -*-
"""
Long answers, piece by piece, so that they do not hold up the traffic that they tell of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.internet import task
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web import server
from zope.interface import implementer

from lproxy.admin.pages import Page
from lproxy.admin.pages import failed as log_failed

#: rows encoded before others get a turn: about a millisecond
ROWS = 20


def array(rows: Iterable[dict[str, Any]], failed: Callable[[str, Failure], None]) -> Iterator[bytes]:
    """
    C{rows} as JSON, in pieces. In the place of one that is no JSON there is an error.

    @param failed: told of that, and the row's C{protocol}
    """
    text = "["
    for n, row in enumerate(rows):
        text += f"{',' if n else ''}\n{_encoded(row, failed)}"
        if n % ROWS == ROWS - 1:
            yield text.encode()
            text = ""
    yield f"{text}\n]\n".encode()


def _encoded(row: dict[str, Any], failed: Callable[[str, Failure], None]) -> str:
    try:
        return json.dumps(row, indent=2)
    except Exception as e:
        protocol = str(row.get("protocol", "lproxy"))
        failed(protocol, Failure())
        return json.dumps({"protocol": protocol, "error": f"no JSON: {type(e).__name__}"}, indent=2)


class Stream(Page):
    """
    An answer in pieces.

    @param pieces: makes them, for a request
    @param cooperate: as L{task.cooperate}: runs the pieces of an answer, with other work in between
    """

    def __init__(self, kind: bytes, pieces: Callable[[Any], Iterator[bytes]], cooperate: Any) -> None:
        super().__init__()
        self._kind = kind
        self._pieces = pieces
        self._cooperate = cooperate

    def render_GET(self, request: Any) -> Any:
        """As fast as others, and the client, leave time for it."""
        return send(request, self._kind, self._pieces(request), self._cooperate)


def send(request: Any, kind: bytes, pieces: Iterator[bytes], cooperate: Any) -> Any:
    """Answer with C{pieces}; what a page returns."""
    # what cannot even begin is still answered with 500
    first = next(pieces)
    request.setHeader(b"content-type", kind)
    if request.method == b"HEAD":
        return b""
    request.write(first)
    _Writing(request, pieces, cooperate)
    return server.NOT_DONE_YET


@implementer(IPushProducer)
class _Writing:
    """Writes what is left of an answer, and ends it."""

    def __init__(self, request: Any, pieces: Iterator[bytes], cooperate: Any) -> None:
        self._request = request
        self._task = cooperate(request.write(piece) for piece in pieces)
        self._paused = False
        self._task.whenDone().addCallbacks(self._done, self._broken)
        request.notifyFinish().addErrback(lambda _: self.stopProducing())
        request.registerProducer(self, True)

    def pauseProducing(self) -> None:
        """The client has enough to read for now."""
        if not self._paused:
            self._paused = True
            self._task.pause()

    def resumeProducing(self) -> None:
        """It has read that."""
        if self._paused:
            self._paused = False
            self._task.resume()

    def stopProducing(self) -> None:
        """It is gone."""
        try:
            self._task.stop()
        except task.TaskFinished:
            pass

    def _done(self, _: object) -> None:
        self._request.unregisterProducer()
        self._request.finish()

    def _broken(self, failure: Failure) -> None:
        if not failure.check(task.TaskStopped):
            log_failed(self._request, failure)
            # never a clean end for half an answer
            self._request.channel.transport.abortConnection()
