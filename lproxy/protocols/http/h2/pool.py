# -*- test-case-name: tests.protocols.http.h2.test_pool -*-
"""
The bottom of the HTTP/2 stack: the connections to one endpoint, and the streams on them that are free.

A lease is the right to one stream. There is one connection as long as streams find room on it, and so many more, up to
a limit, as those need that do not. Whoever finds none free waits, in order of arrival: for a stream that ends, for a
connection that is being made, or for a peer that allows more. A connection that its peer is about to close (GOAWAY), or
whose ids are used up, serves what it has and nothing new.

Over 300 lines: who waits, the connections and their time are one state.

One timer for all, while there are connections, closes those that nobody uses and asks the others whether they live.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from lproxy.api import Endpoint, Health, HealthCheck, Outward, ProxyError, Report, Stream
from lproxy.config import Http2Engine
from lproxy.protocols.http.check import Unheeded, ask
from lproxy.protocols.http.h2.call import Call
from lproxy.protocols.http.h2.client import Http2Client, NotHttp2, Owner
from lproxy.protocols.http.h2.counts import PeerCounts
from lproxy.protocols.http.h2.engine import Engine, Handler
from lproxy.protocols.http.h2.engines import make_engine
from lproxy.protocols.http.h2.limits import configured
from lproxy.protocols.http.pool import FRESH, Dial
from lproxy.protocols.http.standing import Standing
from lproxy.protocols.http.streams import HttpLease

#: streams that a connection is taken to have room for, as long as none has said
USUAL: Final = 100
#: bytes read at once: of many streams together, whose windows say how far they may be ahead
SHARED_READ: Final = 256 * 1024
#: of the time that callers wait, what a server has to say SETTINGS: less than all, so that they are told what it was
SETTLING: Final = 0.75
#: connections among which the one with the fewest streams is looked for
FEW: Final = 4


class Http2Pool(Owner):
    """
    The service of one endpoint.

    @ivar load: leases that are out, or waited for
    @ivar closed: whether nothing is kept any more
    @ivar _clients: connections that may take more streams; C{_retired}: those that take none
    @ivar _opening: connections that are not ready yet, and what is being waited for
    @ivar _waiters: who waits for a stream, the oldest first
    @ivar _room: streams that the last connection had room for
    @ivar _ping: seconds of silence after which a connection is asked whether it lives; or none
    """

    __slots__ = (
        "_clients",
        "_connecting",
        "_dial",
        "_frames",
        "_granting",
        "_next",
        "_outward",
        "_ping",
        "_ping_at",
        "_protocol",
        "_retired",
        "_room",
        "_settling",
        "_sweeper",
        "_waiters",
        "closed",
        "endpoint",
        "load",
    )

    def __init__(
        self,
        outward: Outward,
        endpoint: Endpoint,
        dial: Dial,
        health: Health,
        protocol: str,
        counts: PeerCounts,
        engine: Http2Engine,
        meshed: bool = False,
    ) -> None:
        """
        @param dial: connects to it
        @param protocol: the name that connections are counted under
        @param engine: what reads its frames
        @param meshed: whether another proxy is there, with an identity that is verified
        """
        self._outward = outward
        self._dial = dial
        self._protocol = protocol
        self.counts = counts
        self._frames: Http2Engine = engine
        self.meshed = meshed
        self.seconds: Callable[[], float] = outward.clock.seconds
        self.standing = Standing(endpoint, health)
        self.endpoint = endpoint
        self.load = 0
        self.closed = False
        self._clients: list[Http2Client] = []
        self._retired: dict[Http2Client, None] = {}
        self._connecting: dict[Deferred[Any], None] = {}
        self._settling: dict[Http2Client, IDelayedCall] = {}
        self._waiters: dict[Deferred[HttpLease], None] = {}
        self._granting = False
        self._next = 0
        self._room = USUAL
        self._sweeper: IDelayedCall | None = None
        self._ping: float | None = outward.timeouts.h2_ping
        self._ping_at = 0.0

    def __repr__(self) -> str:
        return f"<Http2Pool {self.endpoint} load={self.load} connections={len(self._clients)}>"

    # the service

    def try_acquire(self) -> Call | None:
        """A stream that is free, unless somebody waits for one."""
        if self._waiters:
            return None
        client = self._free()
        if client is None:
            return None
        self.load += 1
        return client.lease()

    def acquire(self) -> Deferred[HttpLease]:
        """The next that is free."""
        lease = self.try_acquire()
        if lease is not None:
            return succeed(lease)
        waiter: Deferred[HttpLease] = Deferred(self._cancelled)
        self._waiters[waiter] = None
        self.load += 1
        self._grow()
        return waiter

    def adopt(self, stream: Stream) -> None:
        """Have C{stream}, which nobody asked this for, and which nobody uses."""
        self._connected(stream, None)

    def check(self, check: HealthCheck) -> Deferred[None]:
        """Ask whether the endpoint serves."""
        outward, endpoint, frames = self._outward, self.endpoint, self._frames
        counts = PeerCounts()
        alone = Http2Pool(outward, endpoint, self._dial, Unheeded(), self._protocol, counts, frames, self.meshed)
        return ask(alone, check, endpoint, True)

    def close(self) -> None:
        """Close what is idle now, and the others once their streams have ended."""
        self.closed = True
        for client in [*self._clients, *self._retired]:
            self._close_unused(client)
        if not self._waiters:
            # nobody waits for those that are being made
            settling, self._settling = self._settling, {}
            for client, clock in settling.items():
                clock.cancel()
                client.close()

    def report(self, report: Report) -> None:
        """Connections, streams, and who waits for one."""
        active, idle = self.connections()
        report.show(in_flight=self.load, idle=idle, connections=active + idle)
        if self._waiters:
            report.show(waiting_for_stream=len(self._waiters))

    def connections(self) -> tuple[int, int]:
        """How many are in use, and how many are not."""
        everybody = [*self._clients, *self._retired, *self._settling]
        idle = sum([not client.taken for client in everybody])
        return len(everybody) - idle, idle

    # who waits

    def _free(self) -> Http2Client | None:
        """One of few with the fewest streams, of those with room for another; any, where none of those few has."""
        clients = self._clients
        count = len(clients)
        if count == 1:
            client = clients[0]
            return client if client.taken < client.limit and self._fresh(client) else None
        for few in (FEW, count):
            best: Http2Client | None = None
            for n in range(min(few, count)):
                client = clients[(self._next + n) % count]
                if client.taken < client.limit and (best is None or client.taken < best.taken) and self._fresh(client):
                    best = client
            if best is not None:
                self._next += 1
                return best
        return None

    def _fresh(self, client: Http2Client) -> bool:
        """Whether nothing is known against it: one that was idle for a while may have ended just now."""
        return client.taken > 0 or self.seconds() - client.since < FRESH or client.silent()

    def _grant(self) -> None:
        """
        Give streams to who waits, as long as there are both.

        A loop, not a recursion: thousands may be granted in a row, and be done before this returns.
        """
        if self._granting:
            return
        self._granting = True
        try:
            while self._waiters:
                client = self._free()
                if client is None:
                    self._grow()
                    return
                waiter = next(iter(self._waiters))
                del self._waiters[waiter]
                waiter.callback(client.lease())
        finally:
            self._granting = False

    def _cancelled(self, waiter: Deferred[HttpLease]) -> None:
        if waiter in self._waiters:
            del self._waiters[waiter]
            self.load -= 1
        if not self._waiters:
            for connecting in list(self._connecting):
                connecting.cancel()

    def _grow(self) -> None:
        """Open as many connections as those need who wait, and there may be."""
        while True:
            opening = len(self._connecting) + len(self._settling)
            there = opening + len(self._clients)
            if len(self._waiters) <= opening * self._room or there >= self._outward.limits.h2_connections:
                return
            connecting = self._dial()
            self._connecting[connecting] = None
            connecting.addCallbacks(self._connected, self._not_connected, (connecting,), {}, (connecting,))
            if len(self._connecting) + len(self._settling) == opening:
                return  # that failed at once

    # connections

    def _connected(self, stream: Stream, connecting: Deferred[Any] | None) -> None:
        if connecting is not None:
            self._connecting.pop(connecting, None)
        outward = self._outward
        try:
            outward.opened(stream, self.endpoint, self._protocol)
            stream.high_water = outward.limits.buffer
            stream.read_size = SHARED_READ
            client = Http2Client(stream, self.endpoint, self, self._engine)
            timeout = outward.timeouts.acquire * SETTLING
            self._settling[client] = outward.clock.callLater(timeout, self._unsettled, client, timeout)
            client.start()
        except BaseException:
            stream.abort()
            self._fail(Failure())

    def _engine(self, handler: Handler) -> Engine:
        outward = self._outward
        return make_engine(self._frames, True, handler, configured(outward.limits), self.seconds)

    def _not_connected(self, failure: Failure, connecting: Deferred[Any]) -> None:
        self._connecting.pop(connecting, None)
        if isinstance(failure.value, CancelledError):
            return
        if isinstance(failure.value, ProxyError):
            self.standing.counter.not_opened(failure.value.reason)
        self._fail(failure)

    def _fail(self, failure: Failure) -> None:
        """There will be no connection of one that was to be; where there is no other, nobody waits for anything."""
        if self._clients or self._connecting or self._settling:
            return
        waiters, self._waiters = self._waiters, {}
        self.load -= len(waiters)
        for waiter in waiters:
            if not waiter.called:  # one that was told may cancel others
                waiter.errback(failure)

    def _unsettled(self, client: Http2Client, seconds: float) -> None:
        client.unsettled(f"it sent no SETTINGS within {seconds:g} s (timeouts.acquire)")

    # Owner: what a connection has to say

    def settled(self, client: Http2Client) -> None:
        """It can be used; or takes another number of streams than before."""
        clock = self._settling.pop(client, None)
        if clock is not None:
            clock.cancel()
            self.standing.counter.connected += 1
            self._clients.append(client)
            self._schedule()
        if client.retiring:
            if client in self._clients:
                self._clients.remove(client)
                self._retired[client] = None
            self._grow()
            self._close_unused(client)
        elif client.limit:
            self._room = min(client.limit, USUAL)
            self._grant()

    def lost(self, client: Http2Client, error: NotHttp2) -> None:
        """It has ended."""
        clock = self._settling.pop(client, None)
        self._retired.pop(client, None)
        if client in self._clients:
            self._clients.remove(client)
        if clock is not None:
            if clock.active():
                clock.cancel()
            self.standing.counter.not_opened(error.reason)
            self._fail(Failure(error))
        if self._sweeper is not None and not (self._clients or self._retired):
            self._sweeper.cancel()
            self._sweeper = None
        if self._waiters:
            self._grow()

    def released(self, client: Http2Client) -> None:
        """One of its calls has ended."""
        self.load -= 1
        if self._waiters:
            self._grant()
        elif not client.taken:
            self._close_unused(client)

    def calm(self) -> None:
        """Ask half as often (gRPC proposal A8)."""
        if self._ping is not None:
            self._ping *= 2

    def _close_unused(self, client: Http2Client) -> None:
        if not client.taken and (self.closed or client.retiring):
            client.close()

    # time

    def _schedule(self) -> None:
        if self._sweeper is None:
            period = self._outward.timeouts.upstream_idle
            if self._ping is not None:
                period = min(period, self._ping)
            self._sweeper = self._outward.clock.callLater(period, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self.seconds()
        idle = self._outward.timeouts.upstream_idle
        for client in list(self._clients):
            if not client.taken and now - client.since >= idle:
                client.close()
        if self._ping is not None and now >= self._ping_at:
            self._ping_at = now + self._ping
            for client in [*self._clients, *self._retired]:
                client.check()
        if self._clients or self._retired:
            self._schedule()
