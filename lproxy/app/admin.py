# -*- test-case-name: tests.app.test_admin -*-
"""
The admin server: what the proxy is doing, for people and for Prometheus.

It answers to names of its own only, so that no web page can reach it by a name that it made up (DNS rebinding), and
changes something by POST only, from this machine only, and only where the configuration allows it.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from html import escape
from typing import Any, Protocol

from twisted.internet import task
from twisted.web import resource, server

from lproxy.config import Admin
from lproxy.metrics import Metrics
from lproxy.target import split_host_port

#: seconds that a client may be idle
IDLE = 60
PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


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
    root.add("", "this page", lambda: (b"text/html; charset=utf-8", _index(state, root)))
    root.putChild(b"metrics", _Metrics(metrics, cooperate))
    root.pages["metrics"] = "counters and gauges, for Prometheus"
    root.putChild(b"ready", _Ready(state))
    root.pages["ready"] = "whether new connections are welcome"
    root.add("live", "whether the process is alive", lambda: (b"text/plain; charset=utf-8", b"live\n"))
    root.add("config", "the configuration in effect", lambda: _json(state.describe_config()))
    root.add("services", "every cached service: endpoints, who waits, last error", lambda: _json(state.services()))
    root.add("connections", "every accepted connection", lambda: _json(state.connections()))
    root.add("plugins", "the protocols that were found", lambda: _json(state.plugins()))
    root.putChild(b"shutdown", _Command(config.shutdown, "admin.shutdown", lambda request: _shutdown(state)))
    root.putChild(b"log-level", _Command(config.log_level, "admin.log_level", lambda request: _level(state, request)))
    return _Site(root, timeout=IDLE)


class _Site(server.Site):
    """Says nothing of itself: not to the log, nor in error pages."""

    noisy = False
    displayTracebacks = False

    def log(self, request: Any) -> None:
        """No line for each scrape."""


def _names(config: Admin, host: str) -> Callable[[str], bool]:
    """Whether a Host field's name is one of ours."""
    own = {name.lower() for name in config.hosts} | {"localhost", host}

    def known(name: str) -> bool:
        if name in own or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # no page can have an address for its own name; where we listen on one, it is only ever reached by that
        return address.is_loopback or host in ("0.0.0.0", "::")

    return known


class _Page(resource.Resource):
    """Something to GET."""

    isLeaf = True
    allowed: tuple[str, ...] = ("GET", "HEAD")

    def render(self, request: Any) -> Any:
        """Refuse other methods in words."""
        if request.method.decode("latin-1") not in self.allowed:
            request.setHeader(b"allow", ", ".join(self.allowed).encode())
            return _say(request, 405, f"{' or '.join(self.allowed)} only")
        return super().render(request)  # type: ignore[no-untyped-call]


class _Get(_Page):
    def __init__(self, content: Callable[[], tuple[bytes, bytes]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._content = content

    def render_GET(self, request: Any) -> bytes:
        """What C{content} has at this moment."""
        kind, body = self._content()
        request.setHeader(b"content-type", kind)
        return body


class _Ready(_Page):
    def __init__(self, state: State) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._state = state

    def render_GET(self, request: Any) -> bytes:
        """200, or 503 and why not."""
        reason = self._state.ready()
        return _say(request, 200, "ready") if reason is None else _say(request, 503, reason)


class _Metrics(_Page):
    def __init__(self, metrics: Metrics, cooperate: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._metrics = metrics
        self._cooperate = cooperate

    def render_GET(self, request: Any) -> int:
        """Piece by piece, so that a large scrape does not hold up the traffic that it measures."""
        request.setHeader(b"content-type", PROMETHEUS)
        writing = self._cooperate(request.write(piece) for piece in self._metrics.text())
        gone = request.notifyFinish()
        gone.addErrback(lambda _: writing.stop())
        writing.whenDone().addCallbacks(lambda _: request.finish(), lambda failure: failure.trap(task.TaskStopped))
        return int(server.NOT_DONE_YET)


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
        return _say(request, *self._act(request))


class _Root(resource.Resource):
    """Checks whom a request is for, and has the pages."""

    def __init__(self, known: Callable[[str], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known = known
        self.pages: dict[str, str] = {}

    def add(self, name: str, title: str, content: Callable[[], tuple[bytes, bytes]]) -> None:
        """A page, which is listed on the first."""
        self.pages[name] = title
        self.putChild(name.encode(), _Get(content))

    def getChildWithDefault(self, path: bytes, request: Any) -> Any:
        """The page of that name, to those who ask the right host."""
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"server", b"lproxy")
        host = request.getHeader(b"host") or b""
        try:
            name = split_host_port(host.decode("ascii"), 80)[0].lower()
        except ValueError:
            name = ""
        if not self._known(name):
            return _Refused(403, "this server does not answer to that Host; admin.hosts adds names")
        if path == b"" and not request.postpath:
            return self.children[b""]
        return self.children.get(path) or _Refused(404, "no such page; / lists them")


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
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    body = f"{text}\n".encode()
    if request.method == b"HEAD":
        request.setHeader(b"content-length", b"%d" % len(body))
        return b""
    return body


def _json(value: Any) -> tuple[bytes, bytes]:
    return b"application/json", json.dumps(value, indent=2).encode() + b"\n"


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
