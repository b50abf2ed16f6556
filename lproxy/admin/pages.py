# -*- test-case-name: tests.admin.test_pages -*-
"""
Kinds of pages: something to GET, something to POST, and no.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import resource
from twisted.web.server import NOT_DONE_YET

HTML = b"text/html; charset=utf-8"
JSON = b"application/json"
PLAIN = b"text/plain; charset=utf-8"
#: bytes of a request's body that are kept: commands have a word or two
BODY = 4_096

#: for failures alone, which every log level shows
log = Logger("lproxy")


def say(request: Any, status: int, text: str) -> bytes:
    """Answer with a line of text."""
    request.setResponseCode(status)
    return body(request, PLAIN, f"{text}\n".encode())


def body(request: Any, kind: bytes, content: bytes) -> bytes:
    """Answer with C{content}, or with its length alone where only that was asked for."""
    request.setHeader(b"content-type", kind)
    if request.method == b"HEAD":
        request.setHeader(b"content-length", b"%d" % len(content))
        return b""
    return content


def failed(request: Any, failure: Failure) -> None:
    """Log a mistake of ours."""
    log.failure("admin server: {path} failed", failure, path=request.path.decode("ascii", "backslashreplace"))


def goodbye(request: Any) -> None:
    """End an answer that would go on, and its connection: what the client asks next is another process's affair."""
    request.unregisterProducer()
    request.channel.persistent = False
    request.finish()


def as_json(value: Any) -> bytes:
    """C{value}, to be read by people too."""
    return json.dumps(value, indent=2).encode() + b"\n"


class Page(resource.Resource):
    """
    Something that answers to some methods.

    @ivar allowed: their names
    """

    isLeaf = True
    allowed: tuple[str, ...] = ("GET", "HEAD")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def render(self, request: Any) -> Any:
        """Refuse other methods in words; say no more of a mistake of ours than that it was one."""
        if request.method.decode("latin-1") not in self.allowed:
            request.setHeader(b"allow", ", ".join(self.allowed).encode())
            return say(request, 405, f"{' or '.join(self.allowed)} only")
        try:
            return super().render(request)  # type: ignore[no-untyped-call]
        except Exception:
            failed(request, Failure())
            return say(request, 500, "something went wrong; the log says what")


class Get(Page):
    """What C{content} returns at the moment it is asked for."""

    def __init__(self, kind: bytes, content: Callable[[], bytes]) -> None:
        super().__init__()
        self._kind = kind
        self._content = content

    def render_GET(self, request: Any) -> bytes:
        """Called for HEAD as well."""
        return body(request, self._kind, self._content())


def wants_json(request: Any) -> bool:
    """Whether it is a program that asks: by the name of the page, or in so many words."""
    accept: bytes = request.getHeader(b"accept") or b""
    named: bool = request.path.endswith(b".json")
    return named or (b"application/json" in accept and b"text/html" not in accept)


class Status(Page):
    """A line of text with a status; for programs that ask for it, as JSON: C{{"ok": false, "why": ...}}."""

    def __init__(self, status: Callable[[], tuple[int, str]]) -> None:
        super().__init__()
        self._status = status

    def render_GET(self, request: Any) -> bytes:
        """Called for HEAD as well."""
        status, text = self._status()
        request.setHeader(b"vary", b"accept")
        if not wants_json(request):
            return say(request, status, text)
        request.setResponseCode(status)
        return body(request, JSON, as_json({"ok": status == 200, "why": text}))


#: what came of a command: status, and text
Done = tuple[int, str]


class Command(Page):
    """
    Changes something, for callers on this machine that are no web page.

    @param enabled: whether the configuration allows it
    @param setting: the setting that does
    @param act: does it; given the request, returns status and text, or a Deferred of them
    """

    allowed = ("POST",)

    def __init__(self, enabled: bool, setting: str, act: Callable[[Any], Done | Deferred[Done]]) -> None:
        super().__init__()
        self._enabled = enabled
        self._setting = setting
        self._act = act

    def render_POST(self, request: Any) -> Any:
        """Do it, for those who may."""
        if not self._enabled:
            return say(request, 403, f"off; {self._setting} = true in the configuration turns it on")
        if not is_loopback(request.getClientAddress().host):
            return say(request, 403, "from this machine only")
        if request.getHeader(b"origin") is not None:
            return say(request, 403, "not from a web page")
        if request.received > BODY:
            return say(request, 413, f"{BODY} bytes of body at most")
        done = self._act(request)
        if not isinstance(done, Deferred):
            return say(request, *done)
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        done.addCallback(partial(_answer, request, gone)).addErrback(partial(_unexpected, request, gone))
        return NOT_DONE_YET


def _answer(request: Any, gone: list[Failure], done: Done) -> None:
    """Say what came of it, to whoever is still there."""
    if not gone:
        request.write(say(request, *done))
        request.finish()


def _unexpected(request: Any, gone: list[Failure], failure: Failure) -> None:
    failed(request, failure)
    _answer(request, gone, (500, "unexpected error"))


def is_loopback(host: str) -> bool:
    """Whether C{host} is this machine."""
    try:
        return ipaddress.ip_address(host.removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False


class Refused(resource.Resource):
    """What is no page, or not for this caller."""

    isLeaf = True

    def __init__(self, status: int, text: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._status = status
        self._text = text

    def render(self, request: Any) -> bytes:
        """Say why."""
        return say(request, self._status, self._text)
