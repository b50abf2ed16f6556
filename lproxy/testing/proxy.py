# -*- test-case-name: tests.testing.test_proxy -*-
"""
Everything that a protocol's factory has around it in a running proxy, in memory and at a test's command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from twisted.python.failure import Failure

from lproxy.config import Limits, Listen, Metrics, Timeouts
from lproxy.errors import Failed
from lproxy.metrics.caps import Cap
from lproxy.metrics.counters import TransportCounter
from lproxy.metrics.family import Family
from lproxy.metrics.series import Counted, Series
from lproxy.protocols.connection import ConnectionClient
from lproxy.protocols.outward import Outward
from lproxy.protocols.runtime import CannotExpose, Runtime
from lproxy.protocols.session import Accepted, Session
from lproxy.stack.interfaces import NewEndpoint
from lproxy.target import UNKNOWN, Metadata, Target
from lproxy.testing.upstream import CLIENT, OURS, CountedLease, OneEndpoint, ScriptedConnector, over
from lproxy.testing.wire import Peer, ScriptedReactor
from lproxy.transport.stream import DISABLED, Secured, Stream

C = TypeVar("C", bound=Counted)


class ScriptedProxy:
    """
    A listener whose connections are all of one protocol, to one endpoint.

    @ivar runtime: what the factory was made with
    @ivar factory: the factory, made of the plugin's configuration of C{table}
    @ivar sessions: those that are live
    @ivar crashes: exceptions of sessions
    @ivar warnings: log lines
    @ivar failed: the parts of failures that such lines tell of
    @ivar said: log lines of what is as it should be
    @ivar records: lines of the access log
    @ivar leases: every lease that was acquired
    @ivar targets: what was acquired, or waited for
    @ivar acquires: by protocol, the stack that its sessions acquire from; its C{service} is the endpoint's
    @ivar exposed: by port, what makes the sessions of further addresses
    @ivar elsewhere: ports that another worker has opened, by owner
    @ivar notes: what was said for other workers, by owner
    @ivar hearing: who is to be told what other workers say
    @ivar taken: ports that another program has
    @ivar unready: what is asked whether the protocol is ready
    @ivar redetected: streams that are to be detected anew, each with the session that carries it
    @ivar metrics: the sources of the protocol's own metric families
    @ivar counted: the transport counters by their labels
    """

    def __init__(
        self,
        plugin: Any,
        table: dict[str, Any] | None = None,
        target: str = "upstream.test:9000",
        metadata: Metadata = UNKNOWN,
    ) -> None:
        """
        @param metadata: what is known of the endpoint
        """
        self.reactor = ScriptedReactor()
        self.connector = ScriptedConnector(self.reactor)
        self.sessions: list[Session] = []
        self.crashes: list[Failure] = []
        self.warnings: list[str] = []
        self.failed: list[Failed] = []
        self.said: list[str] = []
        self.records: list[dict[str, Any]] = []
        self.leases: list[CountedLease] = []
        self.targets: list[Target] = []
        self.counted: dict[tuple[str, ...], TransportCounter] = {}
        self.exposed: dict[int, Callable[[Accepted], Session]] = {}
        self.taken: set[int] = set()
        self.elsewhere: dict[str, int] = {}
        self.notes: dict[str, str] = {}
        self.hearing: list[Callable[[str], None]] = []
        self.unready: list[Callable[[], str | None]] = []
        self.redetected: list[tuple[Stream, Session]] = []
        self.metrics: list[Callable[[], Iterable[Family]]] = []
        self.acquires: dict[str, OneEndpoint] = {}
        self._name = plugin.name
        self._metadata = metadata
        config = plugin.configure(table or {})
        connector: Any = self.connector
        self.runtime = Runtime(
            listen=Listen(name="scripted", address="10.0.0.2:4140", target=target, protocol=plugin.name),
            timeouts=Timeouts(),
            limits=Limits(),
            clock=self.reactor,
            outward=Outward("outbound", Timeouts(), Limits(), self.reactor, connector, self, self._crashed),
            acquire=self._acquire,
            counters=self,
            sessions=_Sessions(self.sessions),
            warn=self._warn,
            say=self.said.append,
            crashed=self._crashed,
            tunnels=lambda: self._acquire(
                "tcp",
                lambda endpoint, about, health: ConnectionClient(self.runtime.outward, endpoint, about, "tcp", health),
            ),
            detect=lambda stream, session: self.redetected.append((stream, session)),
            expose=self._expose,
            conceal=self._conceal,
            told=self.hearing.append,
            not_ready=self.unready.append,
            access=self.records.append,
        )
        self.factory: Any = plugin.factory(self.runtime, config)

    def client(
        self,
        prefix: bytes = b"",
        eof: bool = False,
        port: int | None = None,
        variant: str = "",
        since: float = 0.0,
        tls: Secured | None = None,
    ) -> Peer:
        """
        A client's connection, in the hands of a new session.

        @param prefix: what detection has read of it
        @param eof: whether it has read the end as well
        @param port: one of the L{exposed}, instead of the listener's own
        @param variant: what detection has found
        @param since: when it has heard the first of that
        @param tls: what it is secured by
        """
        peer = Peer()
        stream = self.reactor.stream(peer, CLIENT, OURS)
        stream.conn = stream.conn._replace(tls=tls)
        self.runtime.accepted(stream, self._name)
        make = self.factory.session if port is None else self.exposed[port]
        try:
            session = make(Accepted(stream, self._name, variant, prefix, eof, since=since))
        except BaseException:
            self.runtime.crashed(self._name, Failure())
            stream.abort()
            return peer
        self.sessions.append(session)
        stream.on_crash = partial(self._broken, session)
        try:
            session.start()
        except BaseException:
            self._broken(session, Failure())
            stream.abort()
        return peer

    def _warn(self, kind: str, text: str, parts: Failed | None = None, /) -> None:
        self.warnings.append(text)
        if parts is not None:
            self.failed.append(parts)

    def _crashed(self, protocol: str, failure: Failure, where: str = "") -> None:
        self.crashes.append(failure)

    def _broken(self, session: Session, failure: Failure) -> None:
        """It raised, and is over by that."""
        self.runtime.crashed(self._name, failure)
        self.runtime.sessions.remove(session)

    def settle(self, seconds: float = 0.0) -> None:
        """Let C{seconds} pass, and all that can happen happen."""
        self.reactor.settle(seconds)

    def fail(self, error: Exception | None) -> None:
        """Acquisitions fail with C{error} from now on; C{None}: no more."""
        for acquire in self.acquires.values():
            acquire.error = error

    @property
    def open(self) -> int:
        """Leases that have not ended."""
        return sum(not lease.closed for lease in self.leases)

    def left(self) -> list[str]:
        """
        What is left over once every connection has ended, in words; closes what is kept for later requests first.
        """
        for acquire in self.acquires.values():
            acquire.close()
        self.settle()
        left = [f"lease {lease.inner!r} closed {lease.closed} times" for lease in self.leases if lease.closed != 1]
        left += [f"lease {one.inner!r} did not begin its close() with ended()" for one in self.leases if not over(one)]
        left += [f"load {a.service.load} of {name}" for name, a in self.acquires.items() if a.service.load]
        left += [f"session {session!r}" for session in self.sessions]
        left += [f"timer {call}" for call in self.reactor.getDelayedCalls()]
        left += [f"upstream {peer}" for peer in self.connector.upstreams if peer.ended not in ("closed", "reset")]
        left += [f"connecting to {endpoint}" for endpoint, _ in self.connector.waiting]
        left += [f"{len(counter.live)} counted {labels}" for labels, counter in self.counted.items() if counter.live]
        return left + [f"crash: {failure.getTraceback()}" for failure in self.crashes]

    # Counters

    def transport(
        self,
        direction: str,
        peer: str,
        src_addr: str,
        dst_addr: str,
        protocol: str,
        tls: Secured | None = None,
        no_tls_reason: str = DISABLED,
    ) -> TransportCounter:
        """As L{lproxy.protocols.runtime.Counters.transport}; of labels of TLS, those of secured ones alone."""
        security = () if tls is None else (tls.remote_identity, tls.local_identity)
        return self.counted.setdefault((direction, peer, src_addr, dst_addr, protocol, *security), TransportCounter())

    def cap(self) -> Cap:
        """As L{lproxy.protocols.runtime.Counters.cap}."""
        return Cap(Metrics().target_cap)

    def series(self, make: Callable[[], C], *capped: str) -> Series[C]:
        """As L{lproxy.protocols.runtime.Counters.series}."""
        return Series(make, self.reactor.seconds, Metrics().idle, {label: self.cap() for label in capped})

    def families(self, source: Callable[[], Iterable[Family]]) -> None:
        """As L{lproxy.protocols.runtime.Counters.families}."""
        self.metrics.append(source)

    def _expose(
        self, port: int, protocol: str, make: Callable[[Accepted], Session], owner: str = "", note: str = ""
    ) -> tuple[str, int]:
        elsewhere = self.elsewhere.get(owner, port)
        if elsewhere != port:
            raise CannotExpose(f"cannot listen on {port}: {owner} has port {elsewhere} in another worker", elsewhere)
        if port in self.exposed or port in self.taken:
            raise CannotExpose(f"cannot listen on {port}: Address already in use")
        self.exposed[port] = make
        if owner:
            self.notes[owner] = note
        return OURS[0], port

    def _conceal(self, port: int) -> None:
        del self.exposed[port]

    def _acquire(self, protocol: str, new_endpoint: NewEndpoint[Any]) -> Any:
        acquire = self.acquires.get(protocol)
        if acquire is None:
            acquire = self.acquires[protocol] = OneEndpoint(new_endpoint, self.leases, self.targets, self._metadata)
        return acquire


class _Sessions:
    """A L{Sessions<lproxy.protocols.runtime.Sessions>} in a list."""

    def __init__(self, live: list[Session]) -> None:
        self._live = live

    def replace(self, old: Session, new: Session) -> None:
        self._live[self._live.index(old)] = new
        new.start()

    def remove(self, session: Session) -> None:
        if session in self._live:
            self._live.remove(session)
