# -*- test-case-name: tests.admin.test_live -*-
"""
The page for people, and what changes of it, every two seconds, for as long as somebody watches (server-sent events).

Where nobody does, nothing is looked at and no timer runs. Where there is so much to look at that it takes its time, it
is looked at less often: a hundredth of the time goes into it at most.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web import server
from zope.interface import implementer

from lproxy.admin.interface import Proxy
from lproxy.admin.order import SORTS, Asked, Traffic
from lproxy.admin.overview import NAMES, Shown, look, overview
from lproxy.admin.page import main, page
from lproxy.admin.pages import HTML, JSON, Page, as_json, body, goodbye, log, say, wants_json
from lproxy.admin.window import Window
from lproxy.metrics.family import Family

EVENTS = b"text/event-stream"
#: seconds between two looks
INTERVAL = 2.0
#: the same, in how long a look takes
PACE = 100
#: and at most
LONGEST = 60.0
#: milliseconds after which a browser comes again whose connection was lost
AGAIN = 1_000
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

    @ivar asked: what is to be seen
    @ivar ready: whether what was sent before was taken: a slow reader misses pictures instead of piling them up
    """

    def __init__(self, request: Any, asked: Asked) -> None:
        self._request = request
        self.asked = asked
        self.ready = True
        request.registerProducer(self, True)

    def tell(self, event: bytes) -> None:
        """Send C{event}."""
        self._request.write(event)

    def leave(self) -> None:
        """Another process shows it from now on."""
        goodbye(self._request)

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
    @param before: to be waited for before each look: what others have to say
    @param cost: seconds of CPU that were used so far
    """

    def __init__(
        self,
        proxy: Proxy,
        families: Callable[[], Iterable[Family]],
        clock: IReactorTime,
        now: Callable[[], float],
        cost: Callable[[], float] = time.process_time,
        before: Callable[[], Deferred[None]] | None = None,
    ) -> None:
        self._proxy = proxy
        self._before = before
        self._now = now
        self._families = families
        self._clock = clock
        self._cost = cost
        self._interval = INTERVAL
        self._asking = False
        self._window = Window(NAMES)
        self._looked = 0.0
        self._viewers: dict[Viewer, None] = {}
        self._timer: IDelayedCall | None = None
        #: whether another process has our place
        self.left = False

    def __repr__(self) -> str:
        return f"<Live {len(self._viewers)} viewers>"

    def page(self, pages: dict[str, str], asked: Asked) -> bytes:
        """The whole page, as of now."""
        if self._timer is None:
            self._look()
        return page(overview(self._proxy, self._window, asked), pages, self._now(), asked)

    def values(self, asked: Asked) -> bytes:
        """The same, for programs."""
        began = self._cost()
        if self._timer is None:
            self._look()
        shown = plain(overview(self._proxy, self._window, asked))
        return as_json({**shown, "interval": self._paced(began)})

    def watch(self, request: Any, asked: Asked) -> bool:
        """Tell C{request} whatever changes until it is gone; C{False} where too many are told already."""
        if len(self._viewers) >= VIEWERS:
            return False
        viewer = Viewer(request, asked)
        self._viewers[viewer] = None
        request.notifyFinish().addBoth(self._gone, viewer)
        if self._timer is None and not self._asking:
            self._timer = self._clock.callLater(INTERVAL, self._tick)
        return True

    def leave(self) -> None:
        """Those who watch come again, to the process that has taken our place."""
        self.left = True
        for viewer in list(self._viewers):
            viewer.leave()

    def _gone(self, _: object, viewer: Viewer) -> None:
        self._viewers.pop(viewer, None)
        timer = self._timer
        if not self._viewers and timer is not None:
            self._timer = None
            timer.cancel()

    def _look(self) -> None:
        now = self._clock.seconds()
        if now - self._looked > max(STALE, 2 * self._interval):
            self._window.forget()
        self._looked = now
        look(self._window, self._families(), now)

    def _tick(self) -> None:
        self._timer = None
        if self._before is None:
            self._tell_and_go_on()
            return
        self._asking = True
        asked = self._before()
        asked.addErrback(lambda failure: log.failure("admin server: the page failed", failure))
        asked.addCallback(lambda _: self._tell_and_go_on())

    def _tell_and_go_on(self) -> None:
        self._asking = False
        began = self._cost()
        try:
            self._tell()
        finally:
            self._paced(began)
            if self._viewers:
                self._timer = self._clock.callLater(self._interval, self._tick)

    def _paced(self, began: float) -> float:
        """In how many seconds to look again, as this look began when so much CPU was used."""
        self._interval = min(max(INTERVAL, PACE * (self._cost() - began)), LONGEST)
        return self._interval

    def _tell(self) -> None:
        self._look()
        events: dict[Asked, bytes] = {}
        for viewer in list(self._viewers):
            if not viewer.ready:
                continue
            try:
                event = events.get(viewer.asked)
                if event is None:
                    event = events[viewer.asked] = self._event(viewer.asked)
                viewer.tell(event)
            except Exception:
                log.failure("admin server: the page failed")
                viewer.end()

    def _event(self, asked: Asked) -> bytes:
        text = main(overview(self._proxy, self._window, asked), self._now(), asked)
        return b"data: " + json.dumps(text).encode() + b"\n\n"


class Overview(Page):
    """The page."""

    def __init__(self, live: Live, pages: dict[str, str]) -> None:
        super().__init__()
        self._live = live
        self._pages = pages

    def render_GET(self, request: Any) -> bytes:
        """As of now; for programs that say so, or ask for it by its other name, as JSON."""
        request.setHeader(b"vary", b"accept")
        if wants_json(request):
            return body(request, JSON, self._live.values(asked(request)))
        return body(request, HTML, self._live.page(self._pages, asked(request)))


class Events(Page):
    """What changes of it."""

    allowed = ("GET",)

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live

    def render_GET(self, request: Any) -> Any:
        """Until the client is gone."""
        if not self._live.watch(request, asked(request)):
            return say(request, 503, f"{VIEWERS} pages are open already")
        request.setHeader(b"content-type", EVENTS)
        request.setHeader(b"x-accel-buffering", b"no")
        request.write(b"retry: %d\n\n" % AGAIN)
        if self._live.left:
            # by a connection of before
            self._live.leave()
        return server.NOT_DONE_YET


def plain(value: Any) -> Any:
    """C{value} with tables in the place of named tuples, which JSON would have as lists."""
    if isinstance(value, (Shown, Traffic)):
        return {name: plain(one) for name, one in value._asdict().items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return {name: plain(one) for name, one in value.items()} if isinstance(value, dict) else value


def wanted(request: Any) -> str:
    """The filter of a request: C{?q=}."""
    asked: bytes = (request.args.get(b"q") or [b""])[0]
    return asked.decode("utf-8", "replace")[:FILTER]


def asked(request: Any) -> Asked:
    """What a request wants to see: C{?q=} and C{?sort=}; another order than there is is none."""
    sort = (request.args.get(b"sort") or [b""])[0].decode("ascii", "replace")
    return Asked(wanted(request), sort if sort in SORTS else "")
