# -*- test-case-name: tests.app.test_service -*-
"""
The proxy as an application service: everything assembled, started and stopped in order.

Over 300 lines: the one place that knows all parts, and what is shown of them.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.application import service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from lproxy.admin.server import admin_site
from lproxy.app.access import AccessLog
from lproxy.app.edge import ListenerEdge
from lproxy.app.log import log, set_level
from lproxy.app.own import OwnAddresses
from lproxy.app.plugins import Found
from lproxy.app.sessions import Sessions
from lproxy.app.stacks import Stacks
from lproxy.app.warn import Warn
from lproxy.build import version
from lproxy.config import DETECT, Config, Direction, Listen
from lproxy.configfile import render
from lproxy.discover.dns import Dns
from lproxy.discover.literal import Literal
from lproxy.discover.static import Static
from lproxy.errors import explain
from lproxy.interfaces import Detector
from lproxy.metrics.lag import ReactorLag
from lproxy.metrics.registry import Metrics
from lproxy.protocols.runtime import CannotExpose, Runtime
from lproxy.protocols.tcp.client import TcpClient
from lproxy.target import join_host_port
from lproxy.transport.connect import Connector
from lproxy.transport.hub import hub
from lproxy.transport.listen import Bound, ConnectionLimit, Listener, bind

#: what Python imports at first use, which may be too late: in a chroot, say, or for a user who cannot read it
CODECS = ("ascii", "idna", "latin-1")
#: seconds between two looks at who is left
POLL = 0.02
#: seconds for what was aborted to be gone; whatever does not notice must not keep the process
LAST = 1.0


class CannotStart(Exception):
    """An address cannot be listened on, or a protocol is broken. Nothing was started."""


class Proxy(service.Service):
    """
    All listeners, their stacks and the admin server.

    Binds in C{privilegedStartService}, before privileges are shed; the first problem there undoes what was bound.
    C{stopService} drains.
    """

    def __init__(self, config: Config, plugins: list[Found], reactor: Any) -> None:
        self.setName("lproxy")
        self.config = config
        self.version = version()
        self._reactor = reactor
        self._hub = hub(reactor)
        self._plugins = {found.name: found.plugin for found in plugins if found.plugin is not None}
        self._found = plugins
        self.metrics = Metrics(config.metrics, reactor, self._not_shown)
        self._warn = Warn(reactor, log)
        self._sessions = Sessions()
        self._limit = ConnectionLimit(config.limits.connections)
        self._own = OwnAddresses()
        self.stacks = Stacks(config, reactor, Static(config.services, Literal(Dns(config.dns, reactor))), self.metrics)
        self._connectors: dict[str, Connector] = {}
        self._listeners: list[Listener] = []
        #: what protocols have asked for
        self._further: list[Listener] = []
        self._edges: list[ListenerEdge] = []
        self._admin: Any = None
        self._lag = ReactorLag(reactor, self.metrics.lag)
        self._access: AccessLog | None = None
        self._crashes: dict[str, str] = {}
        self._ending = False
        self._hurried = False
        self._not_ready: str | None = "starting"

    # application service

    def privilegedStartService(self) -> None:
        """Bind every address, or none; raises L{CannotStart}."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        for name in CODECS:
            codecs.lookup(name)
        self._open()

    def _open(self) -> None:
        bound: dict[Listen, Bound] = {}
        edges = {listen: self._edge(listen) for listen in self.config.listen}
        try:
            for listen in self.config.listen:
                bound[listen] = _bound(listen.name, listen.address, self._reactor)
            admin = _bound("admin", self.config.admin.address, self._reactor) if self.config.admin.address else None
        except CannotStart:
            for socket in bound.values():
                socket.release()
            raise
        for listen, socket in bound.items():
            edge = edges[listen]
            listener = Listener(socket, self._hub, self._limit, edge.accepted, edge.refused)
            self._own.add(listener.address)
            self._edges.append(edge)
            self._listeners.append(listener)
        if admin is not None:
            self._open_admin(admin)

    def startService(self) -> None:
        """Accept; raises L{CannotStart}."""
        if not self._listeners:
            self._open()  # twist calls no privilegedStartService
        try:
            self._begin()
        except CannotStart:
            self._abandon()
            raise
        super().startService()  # type: ignore[no-untyped-call]
        for found in self._found:
            if found.error:
                log.warn(
                    "plugin {name} is broken: {error} ({file})", name=found.name, error=found.error, file=found.file
                )
        for listener, listen in zip(self._listeners, self.config.listen, strict=True):
            listener.startListening()
            log.info(
                "{name}: {direction} on {address}, target {target}",
                name=listen.name,
                direction=listen.direction,
                address=join_host_port(*listener.address),
                target=listen.target,
            )
        self._lag.start()
        self._not_ready = None

    def _begin(self) -> None:
        """What can fail once privileges are shed, by the user who opens the access log again on SIGHUP."""
        if path := self.config.access_log.path:
            try:
                self._access = AccessLog(path, self._reactor)
            except OSError as e:
                raise CannotStart(f"access_log.path: cannot write to {path}: {e.strerror}") from e
        for listen, edge in zip(self.config.listen, self._edges, strict=True):
            for name, factory in edge.factories.items():
                try:
                    factory.doStart()
                except Exception as e:
                    raise CannotStart(f"{listen.name}: protocol {name} cannot start: {type(e).__name__}: {e}") from e

    def _abandon(self) -> None:
        """Let go of whatever was opened."""
        for listener in (*self._listeners, *self._further):
            listener.stopListening()
        if self._admin is not None:
            self._admin.stopListening()
        self._close()

    def stopService(self) -> Deferred[None]:
        """Stop accepting, let what is active finish for so long, then end it."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    def end(self) -> None:
        """As SIGTERM or SIGINT: drain and end. Told again, end at once."""
        if not self._ending:
            self._ending = True
            # not here: whoever asked may still be answering
            self._reactor.callLater(0, self._stop_reactor)
        else:
            self._hurried = True

    def _stop_reactor(self) -> None:
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            pass  # somebody else stopped it

    async def _stop(self) -> None:
        self._not_ready = "draining"
        self._ending = True
        for listener in (*self._listeners, *self._further):
            listener.stopListening()
        for edge in self._edges:
            self._guarded(edge.drain)
        self._guarded(self._sessions.drain)
        await self._drain()
        self._close()
        if self._admin is not None:
            await self._admin.stopListening()

    async def _drain(self) -> None:
        """Until nobody is left, or it takes too long, or somebody is in a hurry."""
        seconds = max((self.config.timeouts(listen.direction).drain for listen in self.config.listen), default=0.0)
        if len(self._sessions):
            log.info("draining {n} connections, {s:g} s at most", n=len(self._sessions), s=seconds)
        waited = 0.0
        # looked at instead of listened to: one whose protocol is found is nobody's for an instant
        while len(self._sessions) and waited < seconds and not self._hurried:
            waited += await self._pause()
        if not len(self._sessions):
            return
        log.info("{n} connections are cut off", n=len(self._sessions))
        self._guarded(self._sessions.abort)
        waited = 0.0
        while len(self._sessions) and waited < LAST:
            waited += await self._pause()

    async def _pause(self) -> float:
        began = self._reactor.seconds()
        await deferLater(self._reactor, POLL)
        waited: float = self._reactor.seconds() - began
        return waited

    def _close(self) -> None:
        for edge in self._edges:
            for factory in edge.factories.values():
                self._guarded(factory.doStop)
        self.stacks.close()
        self._lag.stop()
        if self._access is not None:
            self._access.close()
            self._access = None

    def _guarded(self, step: Callable[[], object]) -> None:
        """Take a step of the shutdown: an exception of a plugin's must not keep the others from theirs."""
        try:
            step()
        except Exception:
            log.failure("unexpected error while shutting down")

    # what the admin server shows and does

    def ready(self) -> str | None:
        """Why the proxy is not ready, if it is not."""
        return self._not_ready

    def describe_config(self) -> dict[str, Any]:
        """The configuration in effect."""
        return render(self.config)

    def services(self) -> list[dict[str, Any]]:
        """Every cached service: state, endpoints, who waits."""
        return self.stacks.describe()

    def connections(self) -> list[dict[str, Any]]:
        """Every accepted connection."""
        return self._sessions.describe()

    def plugins(self) -> list[dict[str, str]]:
        """Every protocol found, what is broken, and what went wrong lately."""
        return [
            {**found.describe(), **({"last_error": self._crashes[found.name]} if found.name in self._crashes else {})}
            for found in self._found
        ]

    def shutdown(self) -> None:
        """As the first SIGTERM."""
        if not self._ending:
            self.end()

    def set_log_level(self, name: str) -> None:
        """As C{LPROXY_LOG}; raises ValueError for a level that there is not."""
        set_level(name)

    def reopen(self) -> None:
        """As SIGHUP: the access log's file was moved away."""
        if self._access is not None:
            self._access.reopen()

    # assembly

    def _edge(self, listen: Listen) -> ListenerEdge:
        direction = listen.direction
        config = self.config
        timeouts = config.timeouts(direction)
        acquire = self.stacks.of(direction)
        runtime = Runtime(
            listen=listen,
            timeouts=timeouts,
            limits=config.limits,
            reactor=self._hub,
            connector=self._connector(direction),
            acquire=acquire,
            counters=self.metrics.plugin("tcp"),
            sessions=self._sessions,
            warn=self._warn,
            say=lambda text: log.info("{text}", text=text),
            crashed=self._crashed,
            tunnels=lambda: acquire("tcp", lambda endpoint, _: TcpClient(runtime, endpoint, "tcp")),
            expose=lambda port, protocol, build: self._expose(listen, port, protocol, build),
            access=self._log_access if config.access_log.path else None,
        )
        names = [*self._detected(listen), "tcp"] if listen.protocol is None else [listen.protocol]
        factories: dict[str, IProtocolFactory] = {}
        detectors: dict[str, Detector] = {}
        for name in names:
            plugin = self._plugin(name, listen)
            try:
                # a listener that no file made has no values yet
                value = listen.plugins[name] if name in listen.plugins else plugin.configure({})
                factories[name] = plugin.factory(replace(runtime, counters=self.metrics.plugin(name)), value)
            except (Exception, SystemExit) as e:
                raise CannotStart(f"{listen.name}: protocol {name} cannot be set up: {type(e).__name__}: {e}") from e
            # a factory's own knows the listener's settings
            detect = getattr(factories[name], "detector", None) or plugin.detector
            if detect is not None:
                detectors[name] = detect
            elif listen.protocol is None:
                raise CannotStart(f"{listen.name}: protocol {name} cannot be detected; set protocol = {name!r}")
        return ListenerEdge(runtime, factories, detectors, self.metrics.detect(listen.name))

    def _detected(self, listen: Listen) -> tuple[str, ...]:
        if listen.detect == DETECT:
            return tuple(name for name in DETECT if name in self._plugins)
        return listen.detect

    def _expose(self, listen: Listen, port: int, protocol: str, build: Callable[[], Any]) -> tuple[str, int]:
        if self._ending:
            raise CannotExpose(f"cannot listen on {port}: lproxy ends")
        at = self.config.listen.index(listen)
        host = self._listeners[at].address[0]
        edge = self._edges[at]
        try:
            bound = _bound(f"{listen.name}: {protocol}", join_host_port(host, port), self._reactor)
        except CannotStart as e:
            raise CannotExpose(str(e)) from e
        listener = Listener(
            bound, self._hub, self._limit, lambda stream: edge.exposed(stream, protocol, build), edge.refused
        )
        self._own.add(listener.address)
        self._further.append(listener)
        listener.startListening()
        return listener.address

    def _plugin(self, name: str, listen: Listen) -> Any:
        if name not in self._plugins:
            broken = "; ".join(f"{found.file}: {found.error}" for found in self._found if found.error)
            raise CannotStart(f"{listen.name}: there is no protocol {name}{broken and '; broken plugins: '}{broken}")
        return self._plugins[name]

    def _connector(self, direction: Direction) -> Connector:
        connector = self._connectors.get(direction)
        if connector is None:
            connector = Connector(self._hub, self.config.timeouts(direction).connect, self._own.contains)
            self._connectors[direction] = connector
        return connector

    def _log_access(self, row: dict[str, Any]) -> None:
        # opened only when listening begins; closed before the last connection where somebody was in a hurry
        if self._access is not None:
            self._access(row)

    def _crashed(self, protocol: str, failure: Failure) -> None:
        self.metrics.plugin_error(protocol)
        self._crashes[protocol] = explain(failure.value or RuntimeError())
        log.failure("unexpected error in protocol {protocol}; its connection is closed", failure, protocol=protocol)

    def _not_shown(self, plugin: str, failure: Failure) -> None:
        why = explain(failure.value or RuntimeError())
        self._crashes[plugin] = why
        self._warn(f"not-shown-{plugin}", f"plugin {plugin}: not all of it is shown on the admin server: {why}")

    def _open_admin(self, bound: Bound) -> None:
        host, port = bound.sock.getsockname()[:2]
        self._own.add((host, port))
        site = admin_site(self, self.metrics, self.config.admin, host)
        self._admin = self._reactor.adoptStreamPort(bound.sock.fileno(), bound.sock.family, site)
        bound.release()
        log.info("admin server on http://{address}/", address=join_host_port(host, port))


def _bound(name: str, address: str, reactor: Any) -> Bound:
    """Bind now: every endpoint of a plain stream socket can."""
    out: list[Any] = []
    binding = bind(address, reactor)
    binding.addBoth(out.append)
    if out and isinstance(out[0], Bound):
        return out[0]
    binding.cancel()
    raise CannotStart(f"{name}: cannot listen on {address}: {_why(out[0].value)}")


def _why(error: BaseException) -> str:
    if isinstance(error, CancelledError):
        return "it is not an endpoint of a plain stream socket"
    # Twisted's own has the socket's error inside
    error = getattr(error, "socketError", error)
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
