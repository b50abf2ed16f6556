# -*- test-case-name: tests.admin.test_site -*-
"""
A site that answers to names of its own only.

So no web page can reach it by a name that it made up (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web import resource, server

from lproxy.admin.pages import BODY, Page, Refused, failed
from lproxy.target import split_host_port

#: what has to be waited for, by the name of a page
Before = Callable[[str], Deferred[None]]
#: pages load nothing but what is ours, ask nobody else, and cannot be framed
POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)


def names(hosts: Iterable[str], address: str) -> Callable[[str], bool]:
    """
    Whether the name in a Host field is the site's own.

    @param hosts: names besides those of this machine
    @param address: the IP address that it listens on
    """
    own = {name.lower() for name in hosts} | {"localhost"}
    here = ipaddress.ip_address(address)

    def known(name: str) -> bool:
        if name in own or name.endswith(".localhost"):
            return True
        try:
            asked = ipaddress.ip_address(name)
        except ValueError:
            return False
        # no page can have an address for its own name; where we listen on one, it is only ever reached by that
        return asked.is_loopback or here.is_unspecified or asked == here

    return known


class Later(resource.Resource):
    """
    A page that has to be waited for.

    @param before: fires when it can be made
    """

    isLeaf = True

    def __init__(self, page: Any, before: Callable[[], Deferred[None]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._page = page
        self._before = before

    def render(self, request: Any) -> Any:
        """Once it can be made, and if the client is still there."""
        gone: list[object] = []
        request.notifyFinish().addBoth(gone.append)
        self._before().addErrback(lambda failure: failed(request, failure)).addCallback(
            lambda _: None if gone else request.render(self._page)
        )
        return server.NOT_DONE_YET


class Root(resource.Resource):
    """
    Checks whom a request is for, and has the pages.

    @ivar pages: what each is about, by its name
    """

    def __init__(self, known: Callable[[str], bool], before: Before | None = None) -> None:
        """
        @param before: to be waited for before a page is made, by its name
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._known = known
        self._before = before
        self.pages: dict[str, str] = {}
        #: have answers end that would go on
        self.leaving: list[Callable[[], None]] = []
        self._left = False

    def leave(self) -> None:
        """Another process has our place: whoever is connected is to ask that one next."""
        self._left = True
        for leave in self.leaving:
            leave()

    def add(self, name: str, title: str, page: Page) -> None:
        """A page, which is listed on the first."""
        self.pages[name] = title
        self.putChild(name.encode(), page)

    def getChildWithDefault(self, path: bytes, request: Any) -> Any:
        """The page of that name, to those who ask the right host."""
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"content-security-policy", POLICY)
        request.setHeader(b"server", b"lproxy")
        if self._left:
            request.channel.persistent = False
            request.setHeader(b"connection", b"close")
        if not self._is_asked(request):
            return Refused(403, "this server does not answer to that Host; admin.hosts adds names")
        page = self.children.get(path) if not request.postpath else None
        if page is not None and self._before is not None:
            return Later(page, partial(self._before, path.decode("latin-1")))
        return page or Refused(404, "no such page; / lists them")

    def _is_asked(self, request: Any) -> bool:
        hosts = request.requestHeaders.getRawHeaders(b"host", [])
        if not hosts:
            # no browser speaks HTTP/1.0, but health checks do
            return bool(request.clientproto == b"HTTP/1.0")
        try:
            name = split_host_port(hosts[0].decode("ascii"), 80)[0].lower()
        except ValueError:
            return False
        return len(hosts) == 1 and self._known(name)


class Request(server.Request):
    """
    A request that keeps no more than L{BODY} of its body.

    @ivar received: bytes of body that came
    """

    received = 0

    def handleContentChunk(self, data: bytes) -> None:
        """Called with each part of the body."""
        self.received += len(data)
        if self.received <= BODY:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]


class Site(server.Site):
    """
    Says nothing of itself: not to the log, nor in error pages.

    @param timeout: seconds that a client may be idle
    """

    noisy = False
    displayTracebacks = False

    def __init__(self, root: Root, timeout: float = 60) -> None:
        super().__init__(root, Request, timeout=timeout)  # type: ignore[no-untyped-call]
        self._root = root

    def leave(self) -> None:
        """See L{Root.leave}."""
        self._root.leave()

    def log(self, request: Any) -> None:
        """No line for each scrape."""
