# -*- test-case-name: tests.protocols.http.test_listener -*-
"""
What all clients of one listener share: the ways to services, what is known of routes, clocks and limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from lproxy.api import Conn, ProxyError, Runtime, Secured, Target
from lproxy.protocols.http.deadlines import Deadlines
from lproxy.protocols.http.destination import Destination, shared
from lproxy.protocols.http.following import following
from lproxy.protocols.http.forwarded import forwarding
from lproxy.protocols.http.guard import by_https, guard
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.metrics import HttpMetrics
from lproxy.protocols.http.patience import GRACE
from lproxy.protocols.http.profile.plan import Place, Plan
from lproxy.protocols.http.profile.router import ProfileRouter
from lproxy.protocols.http.record import Recorder
from lproxy.protocols.http.route import route
from lproxy.protocols.http.timeouts import times
from lproxy.protocols.http.upstreams import Upstreams, native, single

#: destinations remembered, before it begins to remember anew
DESTINATIONS: Final = 1_000
#: profiles remembered, likewise: they take longer to be made ready, a millisecond for 20 routes
ROUTERS: Final = 10_000


class Swept(Protocol):
    """A client's connection, looked at about once a second."""

    def tick(self, now: float) -> None:
        """It is C{now}, in seconds: is the client too slow?"""

    def abort(self) -> None:
        """End it now."""


class Listener:
    """
    @ivar upstreams: the stacks of requests, by the version in which they go on
    @ivar tunnels: the stack for CONNECT, whose leases are plain connections
    @ivar seconds: the clock
    @ivar by_authority: whether requests choose where they go
    @ivar guard: who is refused or sent elsewhere before anything else, if anybody
    @ivar forwarding: what becomes of X-Forwarded-For and the like, if anything
    @ivar times: how long the application may take, where that is limited
    @ivar deadlines: of all requests that have one
    @ivar draining: whether answers say that the connection ends
    @ivar clients: the connections, to be swept
    @ivar _known: destinations, by all that they depend on; C{_http1} and C{_http2}: of plain connections that were not
        redirected, by authority alone
    @ivar _routers: of targets whose profiles are known
    @ivar _watch: ends what tells of their changes
    @ivar http2: what is counted of HTTP/2 beneath its requests
    """

    __slots__ = (
        "_http1",
        "_http2",
        "_known",
        "_metrics",
        "_routers",
        "_watch",
        "by_authority",
        "clients",
        "deadlines",
        "draining",
        "following",
        "forwarding",
        "guard",
        "http2",
        "record",
        "runtime",
        "seconds",
        "times",
        "tunnels",
        "upstreams",
    )

    def __init__(self, runtime: Runtime, upstreams: Upstreams, metrics: HttpMetrics, record: Recorder) -> None:
        self.runtime = runtime
        self.record = record
        self._metrics = metrics
        self.http2 = metrics.http2
        self.upstreams = upstreams
        self.tunnels = runtime.tunnels()
        self.seconds: Callable[[], float] = runtime.clock.seconds
        self.by_authority = runtime.listen.target == "authority"
        self.times = times(runtime.timeouts)
        self.guard = guard(runtime)
        self.forwarding = forwarding(runtime.listen)
        self.following = following(runtime)
        self.draining = False
        self.deadlines = Deadlines(runtime.clock)
        self.clients: dict[Swept, None] = {}
        self._known: dict[bytes, Destination] = {}
        self._http1: dict[bytes, Destination] = {}
        self._http2: dict[bytes, Destination] = {}
        self._routers: dict[Target, ProfileRouter] = {}
        self._watch: Callable[[], None] | None = None

    def start(self) -> None:
        """It opens. From now on it hears of profiles that change."""
        if self._watch is None:
            self.forget()
            self._watch = self.runtime.profiles.watch(self.forget)

    def stop(self) -> None:
        """Its last connection is gone."""
        self.deadlines.stop()
        self.forget()
        self._forget_routers()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch()

    def destination(self, request: Request, conn: Conn) -> Destination:
        """
        Where C{request} goes, and what it is counted under.

        @raise NoAuthority: nowhere
        @raise Rejected: to what cannot be an address, or to the empty one where an address is needed
        """
        if conn.tls is None and conn.original_dst is None and not single(request):
            # by far the most: looked up by what the request says, without a key made of it
            plain = self._http2 if request.stream_id else self._http1
            known = plain.get(request.authority)
            if known is None:
                known = plain[request.authority] = self._destination(request, conn, None)
            return known
        return self._destination(request, conn, conn.tls)

    def _destination(self, request: Request, conn: Conn, tls: Secured | None) -> Destination:
        # a space begins what no authority has
        key = request.authority if not request.stream_id or not native(request, tls) else request.authority + b" 2"
        if single(request):
            key += b" 1"
        if conn.original_dst is not None:
            key += b" %r" % (conn.original_dst,)
        if tls is not None:
            # what is asked by https is for another port
            key += b" s" if by_https(tls) else b" m"
            if not self.by_authority:
                key += tls.sni.encode("ascii")
        known = self._known.get(key)
        if known is None:
            runtime = self.runtime
            target = route(request, runtime.destination(conn), self.by_authority, by_https(tls))
            authority = request.authority.decode("ascii").lower() or str(target)
            counter = self._metrics.route(authority, tls is not None)
            service = runtime.service(target)
            acquire = self.upstreams.stack(service, request, tls)
            guards = (target,) if runtime.refuses(target) else ()
            known = Destination(target, counter, service, guards, acquire, self._router(target))
            if len(self._known) >= DESTINATIONS:
                self.forget()
            known.counter.hold()
            self._known[key] = known
        return known

    def shared(self, destination: Destination, plan: Plan, request: Request, conn: Conn) -> Destination:
        """Where C{request}, of a route of C{destination}'s that others serve, goes: to these."""
        known = destination.shares.get(plan)
        if known is None:
            share = shared(destination, plan.route.backends, self.runtime, self.upstreams, request, conn.tls)
            known = destination.shares[plan] = share
        return known

    def refuse(self, destination: Destination, conn: Conn) -> ProxyError | None:
        """Why the client of C{conn} may not have one of those who serve C{destination}."""
        for target in destination.guards:
            refused = self.runtime.refuse(conn, target)
            if refused is not None:
                return refused
        return None

    def _router(self, target: Target) -> ProfileRouter | None:
        """That of C{target}'s profile, if it has one; of a profile that is as it was, the same."""
        try:
            profile = self.runtime.profiles.of(target)
            router = self._routers.get(target)
            if profile is None:
                if router is not None:
                    del self._routers[target]
                    router.close()
                return None
            if router is None or router.profile != profile:
                runtime = self.runtime
                service = runtime.service(target).name or str(target)
                place = Place(target, service, self._metrics.profiled, runtime.rates, runtime.timeouts)
                router = ProfileRouter(profile, place, router)
        except Exception as e:
            # whoever knows profiles has failed: requests go the plain way
            self.record.crashed(e)
            return None
        if len(self._routers) >= ROUTERS and target not in self._routers:
            self.forget()
            self._forget_routers()
        self._routers[target] = router
        return router

    def _forget_routers(self) -> None:
        for router in self._routers.values():
            router.close()
        self._routers.clear()

    def idle(self) -> float:
        """Seconds for which a client may be idle: not many where the proxy is about to end."""
        limit = self.runtime.timeouts.client_idle
        return min(GRACE, limit) if self.draining and not self.runtime.superseded() else limit

    def forget(self) -> None:
        """Those in use are back with the next request; what nobody uses holds its metrics no longer."""
        for known in self._known.values():
            known.counter.release()
        self._known.clear()
        self._http1.clear()
        self._http2.clear()
