# -*- test-case-name: tests.app.test_assembly -*-
"""
Everything that is made of one configuration: listeners' edges and their protocols, stacks, discovery, live sessions.

A value, as far as its owner (L{lproxy.app.service}) is concerned: it is made without opening anything, started, and
retired when its sessions have ended. Another may be running meanwhile.

Over 300 lines: how all of it is put together is to be read in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from lproxy.app import trace
from lproxy.app.access import AccessLog
from lproxy.app.balancing import checked
from lproxy.app.lines import lines
from lproxy.app.listener import ListenerEdge
from lproxy.app.log import log
from lproxy.app.openings import Openings, beginning
from lproxy.app.profiles import LiveProfiles
from lproxy.app.readiness import Readiness
from lproxy.app.sessions import Sessions
from lproxy.app.sockets import Accepting, CannotListen
from lproxy.app.surroundings import Surroundings
from lproxy.app.tls import Security
from lproxy.app.tracing import NoTraces, tracer
from lproxy.config import DETECT, Config, Direction, Listen
from lproxy.configfile import insist
from lproxy.errors import one_line
from lproxy.metrics.plugin import PluginCounters
from lproxy.protocols.connection import ConnectionClient
from lproxy.protocols.runtime import CannotExpose, Runtime
from lproxy.protocols.session import Accepted, Session, SessionFactory
from lproxy.protocols.tcp.factory import TcpFactory
from lproxy.stack.interfaces import Health
from lproxy.target import Endpoint, Metadata, Target
from lproxy.transport.connect import SocketConnector
from lproxy.transport.keepalive import Keepalive
from lproxy.transport.stream import Address, Stream
from lproxy.verdict import Detector

#: seconds for what was aborted to be gone; whatever does not notice must not keep the process
LAST = 1.0


class CannotStart(Exception):
    """
    An address cannot be listened on, a protocol is broken, or certificates are not good. Nothing was started.

    Its arguments are all that is wrong.
    """

    def __str__(self) -> str:
        return "; ".join(map(str, self.args))


def _say(text: str) -> None:
    """Write a log line."""
    log.info("{text}", text=one_line(text))


class Assembly:
    """
    One configuration at work.

    @ivar sessions: those that began with it, until they end
    @ivar edges: by listener
    @ivar openings: where it accepts
    @ivar readiness: why it is not ready
    @ivar security: certificates, and who may
    @ivar superseded: whether it is retired because another goes on in its place
    """

    def __init__(self, config: Config, around: Surroundings) -> None:
        """
        Begin; L{make} does the rest.

        @raise CannotStart: it cannot trace
        """
        self.config = config
        self._around = around
        self._plugins = {found.name: found.plugin for found in around.plugins if found.plugin is not None}
        self._access: AccessLog | None = None
        self._started: list[tuple[str, SessionFactory]] = []
        self._counted: list[PluginCounters] = []
        try:
            self._tracer = tracer(config.tracing, around)
        except NoTraces as e:
            raise CannotStart(str(e)) from e
        self._closed = self.superseded = False
        self._grace: Deferred[None] | None = None
        self._limit: IDelayedCall | None = None
        self.sessions, self.readiness = Sessions(around.crashed), Readiness(around.crashed)
        self.share = around.stacks.share(config)
        self._static = self.share.static
        self.security = Security(config, around, self._static.find)
        self.profiles = LiveProfiles(
            config,
            self._static,
            around.shelf,
            around.reactor,
            around.metrics.profiles,
            _say,
            around.warn,
            partial(around.crashed, "profiles"),
        )
        self.openings = Openings(around.sockets)
        #: who hears of what other workers expose, by how its owners' names begin
        self._hearing: dict[str, Callable[[str], None]] = {}
        self.edges: dict[Listen, ListenerEdge] = {}

    def __repr__(self) -> str:
        return f"<Assembly of {len(self.edges)} listeners, {len(self.sessions)} sessions>"

    # its life

    def make(self) -> Generator[None, None, None]:
        """
        Make everything, open nothing: step by step, as there may be thousands of services, certificates and profiles.

        @raise CannotStart: a protocol is not there or cannot be set up, or certificates are not good; it is closed then
        """
        try:
            for listen in self.config.listen:
                edge = self.edges[listen] = self._edge(listen)
                keepalive = self._keepalive(listen.direction)
                plain = self.security.accepted(listen)
                self.openings.add(listen, Accepting(edge.accepted, edge.refused, edge.redirected, keepalive, plain))
                yield
            wrong = yield from self.security.load()
            if wrong:
                raise CannotStart(*wrong)
            yield from self.profiles.read()
            yield from self.share.compare()
        except (CannotStart, GeneratorExit):
            self.close()
            raise

    def bind(self) -> None:
        """
        Bind the addresses that are not bound yet.

        @raise CannotStart: one cannot be; none was
        """
        try:
            self.openings.bind(self.edges)
        except CannotListen as e:
            raise CannotStart(str(e)) from e

    def start(self) -> None:
        """
        Begin what can fail once privileges are shed, and then accept.

        The access log is opened by the user who opens it again on SIGHUP.

        @raise CannotStart: nothing is accepted; what was started is to be L{close}d
        """
        if path := self.config.access_log.path:
            try:
                line = lines(self.config.access_log.format, self.config.access_log.connections)
                self._access = AccessLog(path, line, self._around.metrics.access_lines, self._around.reactor)
            except OSError as e:
                raise CannotStart(f"access_log.path: cannot write to {path}: {e.strerror}") from e
        try:
            self.security.start()
        except OSError as e:
            raise CannotStart(f"key_log.path: cannot write to {self.config.key_log.path}: {e.strerror}") from e
        self.profiles.start()
        # before anybody is asked for: factories may begin with that
        self.share.take()
        for listen, edge in self.edges.items():
            for name, factory in edge.factories.items():
                try:
                    factory.start()
                except BaseException as e:
                    raise CannotStart(f"{listen.name}: protocol {name} cannot start: {type(e).__name__}: {e}") from e
                self._started.append((name, factory))
        for listen, edge in self.edges.items():
            edge.count_into(self._around.metrics.detect(listen.name))
        self.openings.open()

    def resume(self) -> None:
        """It is to serve, as before: another that was to take its place cannot start."""
        self.share.take()

    def retire(self, seconds: float | None) -> Deferred[None]:
        """
        Let what is under way finish, for so long, then cut it off; fires when all is over and let go of.

        @param seconds: C{None}: for as long as it lasts, or until somebody L{hurries<hurry>}

        Whoever calls this has seen to it that nothing is accepted for it any more.
        """
        return Deferred.fromCoroutine(self._retire(seconds))

    async def _retire(self, seconds: float | None) -> None:
        self.openings.close()
        # which certificates are in use is another's to tell from now on
        self.security.identities.stop()
        self.profiles.stop()
        self._drain()
        if len(self.sessions):
            bound = f"{seconds:g} s at most" if seconds is not None else "as long as they last"
            log.info("draining {n} connections, {bound}", n=len(self.sessions), bound=bound)
        if not await self._empty(seconds):
            log.info("{n} connections are cut off", n=len(self.sessions))
            self.sessions.abort()
            await self._empty(LAST)
        self.close()

    def _drain(self) -> None:
        for name, factory in self._started:
            self._guard(name, factory.drain)
        self.sessions.drain()

    def end(self) -> None:
        """It is retired, as another has gone on in its place; now all ends."""
        self.superseded = False
        self._drain()
        self.hurry(self.drain_seconds())

    async def _empty(self, seconds: float | None) -> bool:
        """Whether all sessions are over, within so many seconds or until somebody hurries."""
        self._grace = left = self.sessions.empty()
        left.addErrback(lambda failure: None)
        if seconds is not None:
            self.hurry(seconds)
        await left
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self._limit = None
        return not len(self.sessions)

    def hurry(self, seconds: float = 0.0) -> None:
        """Wait for so long at most, and cut off who is left then."""
        if self._grace is None or self._grace.called:
            return
        if not seconds:
            self._grace.cancel()
        elif self._limit is None or self._limit.getTime() > self._around.reactor.seconds() + seconds:
            if self._limit is not None:
                self._limit.cancel()
            self._limit = self._around.reactor.callLater(seconds, self._grace.cancel)

    def close(self) -> None:
        """Let go of everything; harmless to be told twice."""
        if self._closed:
            return
        self._closed = True
        self.security.stop()
        self.profiles.stop()
        started, self._started = self._started, []
        for name, factory in started:
            self._guard(name, factory.stop)
        self.share.close()
        for connector in self.share.connectors.values():
            connector.close()
        counted, self._counted = self._counted, []
        for counters in counted:
            self._around.metrics.remove(counters)
        # each refers to us: what has thousands of services is not left to the collector of cycles
        self.edges.clear()
        self.readiness.clear()
        self._hearing.clear()
        self.openings.clear()
        if self._access is not None:
            self._access.close()
            self._access = None
        if self._tracer is not None:
            self._tracer.close()

    def reopen(self) -> None:
        """As SIGHUP: the access log's file was moved away, and certificates may be others."""
        if self._access is not None:
            self._access.reopen()
        self.security.identities.reload()
        self.profiles.reload()

    def oddities(self) -> list[str]:
        """What is odd about its certificates, a sentence each."""
        return sorted(set(self.security.store.warnings()))

    def drain_seconds(self) -> float:
        """How long to wait for its sessions at most, at the proxy's end."""
        return max((self.config.timeouts(listen.direction).drain for listen in self.edges), default=0.0)

    def reload_drain(self) -> float | None:
        """The same where another one goes on in its place; C{None}: as long as they last."""
        bounds = [self.config.timeouts(listen.direction).reload_drain for listen in self.edges]
        known = [bound for bound in bounds if bound is not None]
        return max(known, default=0.0) if len(known) == len(bounds) else None

    def _guard(self, protocol: str, step: Callable[[], object]) -> None:
        """What a factory raises at its end must not keep the others from theirs."""
        try:
            step()
        except BaseException:
            self._around.crashed(protocol, Failure())

    # how it is put together

    def _edge(self, listen: Listen) -> ListenerEdge:
        runtime = self._runtime(listen)
        names = [*self._detected(listen), "tcp"] if listen.protocol is None else [listen.protocol]
        factories: dict[str, SessionFactory] = {}
        detectors: dict[str, Detector] = {}
        for name in names:
            plugin = self._plugin(name, listen)
            try:
                # a listener that no file made has no values yet
                value = listen.plugins[name] if name in listen.plugins else plugin.configure({})
                insist(value, listen)
                own = replace(
                    runtime,
                    outward=self.share.outward(listen.direction, name),
                    counters=self._counters(name),
                    not_ready=partial(self.readiness.add, name),
                    told=partial(self._hearing.__setitem__, beginning(listen, name)),
                    remembered=self._around.remembered.setdefault((listen.name, name), {}),
                    checked=partial(self._checked, listen) if name == names[0] else tuple,
                )
                factory = factories[name] = plugin.factory(own, value)
                if factory is None:
                    raise TypeError("its plugin's factory() returns nothing")
                # a factory's own knows the listener's settings
                detect = factory.detector or plugin.detector
            except BaseException as e:
                raise CannotStart(f"{listen.name}: protocol {name} cannot be set up: {type(e).__name__}: {e}") from e
            if detect is not None:
                detectors[name] = detect
            elif listen.protocol is None:
                raise CannotStart(f"{listen.name}: protocol {name} cannot be detected; set protocol = {name!r}")
        dialler = factories.get("tcp")
        tcp = dialler if isinstance(dialler, TcpFactory) else None
        securing = self.security.securing(runtime, self.sessions)
        guarded, opaque = self.security.guarded(listen), self.profiles.opaque if self.profiles.any_opaque else None
        return ListenerEdge(runtime, self.sessions, factories, detectors, tcp, securing, guarded, opaque)

    def _checked(self, listen: Listen) -> tuple[Target, ...]:
        return tuple(checked(listen, self.config.services, self.profiles))

    def _runtime(self, listen: Listen) -> Runtime:
        direction, config, around = listen.direction, self.config, self._around
        self._connect(direction)
        outward, acquire = self.share.outward(direction, "tcp"), self.share.of(listen)

        def client(endpoint: Endpoint, metadata: Metadata, health: Health) -> ConnectionClient:
            return ConnectionClient(outward, endpoint, metadata, "tcp", health)

        return Runtime(
            listen=listen,
            timeouts=config.timeouts(direction),
            limits=config.limits,
            clock=around.reactor,
            outward=outward,
            acquire=acquire,
            counters=self._counters("tcp"),
            sessions=self.sessions,
            warn=around.warn,
            say=_say,
            crashed=around.crashed,
            tunnels=lambda: acquire("tcp", client),
            detect=partial(self._redetect, listen),
            expose=partial(self._expose, listen),
            conceal=partial(self.openings.conceal, listen),
            not_ready=partial(self.readiness.add, "tcp"),
            tracer=self._tracer,
            taps=around.taps,
            access=self._log_access if config.access_log.path or log.debugging() else None,
            service=self._static.service,
            profiles=self.profiles,
            tls=config.tls(listen),
            policy=self.security.policy(listen),
            denied=partial(self._denied, listen),
            superseded=self._is_superseded,
            rates=around.rates,
        )

    def _counters(self, plugin: str) -> PluginCounters:
        """What a plugin counts into as long as this assembly lives."""
        counters = self._around.metrics.plugin(plugin)
        self._counted.append(counters)
        return counters

    def _is_superseded(self) -> bool:
        return self.superseded

    def _denied(self, listen: Listen, reason: str) -> None:
        self.edges[listen].denied(reason)

    def _redetect(self, listen: Listen, stream: Stream, session: Session) -> None:
        self.edges[listen].redetect(stream, session)

    def _detected(self, listen: Listen) -> tuple[str, ...]:
        if listen.detect == DETECT:
            return tuple(name for name in DETECT if name in self._plugins)
        return listen.detect

    def _plugin(self, name: str, listen: Listen) -> Any:
        if name not in self._plugins:
            broken = "; ".join(f"{found.file}: {found.error}" for found in self._around.plugins if found.error)
            raise CannotStart(f"{listen.name}: there is no protocol {name}{broken and '; broken plugins: '}{broken}")
        return self._plugins[name]

    def _connect(self, direction: Direction) -> None:
        """See to it that there is what opens connections in C{direction}."""
        if direction not in self.share.connectors:
            self.share.connectors[direction] = SocketConnector(
                self._around.hub,
                self.config.timeouts(direction).connect,
                self._around.own.contains,
                self._keepalive(direction),
                self.security.opened(),
                self.security.upstreams(direction),
            )

    def _keepalive(self, direction: Direction) -> Keepalive | None:
        timeouts = self.config.timeouts(direction)
        return Keepalive(timeouts.keepalive, timeouts.keepalive_interval) if timeouts.keepalive is not None else None

    def _expose(
        self,
        listen: Listen,
        port: int,
        protocol: str,
        make: Callable[[Accepted], Session],
        owner: str = "",
        note: str = "",
    ) -> Address:
        edge = self.edges.get(listen)
        if edge is None:
            raise CannotExpose(f"{listen.name}: {protocol}: cannot listen on {port} before the factory is started")
        keepalive, plain = self._keepalive(listen.direction), self.security.accepted(listen)
        accepting = Accepting(edge.further(protocol, make), edge.refused, False, keepalive, plain)
        try:
            return self.openings.expose(listen, protocol, port, accepting, owner, note)
        except CannotListen as e:
            raise CannotExpose(str(e), e.instead) from e

    def exposed(self, owner: str, note: str) -> None:
        """Another worker has exposed a port in the name of C{owner}: whose protocol that is hears of it."""
        for name, heard in self._hearing.items():
            if owner.startswith(name):
                # as L{beginning} has it
                self._guard(name.split(": ")[-2], partial(heard, note))

    def _log_access(self, row: dict[str, Any]) -> None:
        # opened only when it starts; closed before the last connection where that did not end in time
        if self._access is not None:
            self._access(row)
        if self._around.taps.on:
            self._around.taps(row)
        trace.done(row)


def assembled(config: Config, around: Surroundings) -> Generator[None, None, Assembly]:
    """One that is made, step by step; raises L{CannotStart}."""
    assembly = Assembly(config, around)
    yield from assembly.make()
    return assembly
