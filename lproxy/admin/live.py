# -*- test-case-name: tests.admin.test_live -*-
"""
The page for people, and what changes of it, every two seconds, for as long as somebody watches (server-sent events).

Where nobody does, nothing is looked at and no timer runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web import server
from zope.interface import implementer

from lproxy.admin.overview import NAMES, Proxy, look, overview
from lproxy.admin.page import main, page
from lproxy.admin.pages import HTML, Page, body, log, say
from lproxy.admin.window import Window
from lproxy.metrics.family import Family

EVENTS = b"text/event-stream"
#: seconds between two looks
INTERVAL = 2.0
#: pages that may be open at once
VIEWERS = 20
#: characters of a filter
FILTER = 200
#: seconds for which the looks of the last viewer are good enough for the next
STALE = 10.0


@implementer(IPushProducer)
class Viewer:
    """
    Somebody who watches.

    @ivar wanted: what the services and routes have in their names that are watched
    @ivar ready: whether what was sent before was taken: a slow reader misses pictures instead of piling them up
    """

    def __init__(self, request: Any, wanted: str) -> None:
        self._request = request
        self.wanted = wanted
        self.ready = True
        request.registerProducer(self, True)

    def tell(self, event: bytes) -> None:
        """Send C{event}."""
        self._request.write(event)

    def end(self) -> None:
        """Something went wrong: it connects anew, or sees that it is over."""
        self._request.channel.transport.abortConnection()

    def pauseProducing(self) -> None:
        """Enough for now."""
        self.ready = False

    def resumeProducing(self) -> None:
        """It has read that."""
        self.ready = True

    def stopProducing(self) -> None:
        """It is gone."""
        self.ready = False


class Live:
    """
    Looks at the proxy for whoever watches.

    @param families: what metrics say at this moment
    @param now: seconds of the epoch
    """

    def __init__(
        self, proxy: Proxy, families: Callable[[], Iterable[Family]], clock: IReactorTime, now: Callable[[], float]
    ) -> None:
        self._proxy = proxy
        self._now = now
        self._families = families
        self._clock = clock
        self._window = Window(NAMES)
        self._looked = 0.0
        self._viewers: dict[Viewer, None] = {}
        self._timer: IDelayedCall | None = None

    def __repr__(self) -> str:
        return f"<Live {len(self._viewers)} viewers>"

    def page(self, pages: dict[str, str], wanted: str) -> bytes:
        """The whole page, as of now."""
        if self._timer is None:
            self._look()
        return page(overview(self._proxy, self._window, wanted), pages, self._now(), wanted)

    def watch(self, request: Any, wanted: str) -> bool:
        """Tell C{request} whatever changes until it is gone; C{False} where too many are told already."""
        if len(self._viewers) >= VIEWERS:
            return False
        viewer = Viewer(request, wanted)
        self._viewers[viewer] = None
        request.notifyFinish().addBoth(self._gone, viewer)
        if self._timer is None:
            self._timer = self._clock.callLater(INTERVAL, self._tick)
        return True

    def _gone(self, _: object, viewer: Viewer) -> None:
        self._viewers.pop(viewer, None)
        timer = self._timer
        if not self._viewers and timer is not None:
            self._timer = None
            timer.cancel()

    def _look(self) -> None:
        now = self._clock.seconds()
        if now - self._looked > STALE:
            self._window.forget()
        self._looked = now
        look(self._window, self._families(), now)

    def _tick(self) -> None:
        self._timer = self._clock.callLater(INTERVAL, self._tick)
        self._look()
        events: dict[str, bytes] = {}
        for viewer in list(self._viewers):
            if not viewer.ready:
                continue
            try:
                event = events.get(viewer.wanted)
                if event is None:
                    event = events[viewer.wanted] = self._event(viewer.wanted)
                viewer.tell(event)
            except Exception:
                log.failure("admin server: the page failed")
                viewer.end()

    def _event(self, wanted: str) -> bytes:
        text = main(overview(self._proxy, self._window, wanted), self._now(), wanted)
        return b"data: " + json.dumps(text).encode() + b"\n\n"


class Overview(Page):
    """The page."""

    def __init__(self, live: Live, pages: dict[str, str]) -> None:
        super().__init__()
        self._live = live
        self._pages = pages

    def render_GET(self, request: Any) -> bytes:
        """As of now."""
        return body(request, HTML, self._live.page(self._pages, wanted(request)))


class Events(Page):
    """What changes of it."""

    allowed = ("GET",)

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live

    def render_GET(self, request: Any) -> Any:
        """Until the client is gone."""
        if not self._live.watch(request, wanted(request)):
            return say(request, 503, f"{VIEWERS} pages are open already")
        request.setHeader(b"content-type", EVENTS)
        request.setHeader(b"x-accel-buffering", b"no")
        request.write(b": lproxy\n\n")
        return server.NOT_DONE_YET


def wanted(request: Any) -> str:
    """The filter of a request: C{?q=}."""
    asked: bytes = (request.args.get(b"q") or [b""])[0]
    return asked.decode("utf-8", "replace")[:FILTER]
