# -*- test-case-name: tests.protocols.http.test_pool -*-
"""
The bottom of the HTTP stack: connections to one endpoint, and the leases on them.

A connection that an exchange left clean is kept for a while and given out again, the latest first, so that those not
needed grow old and go. What it says, or that it ends, while nobody uses it is no answer: it is closed, and another one
is used.

Over 300 lines: leases, what they leave behind and the pool it goes back to are read together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from lproxy.api import FREE, Health, HealthCheck, Hold, Outward, ProxyError, Report, Stream, ended
from lproxy.protocols.http.check import Unheeded, ask
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.standing import Standing
from lproxy.protocols.http.streams import HttpLease, Outgoing, Responder, UpstreamLost
from lproxy.target import Endpoint

#: connects to one endpoint, in one way
Dial = Callable[[], Deferred[Stream]]

#: seconds for which a connection that served is taken to be as it was; later the kernel is asked what it knows
FRESH: Final = 0.005


class Connection(Protocol):
    """What is pooled: a connection to an upstream, of whatever version."""

    __slots__ = ()

    def dispatch(self, head: Request, body: bytes, end: bool, to: Responder) -> Outgoing:
        """As L{HttpLease.call<lproxy.protocols.http.streams.HttpLease.call>}."""

    def finish(self) -> bool:
        """
        What was dispatched, if anything was, is over or has to be.

        @return: whether another can follow; otherwise it is closed
        """

    def silent(self) -> bool:
        """Whether it has neither ended nor said anything, as far as is known at this very moment."""

    def close(self) -> None:
        """Close it; nothing is under way."""


class Entry:
    """
    A connection in its pool.

    @ivar since: seconds, when it was last given out, or came back
    @ivar status: of the answer that it has brought since, as soon as that has begun; or zero
    @ivar swept: whether it has been idle since before the latest sweep
    @ivar private: whether a client has authenticated on it: it is that client's, and never kept for others
    """

    __slots__ = ("connection", "pool", "private", "since", "status", "swept")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.connection: Connection | None = None
        self.since = 0.0
        self.status = 0
        self.swept = False
        self.private = False

    def failed(self, error: ProxyError) -> bool:
        """
        The connection was lost under an exchange, and not for having been idle: have the endpoint passed over.

        @return: whether others serve the same
        """
        self.status = 0
        return self.pool.standing.failed(error, self.since)

    def bad(self, error: ProxyError) -> None:
        """The exchange came to nothing, and it was the upstream's fault."""
        self.status = 0
        self.pool.standing.bad(error, self.since)

    def outrun(self) -> None:
        """The exchange is given up for being slow."""
        self.pool.standing.outrun(self.since, self.pool.seconds())

    def became_tunnel(self, status: int) -> None:
        """The upstream has agreed to speak something else, for however long: an answer, and no latency."""
        self.pool.standing.judge(status, self.since)

    def lost(self, reused: bool) -> None:
        """
        The connection has ended, by whatever side.

        @param reused: whether that ended an exchange which was not its first
        """
        self.connection = None
        self.pool.lost(self, reused)


class PooledLease(HttpLease):
    """
    An L{HttpLease<lproxy.protocols.http.streams.HttpLease>} on a connection of a pool.

    @ivar hold: what the stack holds for it
    """

    __slots__ = ("_entry",)

    def __init__(self, entry: Entry) -> None:
        self.hold: Hold = FREE
        self._entry = entry

    def __repr__(self) -> str:
        return f"<PooledLease {self._entry.pool.endpoint}>"

    def call(self, head: Request, body: bytes, end: bool, to: Responder) -> Outgoing:
        """Dispatch."""
        entry = self._entry
        connection = entry.connection
        if connection is None:
            raise UpstreamLost(entry.pool.endpoint, "", "before the request was sent", answered=False, unsent=True)
        if head.private:
            entry.private = True
        return connection.dispatch(head, body, end, to)

    def means(self, status: int) -> None:
        """What the answer came to."""
        self._entry.status = status

    def close(self) -> None:
        """End it: the connection is kept for another, or closed."""
        if not ended(self):
            return
        entry = self._entry
        connection = entry.connection
        entry.pool.over(entry, connection is not None and connection.finish())

    def keep(self) -> Kept | None:
        """
        End it, and have its connection for oneself: a client has authenticated on it.

        @return: C{None} where it cannot be used any more
        """
        hold, entry = self.hold, self._entry
        entry.private = True
        if not ended(self):
            return None
        connection = entry.connection
        usable = connection is not None and connection.finish()
        entry.pool.over(entry, False)
        return Kept(entry, hold) if usable else None


class Kept:
    """
    A connection that is one client's for as long as both last, between that client's requests.

    It counts for nothing then: neither as in flight nor as load.
    """

    __slots__ = ("_entry", "_hold")

    def __init__(self, entry: Entry, hold: Hold) -> None:
        """
        @param hold: what the stack held for the lease that it came with
        """
        self._entry = entry
        self._hold = hold

    def lease(self) -> PooledLease | None:
        """For that client's next request; C{None} where the connection has ended."""
        entry, hold = self._entry, self._hold
        connection = entry.connection
        if connection is None:
            return None
        if not connection.silent():
            connection.close()
            return None
        lease = PooledLease(entry)
        entry.since = entry.pool.seconds()
        entry.pool.load += 1
        if hold is not FREE:
            hold.take(lease)
        return lease

    def close(self) -> None:
        """The client is gone."""
        if self._entry.connection is not None:
            self._entry.connection.close()


class Pool:
    """
    The service of one endpoint.

    @ivar load: leases that are out, or being acquired
    @ivar idle: entries that are, the latest last
    @ivar closed: whether nothing is kept any more
    @ivar standing: how the endpoint does, and where that is counted
    @ivar seconds: the clock
    @ivar _doubtful: an idle connection turned out to be dead as it was used: until an exchange succeeds, new ones are
        opened, since the others may be as dead
    """

    __slots__ = (
        "_connect",
        "_dial",
        "_doubtful",
        "_limit",
        "_outward",
        "_protocol",
        "_sweeper",
        "closed",
        "endpoint",
        "idle",
        "load",
        "seconds",
        "standing",
    )

    def __init__(
        self,
        outward: Outward,
        endpoint: Endpoint,
        dial: Dial,
        health: Health,
        protocol: str,
        connect: Callable[[Stream, Entry], Connection],
    ) -> None:
        """
        @param dial: connects to it
        @param protocol: the name that connections are counted under
        @param connect: speaks HTTP on a connected stream
        """
        self._outward = outward
        self.seconds: Callable[[], float] = outward.clock.seconds
        self._limit = outward.limits.pool
        self._dial = dial
        self._protocol = protocol
        self._connect = connect
        self.idle: dict[Entry, None] = {}
        self._doubtful = False
        self.closed = False
        self.standing = Standing(endpoint, health)
        self._sweeper: Any = None
        self.endpoint = endpoint
        self.load = 0

    def __repr__(self) -> str:
        return f"<Pool {self.endpoint} load={self.load} idle={len(self.idle)}>"

    # the service

    def try_acquire(self) -> HttpLease | None:
        """The connection that was used last, of those that are idle and alive."""
        idle = self.idle
        while idle and not self._doubtful:
            entry = idle.popitem()[0]
            connection = entry.connection
            if connection is None:
                continue
            now = self.seconds()
            if now - entry.since < FRESH or connection.silent():
                entry.since = now
                self.load += 1
                return PooledLease(entry)
            connection.close()
        return None

    def acquire(self) -> Deferred[HttpLease]:
        """An idle connection or a new one."""
        lease = self.try_acquire()
        if lease is not None:
            return succeed(lease)
        self.load += 1
        return self._dial().addCallbacks(self._connected, self._failed)

    def adopt(self, stream: Stream) -> None:
        """Have C{stream}, which nobody asked this for, and which nobody uses."""
        self.load += 1
        self._connected(stream).close()

    def check(self, check: HealthCheck) -> Deferred[None]:
        """Ask whether the endpoint serves."""
        alone = Pool(self._outward, self.endpoint, self._dial, Unheeded(), self._protocol, self._connect)
        return ask(alone, check, self.endpoint, False)

    def close(self) -> None:
        """Close what is idle now, and the others as they come back."""
        self.closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self.idle:
            self._drop(self.idle.popitem()[0])

    def report(self, report: Report) -> None:
        """Connections, by what they do."""
        report.show(in_flight=self.load, idle=len(self.idle))

    def connections(self) -> tuple[int, int]:
        """How many are in use, and how many are not."""
        return self.load, len(self.idle)

    def _connected(self, stream: Stream) -> HttpLease:
        outward = self._outward
        try:
            outward.opened(stream, self.endpoint, self._protocol)
            self.standing.counter.connected += 1
            stream.high_water = outward.limits.buffer
            entry = Entry(self)
            entry.since = self.seconds()
            entry.connection = self._connect(stream, entry)
            return PooledLease(entry)
        except BaseException:
            self.load -= 1
            stream.abort()
            raise

    def _failed(self, failure: Failure) -> Failure:
        self.load -= 1
        if isinstance(failure.value, ProxyError):
            self.standing.counter.not_opened(failure.value.reason)
        return failure

    # leases and connections

    def over(self, entry: Entry, usable: bool) -> None:
        """A lease has ended. C{usable}: its connection can be given out again; else it is closed, or somebody's own."""
        self.load -= 1
        now = self.seconds()
        began, entry.since = entry.since, now
        status, entry.status = entry.status, 0
        self.standing.ended(status, began, now)
        if not usable:
            return
        self._doubtful = False
        if self.closed or entry.private or len(self.idle) >= self._limit:
            self._drop(entry)
            return
        entry.swept = False
        self.idle[entry] = None
        if self._sweeper is None:
            self._schedule()

    def lost(self, entry: Entry, reused: bool) -> None:
        """A connection has ended; it may be idle, or have a lease."""
        self.idle.pop(entry, None)
        if reused:
            self.standing.counter.failed += 1
            self._doubtful = True

    # time

    def _schedule(self) -> None:
        # one timer for all, none while there is nothing idle: connections go between one and two periods of it
        self._sweeper = self._outward.clock.callLater(self._outward.timeouts.upstream_idle, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        for entry in list(self.idle):
            if entry.swept:
                del self.idle[entry]
                self._drop(entry)
            else:
                entry.swept = True
        if self.idle:
            self._schedule()

    def _drop(self, entry: Entry) -> None:
        if entry.connection is not None:
            entry.connection.close()
