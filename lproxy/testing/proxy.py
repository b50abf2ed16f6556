# -*- test-case-name: tests.testing.test_proxy -*-
"""
Everything that a protocol's factory has around it in a running proxy, in memory and at a test's command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from lproxy.config import Limits, Listen, Metrics, Timeouts
from lproxy.errors import ProxyError
from lproxy.metrics.caps import Cap
from lproxy.metrics.counters import TransportCounter
from lproxy.metrics.family import Family
from lproxy.metrics.series import Counted, Series
from lproxy.protocols.runtime import CannotExpose, Runtime, Session
from lproxy.protocols.tcp.client import TcpClient
from lproxy.stack.interfaces import EndpointService, NewEndpoint
from lproxy.stack.lease import ENDED, FREE, Hold
from lproxy.stack.report import Report
from lproxy.target import Endpoint, Target
from lproxy.testing.wire import Peer, ScriptedReactor
from lproxy.transport.connect import ConnectFailed
from lproxy.transport.socket import Stream

#: the one endpoint there is, whatever the target
UPSTREAM = Endpoint("10.0.0.9", 9000)
CLIENT = ("10.0.0.1", 40000)
OURS = ("10.0.0.2", 4140)

C = TypeVar("C", bound=Counted)


class ScriptedConnector:
    """
    Opens connections to nowhere.

    @ivar upstreams: the other side of each that was opened
    @ivar mode: what becomes of a connection: C{accept}, C{refuse}, or C{wait} for L{accept} or L{refuse}
    @ivar waiting: connections that are being opened
    @ivar cancelled: how many of them were cancelled
    """

    def __init__(self, reactor: ScriptedReactor) -> None:
        self._reactor = reactor
        self.upstreams: list[Peer] = []
        self.mode: Literal["accept", "refuse", "wait"] = "accept"
        self.waiting: list[tuple[Endpoint, Deferred[Stream]]] = []
        self.cancelled = 0

    def connect(self, endpoint: Endpoint) -> Deferred[Stream]:
        """As L{lproxy.transport.connect.Connector.connect}."""
        d: Deferred[Stream] = Deferred(self._cancelled)
        self.waiting.append((endpoint, d))
        if self.mode == "accept":
            self.accept()
        elif self.mode == "refuse":
            self.refuse()
        return d

    def try_connect(self, endpoint: Endpoint) -> Stream | None:
        """As L{lproxy.transport.connect.Connector.try_connect}."""
        return self._opened(endpoint) if self.mode == "accept" else None

    def accept(self) -> None:
        """The one that has waited longest is connected."""
        endpoint, d = self.waiting.pop(0)
        d.callback(self._opened(endpoint))

    def _opened(self, endpoint: Endpoint) -> Stream:
        peer = Peer()
        self.upstreams.append(peer)
        return self._reactor.stream(peer, (endpoint.host, endpoint.port), OURS)

    def refuse(self) -> None:
        """The one that has waited longest is refused."""
        endpoint, d = self.waiting.pop(0)
        d.errback(Failure(ConnectFailed(endpoint, "ECONNREFUSED")))

    def _cancelled(self, d: Deferred[Stream]) -> None:
        self.waiting = [one for one in self.waiting if one[1] is not d]
        self.cancelled += 1


class CountedLease:
    """A lease that knows whether it has ended, once."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.call = inner.call
        self.hold: Hold = FREE
        self.closed = 0

    def close(self) -> None:
        """End it."""
        self.closed += 1
        self.inner.close()


def over(lease: CountedLease) -> bool:
    """Whether the stack knows that C{lease} has ended, or it has not."""
    return not lease.closed or lease.inner.hold is ENDED


class OneEndpoint:
    """
    A L{Stack<lproxy.stack.interfaces.Stack>} that knows one endpoint, and counts.

    @ivar error: what acquisitions fail with, if anything
    @ivar retried: the errors for which another lease was asked
    @ivar failures: what the endpoint has reported to its balancer
    """

    def __init__(self, new_endpoint: NewEndpoint[Any], leases: list[CountedLease]) -> None:
        self.error: Exception | None = None
        self.retried: list[ProxyError] = []
        self.failures: list[ProxyError] = []
        self.service: EndpointService[Any] = new_endpoint(UPSTREAM, self)
        self._leases = leases

    def try_acquire(self, target: Target) -> CountedLease | None:
        """What the endpoint has ready."""
        lease = self.service.try_acquire() if self.error is None else None
        return self._counted(lease) if lease is not None else None

    def acquire(self, target: Target) -> Deferred[CountedLease]:
        """As of the endpoint."""
        if self.error is not None:
            return fail(self.error)
        return self.service.acquire().addCallback(self._counted)

    def again(self, target: Target, error: ProxyError) -> Deferred[CountedLease]:
        """Another."""
        self.retried.append(error)
        return self.acquire(target)

    def failed(self, error: ProxyError) -> None:
        """As L{Health.failed<lproxy.stack.interfaces.Health.failed>}."""
        self.failures.append(error)

    def report(self, report: Report) -> None:
        """Of the endpoint."""
        self.service.report(report)

    def close(self) -> None:
        """Let go of what the endpoint keeps."""
        self.service.close()

    def _counted(self, lease: Any) -> CountedLease:
        counted = CountedLease(lease)
        self._leases.append(counted)
        return counted


class ScriptedProxy:
    """
    A listener whose connections are all of one protocol, to one endpoint.

    @ivar runtime: what the factory was made with
    @ivar factory: the factory, made of the plugin's configuration of C{table}
    @ivar sessions: those that are live
    @ivar crashes: exceptions of sessions
    @ivar warnings: log lines
    @ivar said: log lines of what is as it should be
    @ivar records: lines of the access log
    @ivar leases: every lease that was acquired
    @ivar exposed: by port, what makes the sessions of further addresses
    @ivar metrics: the sources of the protocol's own metric families
    @ivar counted: the transport counters by their labels
    """

    def __init__(self, plugin: Any, table: dict[str, Any] | None = None, target: str = "upstream.test:9000") -> None:
        self.reactor = ScriptedReactor()
        self.connector = ScriptedConnector(self.reactor)
        self.sessions: list[Session] = []
        self.crashes: list[Failure] = []
        self.warnings: list[str] = []
        self.said: list[str] = []
        self.records: list[dict[str, Any]] = []
        self.leases: list[CountedLease] = []
        self.counted: dict[tuple[str, ...], TransportCounter] = {}
        self.exposed: dict[int, Callable[[], Any]] = {}
        self.metrics: list[Callable[[], Iterable[Family]]] = []
        self._acquires: dict[str, OneEndpoint] = {}
        self._name = plugin.name
        config = plugin.configure(table or {})
        connector: Any = self.connector
        self.runtime = Runtime(
            listen=Listen(name="scripted", address="10.0.0.2:4140", target=target, protocol=plugin.name),
            timeouts=Timeouts(),
            limits=Limits(),
            reactor=self.reactor,
            connector=connector,
            acquire=self._acquire,
            counters=self,
            sessions=_Sessions(self.sessions),
            warn=lambda kind, text: self.warnings.append(text),
            say=self.said.append,
            crashed=lambda protocol, failure: self.crashes.append(failure),
            tunnels=lambda: self._acquire("tcp", lambda endpoint, _: TcpClient(self.runtime, endpoint, "tcp")),
            expose=self._expose,
            access=self.records.append,
        )
        self.factory: Any = plugin.factory(self.runtime, config)

    def client(self, prefix: bytes = b"", eof: bool = False, port: int | None = None) -> Peer:
        """
        A client's connection, in the hands of a new session.

        @param prefix: what detection has read of it
        @param eof: whether it has read the end as well
        @param port: one of the L{exposed}, instead of the listener's own
        """
        peer = Peer()
        stream = self.reactor.stream(peer, CLIENT, OURS)
        self.runtime.accepted(stream, self._name)
        stream.on_crash = self.crashes.append
        stream.startReading()
        session = self.factory.buildProtocol(stream.getPeer()) if port is None else self.exposed[port]()
        stream.attach(session, prefix, eof)
        return peer

    def settle(self, seconds: float = 0.0) -> None:
        """Let C{seconds} pass, and all that can happen happen."""
        self.reactor.settle(seconds)

    def fail(self, error: Exception | None) -> None:
        """Acquisitions fail with C{error} from now on; C{None}: no more."""
        for acquire in self._acquires.values():
            acquire.error = error

    @property
    def open(self) -> int:
        """Leases that have not ended."""
        return sum(not lease.closed for lease in self.leases)

    def left(self) -> list[str]:
        """
        What is left over once every connection has ended, in words; closes what is kept for later requests first.
        """
        for acquire in self._acquires.values():
            acquire.close()
        self.settle()
        left = [f"lease {lease.inner!r} closed {lease.closed} times" for lease in self.leases if lease.closed != 1]
        left += [f"lease {one.inner!r} did not begin its close() with ended()" for one in self.leases if not over(one)]
        left += [f"load {a.service.load} of {name}" for name, a in self._acquires.items() if a.service.load]
        left += [f"session {session!r}" for session in self.sessions]
        left += [f"timer {call}" for call in self.reactor.getDelayedCalls()]
        left += [f"upstream {peer}" for peer in self.connector.upstreams if peer.ended not in ("closed", "reset")]
        left += [f"connecting to {endpoint}" for endpoint, _ in self.connector.waiting]
        left += [f"{len(counter.live)} counted {labels}" for labels, counter in self.counted.items() if counter.live]
        return left + [f"crash: {failure.getTraceback()}" for failure in self.crashes]

    # Counters

    def transport(self, direction: str, peer: str, src_addr: str, dst_addr: str, protocol: str) -> TransportCounter:
        """As L{lproxy.protocols.runtime.Counters.transport}."""
        return self.counted.setdefault((direction, peer, src_addr, dst_addr, protocol), TransportCounter())

    def cap(self) -> Cap:
        """As L{lproxy.protocols.runtime.Counters.cap}."""
        return Cap(Metrics().target_cap)

    def series(self, make: Callable[[], C], *capped: str) -> Series[C]:
        """As L{lproxy.protocols.runtime.Counters.series}."""
        return Series(make, self.reactor.seconds, Metrics().idle, {label: self.cap() for label in capped})

    def families(self, source: Callable[[], Iterable[Family]]) -> None:
        """As L{lproxy.protocols.runtime.Counters.families}."""
        self.metrics.append(source)

    def _expose(self, port: int, protocol: str, build: Callable[[], Any]) -> tuple[str, int]:
        if port in self.exposed:
            raise CannotExpose(f"cannot listen on {port}: Address already in use")
        self.exposed[port] = build
        return OURS[0], port

    def _acquire(self, protocol: str, new_endpoint: NewEndpoint[Any]) -> Any:
        acquire = self._acquires.get(protocol)
        if acquire is None:
            acquire = self._acquires[protocol] = OneEndpoint(new_endpoint, self.leases)
        return acquire


class _Sessions:
    """A L{Sessions<lproxy.protocols.runtime.Sessions>} in a list."""

    def __init__(self, live: list[Session]) -> None:
        self._live = live

    def add(self, session: Session) -> None:
        self._live.append(session)

    def remove(self, session: Session) -> None:
        if session in self._live:
            self._live.remove(session)
