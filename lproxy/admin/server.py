# -*- test-case-name: tests.admin.test_server -*-
"""
The admin server: what the proxy is doing, for people and for Prometheus.

It changes something by POST only, from this machine only, and only where the configuration allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.admin import interface
from lproxy.admin.assets import CSS, JS
from lproxy.admin.live import Events, Live, Overview, wanted
from lproxy.admin.overview import about
from lproxy.admin.pages import JSON, Command, Get, Status, as_json
from lproxy.admin.scrape import Scrape
from lproxy.admin.site import Before, Root, Site, names
from lproxy.admin.stream import Stream, array
from lproxy.admin.tapping import Tap
from lproxy.config import Admin
from lproxy.metrics.family import Family


class Reloaded(Protocol):
    """What came of a reload."""

    @property
    def well(self) -> bool:
        """Whether what the file says is live."""

    @property
    def text(self) -> str:
        """What there is to say about it."""


class Counted(Protocol):
    """What is counted."""

    def text(self, open_metrics: bool = False) -> Iterator[bytes]:
        """The exposition in pieces, between which the reactor may turn."""

    def families(self) -> Iterable[Family]:
        """As of now."""

    def failed(self, plugin: str, failure: Failure) -> None:
        """What C{plugin} has to show cannot be shown."""


class Proxy(interface.Proxy, Protocol):
    """The proxy, as far as the admin server shows it and changes something."""

    def plugins(self) -> list[dict[str, Any]]:
        """Protocols found."""

    def reload(self) -> Deferred[Any]:
        """Read the configuration anew: a L{Reloaded}."""

    def shutdown(self) -> None:
        """Drain and end."""

    def set_log_level(self, name: str) -> None:
        """Raises ValueError for a level that there is not."""


def admin_site(
    proxy: Proxy,
    metrics: Counted,
    config: Admin,
    host: str,
    clock: IReactorTime,
    now: Callable[[], float],
    cooperate: Any = task.cooperate,
    before: Before | None = None,
) -> Site:
    """
    The site to listen with.

    @param host: the IP address that it listens on
    @param now: seconds of the epoch
    @param before: to be waited for before a page is made, by its name: what others have to say
    @param cooperate: as L{task.cooperate}: runs the pieces of a long answer, with other work in between
    """
    root = Root(names(config.hosts, host), before)
    live = Live(proxy, metrics.families, clock, now, before=partial(before, "events") if before is not None else None)
    root.add("", "this page", Overview(live, root.pages))
    root.putChild(b"overview.json", Overview(live, root.pages))
    root.putChild(b"events", Events(live))
    tap = Tap(proxy.taps, proxy.addresses, clock)
    root.putChild(b"tap", tap)
    root.leaving += [live.leave, tap.leave]
    for file, kind, text in ((b"lproxy.css", b"text/css", CSS), (b"lproxy.js", b"text/javascript", JS)):
        root.putChild(file, Get(kind, lambda text=text: text.encode()))  # type: ignore[misc]
    root.add("metrics", "counters and gauges, for Prometheus", Scrape(metrics.text, cooperate))
    for name, title, single in (
        ("ready", "whether new connections are welcome", Status(lambda: _ready(proxy))),
        ("live", "whether the process is alive", Status(lambda: (200, "live"))),
        ("config", "the configuration in effect", Get(JSON, lambda: as_json(proxy.describe_config()))),
    ):
        root.add(name, title, single)
        root.putChild(f"{name}.json".encode(), single)
    for name, title, rows in (
        ("services", "every cached service: endpoints, waiters, last error; ?q= has part of its name", proxy.services),
        ("connections", "every accepted connection; ?q= what one of its values has", partial(_connections, proxy)),
        ("plugins", "the protocols that were found", lambda wanted: proxy.plugins()),
        ("workers", "the processes that serve, where there are several", lambda wanted: proxy.workers()),
    ):
        page = Stream(JSON, partial(_rows, rows, metrics), cooperate)
        root.add(name, title, page)
        root.putChild(f"{name}.json".encode(), page)
    root.putChild(b"shutdown", Command(config.shutdown, "admin.shutdown", partial(_shutdown, proxy)))
    root.putChild(b"reload", Command(config.reload, "admin.reload", partial(_reload, proxy)))
    root.putChild(b"log-level", Command(config.log_level, "admin.log_level", partial(_level, proxy)))
    return Site(root)


def _rows(rows: Callable[[str], Iterable[dict[str, Any]]], metrics: Counted, request: Any) -> Iterator[bytes]:
    return array(rows(wanted(request)), metrics.failed)


def _connections(proxy: Proxy, wanted: str) -> Iterable[dict[str, Any]]:
    return (row for row in proxy.connections() if not wanted or about(row, wanted))


def _ready(proxy: Proxy) -> tuple[int, str]:
    """200, or 503 and why not."""
    reason = proxy.ready()
    return (200, "ready") if reason is None else (503, reason)


def _shutdown(proxy: Proxy, request: Any) -> tuple[int, str]:
    proxy.shutdown()
    return 202, "draining"


def _reload(proxy: Proxy, request: Any) -> Deferred[tuple[int, str]]:
    return proxy.reload().addCallback(_reloaded)


def _reloaded(outcome: Reloaded) -> tuple[int, str]:
    return (200 if outcome.well else 409), outcome.text


def _level(proxy: Proxy, request: Any) -> tuple[int, str]:
    # twisted.web has parsed query and form
    level = (request.args.get(b"level") or [b""])[0].decode("ascii", "replace")
    try:
        proxy.set_log_level(level)
    except ValueError as e:
        return 400, str(e)
    return 200, f"log level {level}"
