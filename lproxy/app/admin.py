# -*- test-case-name: tests.app.test_admin -*-
"""
The admin server: what the proxy is doing, for people and for Prometheus.

It answers to names of its own only, so that no web page can reach it by a name that it made up (DNS rebinding), and
changes something by POST only, from this machine only, and only where the configuration allows it.

Over 300 lines: many small pages, and the checks that stand before all of them.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable, Iterator
from html import escape
from typing import Any, Protocol

from twisted.internet import task
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web import resource, server
from zope.interface import implementer

from lproxy.app.log import log
from lproxy.config import Admin
from lproxy.metrics.registry import Metrics
from lproxy.target import split_host_port

#: seconds that a client may be idle
IDLE = 60
#: bytes of a request's body that are kept: commands have a word or two
BODY = 4_096
#: rows encoded before others get a turn: about a millisecond
ROWS = 20
HTML = b"text/html; charset=utf-8"
JSON = b"application/json"
PLAIN = b"text/plain; charset=utf-8"
PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"
#: pages load nothing but their own style, and stand in nobody's frame
POLICY = b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


class State(Protocol):
    """What there is to show and to do."""

    version: str

    def ready(self) -> str | None:
        """Why the proxy is not ready, if it is not."""

    def describe_config(self) -> dict[str, Any]:
        """The configuration in effect."""

    def services(self) -> list[dict[str, Any]]:
        """Cached services."""

    def connections(self) -> list[dict[str, Any]]:
        """Accepted connections."""

    def plugins(self) -> list[dict[str, str]]:
        """Protocols found."""

    def shutdown(self) -> None:
        """Drain and end."""

    def set_log_level(self, name: str) -> None:
        """Raises ValueError for a level that there is not."""


def admin_site(
    state: State, metrics: Metrics, config: Admin, host: str, cooperate: Any = task.cooperate
) -> server.Site:
    """
    The site to listen with.

    @param host: the IP address that it listens on
    @param cooperate: as L{task.cooperate}: runs the pieces of a long answer, with other work in between
    """
    root = _Root(_names(config, host))
    root.add("", "this page", _Get(HTML, lambda: _index(state, root)))
    root.add("metrics", "counters and gauges, for Prometheus", _Stream(PROMETHEUS, metrics.text, cooperate))
    root.add("ready", "whether new connections are welcome", _Ready(state))
    root.add("live", "whether the process is alive", _Get(PLAIN, lambda: b"live\n"))
    root.add("config", "the configuration in effect", _Get(JSON, lambda: _json(state.describe_config())))
    for name, title, rows in (
        ("services", "every cached service: endpoints, who waits, last error", state.services),
        ("connections", "every accepted connection", state.connections),
        ("plugins", "the protocols that were found", state.plugins),
    ):
        root.add(name, title, _Stream(JSON, lambda rows=rows: _array(rows()), cooperate))  # type: ignore[misc]
    root.putChild(b"shutdown", _Command(config.shutdown, "admin.shutdown", lambda request: _shutdown(state)))
    root.putChild(b"log-level", _Command(config.log_level, "admin.log_level", lambda request: _level(state, request)))
    return _Site(root, _Request, timeout=IDLE)


class _Request(server.Request):
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


class _Site(server.Site):
    """Says nothing of itself: not to the log, nor in error pages."""

    noisy = False
    displayTracebacks = False

    def log(self, request: Any) -> None:
        """No line for each scrape."""


def _names(config: Admin, host: str) -> Callable[[str], bool]:
    """Whether a Host field's name is one of ours."""
    own = {name.lower() for name in config.hosts} | {"localhost"}
    here = ipaddress.ip_address(host)

    def known(name: str) -> bool:
        if name in own or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # no page can have an address for its own name; where we listen on one, it is only ever reached by that
        return address.is_loopback or here.is_unspecified or address == here

    return known


class _Page(resource.Resource):
    """Something to GET."""

    isLeaf = True
    allowed: tuple[str, ...] = ("GET", "HEAD")

    def render(self, request: Any) -> Any:
        """Refuse other methods in words; say no more of a mistake of ours than that it was one."""
        if request.method.decode("latin-1") not in self.allowed:
            request.setHeader(b"allow", ", ".join(self.allowed).encode())
            return _say(request, 405, f"{' or '.join(self.allowed)} only")
        try:
            return super().render(request)  # type: ignore[no-untyped-call]
        except Exception:
            _failed(request, Failure())
            return _say(request, 500, "something went wrong; the log says what")


class _Get(_Page):
    def __init__(self, kind: bytes, content: Callable[[], bytes]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kind = kind
        self._content = content

    def render_GET(self, request: Any) -> bytes:
        """What C{content} has at this moment."""
        return _body(request, self._kind, self._content())


class _Ready(_Page):
    def __init__(self, state: State) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._state = state

    def render_GET(self, request: Any) -> bytes:
        """200, or 503 and why not."""
        reason = self._state.ready()
        return _say(request, 200, "ready") if reason is None else _say(request, 503, reason)


class _Stream(_Page):
    """A long answer: piece by piece, so that it does not hold up the traffic that it tells of."""

    def __init__(self, kind: bytes, pieces: Callable[[], Iterator[bytes]], cooperate: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kind = kind
        self._pieces = pieces
        self._cooperate = cooperate

    def render_GET(self, request: Any) -> Any:
        """As fast as others, and the client, leave time for it."""
        pieces = self._pieces()
        # what cannot even begin is still answered with 500
        first = next(pieces)
        request.setHeader(b"content-type", self._kind)
        if request.method == b"HEAD":
            return b""
        request.write(first)
        _Writing(request, pieces, self._cooperate)
        return server.NOT_DONE_YET


@implementer(IPushProducer)
class _Writing:
    """Writes what is left of a long answer, and ends it."""

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
            _failed(self._request, failure)
            # never a clean end for half an answer
            self._request.channel.transport.abortConnection()


class _Command(_Page):
    allowed = ("POST",)

    def __init__(self, enabled: bool, setting: str, act: Callable[[Any], tuple[int, str]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._enabled = enabled
        self._setting = setting
        self._act = act

    def render_POST(self, request: Any) -> bytes:
        """Do it, for those who may."""
        if not self._enabled:
            return _say(request, 403, f"off; {self._setting} = true in the configuration turns it on")
        if not _is_loopback(request.getClientAddress().host):
            return _say(request, 403, "from this machine only")
        if request.getHeader(b"origin") is not None:
            return _say(request, 403, "not from a web page")
        if request.received > BODY:
            return _say(request, 413, f"{BODY} bytes of body at most")
        return _say(request, *self._act(request))


class _Root(resource.Resource):
    """Checks whom a request is for, and has the pages."""

    def __init__(self, known: Callable[[str], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known = known
        self.pages: dict[str, str] = {}

    def add(self, name: str, title: str, page: _Page) -> None:
        """A page, which is listed on the first."""
        self.pages[name] = title
        self.putChild(name.encode(), page)

    def getChildWithDefault(self, path: bytes, request: Any) -> Any:
        """The page of that name, to those who ask the right host."""
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"content-security-policy", POLICY)
        request.setHeader(b"server", b"lproxy")
        if not self._is_asked(request):
            return _Refused(403, "this server does not answer to that Host; admin.hosts adds names")
        page = self.children.get(path) if not request.postpath else None
        return page or _Refused(404, "no such page; / lists them")

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


class _Refused(resource.Resource):
    isLeaf = True

    def __init__(self, status: int, text: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._status = status
        self._text = text

    def render(self, request: Any) -> bytes:
        """Say why."""
        return _say(request, self._status, self._text)


def _say(request: Any, status: int, text: str) -> bytes:
    request.setResponseCode(status)
    return _body(request, PLAIN, f"{text}\n".encode())


def _body(request: Any, kind: bytes, body: bytes) -> bytes:
    request.setHeader(b"content-type", kind)
    if request.method == b"HEAD":
        request.setHeader(b"content-length", b"%d" % len(body))
        return b""
    return body


def _failed(request: Any, failure: Failure) -> None:
    log.failure("admin server: {path} failed", failure, path=request.path.decode("ascii", "backslashreplace"))


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def _array(rows: Iterable[Any]) -> Iterator[bytes]:
    """C{rows} as JSON, in pieces."""
    text = "["
    for n, row in enumerate(rows):
        text += f"{',' if n else ''}\n{json.dumps(row, indent=2)}"
        if n % ROWS == ROWS - 1:
            yield text.encode()
            text = ""
    yield f"{text}\n]\n".encode()


def _shutdown(state: State) -> tuple[int, str]:
    state.shutdown()
    return 202, "draining"


def _level(state: State, request: Any) -> tuple[int, str]:
    # twisted.web has parsed query and form
    level = (request.args.get(b"level") or [b""])[0].decode("ascii", "replace")
    try:
        state.set_log_level(level)
    except ValueError as e:
        return 400, str(e)
    return 200, f"log level {level}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False


_HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>lproxy</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 44rem; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.6rem; }} small {{ color: #777; font-weight: normal; }}
.ready {{ color: #17692c; }} .not {{ color: #a3261b; }}
table {{ border-collapse: collapse; width: 100%; }} td {{ padding: .4rem .8rem .4rem 0; border-top: 1px solid #ddd; }}
td:first-child {{ white-space: nowrap; font-family: ui-monospace, monospace; }}
</style></head><body>
<h1>lproxy <small>{version}</small> <small class="{style}">{ready}</small></h1>
<table>
{rows}
</table>
<p>POST /shutdown and /log-level work from this machine, where the configuration turns them on.</p>
</body></html>
"""


def _index(state: State, root: _Root) -> bytes:
    reason = state.ready()
    pages = [(name, title) for name, title in root.pages.items() if name]
    rows = "\n".join(f'<tr><td><a href="/{n}">/{n}</a></td><td>{escape(title)}</td></tr>' for n, title in pages)
    return _HTML.format(
        version=escape(state.version), style="not" if reason else "ready", ready=escape(reason or "ready"), rows=rows
    ).encode()
