# -*- test-case-name: tests.protocols.http.test_factory -*-
"""
HTTP sessions of one listener: their acquisition stack, their routes, and one clock for all that are slow.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import protocol
from twisted.internet.interfaces import IAddress

from lproxy.protocols.http.client import HttpClient
from lproxy.protocols.http.detect import detect
from lproxy.protocols.http.message import Rejected, Request
from lproxy.protocols.http.metrics import HttpCounter, HttpMetrics
from lproxy.protocols.http.recognise import recognise
from lproxy.protocols.http.session import HttpSession
from lproxy.protocols.runtime import Runtime
from lproxy.stack.interfaces import Health
from lproxy.target import Endpoint, Target
from lproxy.transport.socket import Stream

#: routes remembered per listener, before it begins to remember anew
ROUTES = 1_000
#: seconds after which it does so in any case
FORGET = 600.0
#: seconds between two looks at who is slow; less where limits are shorter
TICK = 1.0
#: the same while draining, which ends with the last who is idle
DRAIN_TICK = 0.1


class Route:
    """A target and what is counted for it."""

    __slots__ = ("counter", "target")

    def __init__(self, target: Target, counter: HttpCounter) -> None:
        self.target = target
        self.counter = counter


class HttpFactory(protocol.Factory):
    """
    Carries its detector and its Acquire.

    @ivar now: seconds, as of the latest sweep: what idle times are measured with
    @ivar draining: whether answers say that the connection ends
    @ivar tunnels: the stack for CONNECT, whose leases are plain connections
    """

    noisy = False
    name = "http"
    detector = staticmethod(detect)

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.metrics = HttpMetrics(runtime.counters, runtime.direction, runtime.listen.name)
        self.faults = self.metrics.faults
        self.acquire = runtime.acquire(self.name, self._pool)
        self.tunnels = runtime.tunnels()
        self.try_acquire = self.acquire.try_acquire
        self.seconds = runtime.reactor.seconds
        self.by_authority = runtime.listen.target == "authority"
        timeouts = runtime.timeouts
        self.has_clocks = timeouts.response_headers is not None or timeouts.stream is not None
        self.sessions: set[HttpSession] = set()
        self.draining = False
        self.now = self.seconds()
        self._tick = min(TICK, timeouts.header_read / 4, timeouts.client_idle / 4)
        self._routes: dict[bytes, Route] = {}
        self._forget_at = self.now + FORGET
        self._sweeper: Any = None

    def doStart(self) -> None:
        """The listener opens."""
        if self._sweeper is None:
            self._sweep()

    def doStop(self) -> None:
        """The last connection is gone."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def drain(self) -> None:
        """From now on every answer is its connection's last."""
        self.draining = True
        self._tick = min(self._tick, DRAIN_TICK)
        if self._sweeper is not None:
            self._sweeper.reset(self._tick)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A session for one connection."""
        return HttpSession(self)

    def route(self, request: Request, stream: Stream) -> Route:
        """
        Where C{request} goes, and what it is counted under.

        @raise NoAuthority: nowhere
        @raise Rejected: to what cannot be an address
        """
        key = request.authority if stream.original_dst is None else request.authority + b" %r" % (stream.original_dst,)
        route = self._routes.get(key)
        if route is None:
            try:
                target = recognise(request, self.runtime.destination(stream), self.by_authority)
            except ValueError as e:
                raise Rejected("", 400, "host", str(e)) from e
            authority = request.authority.decode("ascii").lower() or str(target)
            route = Route(target, self.metrics.route(authority))
            if len(self._routes) >= ROUTES:
                self._forget()
            route.counter.hold()
            self._routes[key] = route
        return route

    def _forget(self) -> None:
        for route in self._routes.values():
            route.counter.release()
        self._routes.clear()

    def _pool(self, endpoint: Endpoint, health: Health) -> HttpClient:
        pool = HttpClient(self.runtime, endpoint, self.name, health)
        self.metrics.opened(pool)
        return pool

    def _sweep(self) -> None:
        self.now = now = self.seconds()
        if now >= self._forget_at:
            # those in use are back with the next request; what nobody uses holds its metrics no longer
            self._forget()
            self._forget_at = now + FORGET
        for session in list(self.sessions):
            session.tick(now)
        self._sweeper = self.runtime.reactor.callLater(self._tick, self._sweep)
