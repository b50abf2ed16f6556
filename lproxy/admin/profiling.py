# -*- test-case-name: tests.admin.test_profiling -*-
"""
The profile port: commands to sample what the proxy spends its time on, over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPullProducer
from twisted.web import server
from zope.interface import implementer

from lproxy.admin.pages import JSON, PLAIN, Command, Get, as_json
from lproxy.admin.sampler import RATE, Sampler
from lproxy.admin.site import Root, Site, names

#: where the port listens
HOST = "127.0.0.1"

ABOUT = f"""\
POST /start  sample from now on, {RATE} times per second of CPU time
POST /stop   sample no more; answers with the folded stacks: calls with ; between them, and microseconds
GET /stacks  the folded stacks so far
GET /stats   the most expensive functions so far
POST /quit   as /stop, and the proxy drains and ends
"""


def profile_site(sampler: Sampler, shutdown: Callable[[], None]) -> Site:
    """
    What the profile port answers: GET to look, POST to act, to callers on this machine that are no web page.

    @param shutdown: as C{SIGTERM}
    """

    def start(request: Any) -> tuple[int, str]:
        sampler.start()
        return 200, "sampling"

    def stop(request: Any) -> tuple[int, str]:
        sampler.stop()
        return 200, sampler.folded()

    root = Root(names((), HOST))
    root.add("", "this page", Get(PLAIN, ABOUT.encode))
    root.add("stacks", "folded stacks so far", Get(PLAIN, lambda: sampler.folded().encode() + b"\n"))
    root.add("stats", "functions so far", Get(JSON, lambda: as_json(sampler.stats())))
    root.putChild(b"start", Command(True, "", start))
    root.putChild(b"stop", Command(True, "", stop))
    root.putChild(b"quit", _Quit(stop, shutdown))
    return Site(root)


class _Quit(Command):
    """Ends the proxy once its answer, which may be long, is on its way: what is still in a buffer then is lost."""

    def __init__(self, stop: Callable[[Any], tuple[int, str]], shutdown: Callable[[], None]) -> None:
        super().__init__(True, "", stop)
        self._shutdown = shutdown

    def render_POST(self, request: Any) -> Any:
        """The last stacks."""
        answer = super().render_POST(request)
        if request.code != 200:
            return answer
        # or the end of the last chunk would be written too late
        request.setHeader(b"content-length", b"%d" % len(answer))
        request.registerProducer(_Last(request, answer, self._shutdown), False)
        return server.NOT_DONE_YET


@implementer(IPullProducer)
class _Last:
    """Writes an answer piece by piece; calls C{done} when all is written, or the client is gone."""

    PIECE = 65_536

    def __init__(self, request: Any, answer: bytes, done: Callable[[], None]) -> None:
        self._request = request
        self._rest = memoryview(answer)
        self._done = done

    def resumeProducing(self) -> None:
        """There is room for a piece."""
        if self._rest:
            piece, self._rest = bytes(self._rest[: self.PIECE]), self._rest[self.PIECE :]
            self._request.write(piece)
            return
        self._request.unregisterProducer()
        self._request.finish()
        self._done()

    def stopProducing(self) -> None:
        """The client is gone; that it wanted us to end still holds."""
        self._done()
