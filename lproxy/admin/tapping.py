# -*- test-case-name: tests.admin.test_tapping -*-
"""
C{/tap}: a line of JSON for each request or connection as it ends, for as long as somebody reads.

What is said is what the access log would say, less what is nobody else's affair: of URLs the path alone, as queries
carry secrets. Bodies are never seen. There are so many lines a second and no more; how many were left out is said in
the next. Where nobody reads, nothing is made for anybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.web import server
from zope.interface import implementer

from lproxy.admin.pages import Page, goodbye, is_loopback, say
from lproxy.protocols.taps import Row

LINES = b"application/x-ndjson"
#: lines a second that one reader gets, and readers that there may be
RATE: Final = 200
READERS: Final = 5
#: values that are addresses: without what follows the question mark
URLS: Final = ("path", "referer")
#: kinds of rows
KINDS: Final = ("request", "connection")
#: what a status may be asked for by; 0 is that of what was not answered
STATUSES: Final = re.compile("(0|[1-9][0-9x]{2})(,(0|[1-9][0-9x]{2}))*")


def matches(row: Row, wanted: Mapping[str, str]) -> bool:
    """Whether C{row} is one of those that are C{wanted}."""
    return all(FILTERS[name](row, value) for name, value in wanted.items())


def _has(key: str, row: Row, value: str) -> bool:
    return value in str(row.get(key) or "")


def _is(key: str, row: Row, value: str) -> bool:
    return str(row.get(key) or "") == value


def _status(row: Row, value: str) -> bool:
    """Any of several, each a number or as C{5xx}."""
    status = str(row.get("status", ""))
    return any(
        len(one) == len(status) and all(a in ("x", b) for a, b in zip(one, status, strict=True))
        for one in value.lower().split(",")
    )


def _path(row: Row, value: str) -> bool:
    return str(row.get("path") or "").startswith(value)


def _method(row: Row, value: str) -> bool:
    return str(row.get("method") or "").upper() == value.upper()


#: what rows may be asked for by
FILTERS: Final[Mapping[str, Callable[[Row, str], bool]]] = {
    "service": partial(_has, "target"),
    "status": _status,
    "listener": partial(_is, "listener"),
    "kind": partial(_is, "kind"),
    "protocol": partial(_has, "protocol"),
    "method": _method,
    "route": partial(_is, "route"),
    "path": _path,
    "client": partial(_has, "client"),
    "upstream": partial(_has, "upstream"),
    "identity": partial(_has, "remote_identity"),
}


def wrong(wanted: Mapping[str, str], listeners: Iterable[str]) -> str | None:
    """
    What is wrong with C{wanted}, if anything: whoever asks for what there is never would wait for ever.

    @param listeners: the names of all that there are
    """
    for name, value in wanted.items():
        if name not in FILTERS:
            return f"there is no filter {name!a}; there are {', '.join(FILTERS)}"
        if name == "status" and value and STATUSES.fullmatch(value.lower()) is None:
            return f"{value!a} is no status: write 503, 5xx, or several with commas"
        if name == "kind" and value not in ("", *KINDS):
            return f"there is no kind {value!a}; there are {', '.join(KINDS)}"
        known = sorted(listeners)
        if name == "listener" and value and value not in known:
            return f"there is no listener {value!a}; there are {', '.join(known)}"
    return None


@implementer(IPushProducer)
class Reader:
    """
    Somebody who reads.

    @ivar wanted: what, by the names of filters
    """

    def __init__(self, request: Any, wanted: Mapping[str, str], clock: IReactorTime) -> None:
        self._request = request
        self.wanted = wanted
        self._clock = clock
        self._second = clock.seconds()
        self._left = RATE
        self._ready = True
        self._dropped = 0
        request.registerProducer(self, True)

    def __call__(self, row: Row) -> None:
        """Something is over."""
        if matches(row, self.wanted):
            self.passed(row)

    def passed(self, row: Row) -> None:
        """
        It is wanted.

        @param row: its C{dropped} says how many were left out before it, where it comes from another process
        """
        self._dropped += row.get("dropped", 0)
        now = self._clock.seconds()
        if now - self._second >= 1.0 or now < self._second:
            self._second, self._left = now, RATE
        if not (self._ready and self._left):
            self._dropped += 1
            return
        self._left -= 1
        said = {name: _without_query(value) if name in URLS else value for name, value in row.items()}
        if self._dropped:
            said["dropped"], self._dropped = self._dropped, 0
        self._request.write(json.dumps(said).encode() + b"\n")

    def leave(self) -> None:
        """Another process tells it from now on."""
        goodbye(self._request)

    def pauseProducing(self) -> None:
        """It does not keep up."""
        self._ready = False

    def resumeProducing(self) -> None:
        """It has read that."""
        self._ready = True

    def stopProducing(self) -> None:
        """It is gone."""
        self._ready = False


class Watched(Protocol):
    """Where readers are told what is over, as by L{lproxy.protocols.taps.Taps}."""

    def add(self, reader: Reader, /) -> None:
        """Have it told from now on."""

    def remove(self, reader: Reader, /) -> None:
        """It is told no more; harmless to be done twice."""


class Tap(Page):
    """The page."""

    allowed = ("GET",)

    def __init__(self, taps: Watched, listeners: Callable[[], Iterable[str]], clock: IReactorTime) -> None:
        """
        @param listeners: the names of those that there are
        """
        super().__init__()
        self._taps = taps
        self._listeners = listeners
        self._clock = clock
        self._readers: dict[Reader, None] = {}
        self._left = False

    def render_GET(self, request: Any) -> Any:
        """Until the client is gone."""
        if not is_loopback(request.getClientAddress().host):
            return say(request, 403, "from this machine only")
        args = {_text(key): _text(values[0]) for key, values in request.args.items()}
        if (why := wrong(args, self._listeners())) is not None:
            return say(request, 400, why)
        if len(self._readers) >= READERS:
            return say(request, 503, f"{READERS} read already")
        request.setHeader(b"content-type", LINES)
        request.setHeader(b"x-accel-buffering", b"no")
        # so that it knows that it is heard
        request.write(b"\n")
        reader = Reader(request, {name: value for name, value in args.items() if value}, self._clock)
        self._readers[reader] = None
        self._taps.add(reader)
        request.notifyFinish().addBoth(self._gone, reader)
        if self._left:
            # by a connection of before
            reader.leave()
        return server.NOT_DONE_YET

    def leave(self) -> None:
        """Those who read come again, to the process that has taken our place."""
        self._left = True
        for reader in list(self._readers):
            reader.leave()

    def _gone(self, _: object, reader: Reader) -> None:
        self._readers.pop(reader, None)
        self._taps.remove(reader)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _without_query(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    path, mark, query = value.partition("?")
    return f"{path}?..." if mark and query else value
