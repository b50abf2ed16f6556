# -*- test-case-name: tests.app.test_service, tests.app.test_swap -*-
"""
The proxy as an application service: sockets, the assembly that serves them, and those that are being retired.

Over 300 lines: one life, from the first address bound to the last session's end, and what is shown of it meanwhile.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, get_args

from twisted.application import service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from lproxy.admin.server import admin_site
from lproxy.admin.site import Site
from lproxy.app.adminport import AdminPort
from lproxy.app.assembly import Assembly, CannotStart, assembled
from lproxy.app.crashes import Crashes
from lproxy.app.descriptors import allowed
from lproxy.app.log import log, set_level
from lproxy.app.openings import wanted
from lproxy.app.own import OwnAddresses
from lproxy.app.plugins import Found, packages
from lproxy.app.process import Process, alone
from lproxy.app.recent import Recent
from lproxy.app.reload import Outcome, Reload, Source
from lproxy.app.rows import Standing
from lproxy.app.sessions import Sessions
from lproxy.app.sockets import CannotListen, Sockets, place_of
from lproxy.app.stacks import Stacks
from lproxy.app.surroundings import Surroundings
from lproxy.app.threads import beside
from lproxy.app.upkeep import Upkeep
from lproxy.app.warn import Warn
from lproxy.app.watch import FileWatch
from lproxy.app.watchdog import Watchdog
from lproxy.build import version
from lproxy.config import Config, Direction
from lproxy.configfile import render
from lproxy.configfile.collector import at_once
from lproxy.configfile.render import render_table
from lproxy.metrics.lag import ReactorLag
from lproxy.metrics.registry import Metrics
from lproxy.metrics.reload import INVALID
from lproxy.protocols.taps import Taps
from lproxy.stack.rates import Rates
from lproxy.target import Target, join_host_port
from lproxy.transport.hub import hub
from lproxy.transport.listen import ConnectionLimit
from lproxy.transport.stream import Address
from lproxy.transport.tls.memory import Handshakes

#: connections that are shown of each configuration
CONNECTIONS = 1_000


class Proxy(service.Service):
    """
    All listeners, what serves them, and the admin server.

    Binds in C{privilegedStartService}, before privileges are shed; the first problem there undoes what was bound.
    C{stopService} drains. In between, L{swap} puts another configuration in the place of the present one.
    """

    def __init__(
        self,
        config: Config,
        plugins: list[Found],
        reactor: Any,
        source: Source | None = None,
        process: Process | None = None,
    ) -> None:
        """
        @param source: where C{config} was read, and can be read anew
        @param process: what process this is; the only one otherwise
        """
        self.setName("lproxy")
        self.version = version()
        self.taps = Taps()
        self.metrics = Metrics(config.metrics, reactor, self._not_shown)
        self._reactor = reactor
        self._config = config
        self._found = plugins
        limited = Warn(reactor, log)
        self._recent = Recent(limited, time.time)
        self.warn = self._recent.warn
        self._crashes = Crashes(limited, self._recent, self.metrics.plugin_error)
        self._own = OwnAddresses()
        self._hub = hub(reactor)
        process = self._process = process or alone(reactor)
        self._sockets = Sockets(process.binder, self._hub, ConnectionLimit(config.limits.connections), self._own)
        self._stacks = Stacks(reactor, self.metrics, self._crashes.crashed, process.portion.workers)
        self._around = Surroundings(
            reactor,
            self._hub,
            plugins,
            self.metrics,
            self._sockets,
            self._stacks,
            self._own,
            self.warn,
            self._crashes.crashed,
            taps=self.taps,
            rates=Rates(process.portion.workers),
        )
        self._assembly: Assembly | None = None
        self._glanced: tuple[Config, list[dict[str, Any]]] | None = None
        self._retiring: dict[Assembly, Deferred[None]] = {}
        self._admin = AdminPort(self._own, process.binder, reactor)
        self._upkeep = Upkeep(self._sessions, self._stacks, reactor, self._crashes.crashed)
        self._lag = ReactorLag(reactor, self.metrics.lag)
        self._watchdog = Watchdog(packages(plugins), self._around.warn, reactor, process.held)
        self._reload = Reload(
            source,
            lambda: self._config,
            self.assemble,
            self.swap,
            self.metrics.reloads,
            time.time,
            beside(reactor),
            reactor,
        )
        # of several workers the first: what it asks for is done by all
        self._watch = (
            FileWatch(source.path, self.reload, reactor, source.seen)
            if source is not None and not process.portion.index
            else None
        )
        self._ending = self._hurried = self._given = False
        self._not_ready: str | None = "starting"
        self._delayed: Deferred[Any] | None = None

    def _not_shown(self, name: str, failure: Failure) -> None:
        self._crashes.not_shown(name, failure)

    @property
    def config(self) -> Config:
        """The configuration in effect."""
        return self._config

    @contextmanager
    def rehearsed(self) -> Iterator[Assembly]:
        """Within: what a start makes is made, and nothing opened. Raises L{CannotStart} where it cannot be."""
        try:
            assembly = at_once(self.assemble(self._config))
            try:
                yield assembly
            finally:
                assembly.close()
        finally:
            self._hub.close()

    # application service

    def privilegedStartService(self) -> None:
        """Bind every address, or none; raises L{CannotStart}."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._prepare()

    def _prepare(self) -> None:
        self._bound_clients(self._config)
        assembly = self._assembly = at_once(self.assemble(self._config))
        try:
            assembly.bind()
            self._admin.bind(self._config.admin.address)
        except (CannotStart, CannotListen) as e:
            self._abandon()
            raise CannotStart(str(e)) from e

    def assemble(self, config: Config) -> Generator[None, None, Assembly]:
        """Make what L{swap} has serve by C{config}, step by step; raises L{CannotStart}. Nothing changes by that."""
        return assembled(self._process.portion.config(config), self._around)

    def _bound_clients(self, config: Config) -> None:
        self._sockets.limit.limit = allowed(self._process.portion.of(config.limits.connections))

    def startService(self) -> None:
        """Accept; raises L{CannotStart}."""
        if self._assembly is None:
            self._prepare()  # twist calls no privilegedStartService
        assembly = self._assembly
        assert assembly is not None
        if (host := self._admin.host()) is not None:
            self._secure_admin(assembly)
            self._admin.open(self._site(host))
        try:
            assembly.start()
        except CannotStart:
            self._abandon()
            raise
        super().startService()  # type: ignore[no-untyped-call]
        for found in self._found:
            if found.error:
                log.warn(
                    "plugin {name} is broken: {error} ({file})", name=found.name, error=found.error, file=found.file
                )
        self._tell(assembly)
        self._live()
        self._lag.start()
        self._upkeep.start()
        self._watchdog.start()
        self._not_ready = None

    def _secure_admin(self, assembly: Assembly) -> None:
        """The admin server shows what C{assembly} looks after."""
        shown, handshakes = assembly.security.admin, self._admin.handshakes
        if shown is None:
            self._admin.handshakes = None
        elif handshakes is None:
            self._admin.handshakes = Handshakes(shown)
        else:
            handshakes.current = shown

    def _site(self, host: str) -> Site:
        """What the admin server shows, at the address C{host}."""
        return admin_site(self, self.metrics, self._config.admin, host, self._reactor, time.time)

    def _abandon(self) -> None:
        """It cannot be started: let go of whatever was opened."""
        assembly, self._assembly = self._assembly, None
        if assembly is not None:
            assembly.close()
        self._sockets.stop_all()
        self._admin.close()

    def _tell(self, assembly: Assembly) -> None:
        addresses = self.addresses()
        for listen in assembly.edges:
            tls = self._config.tls(listen)
            log.info(
                "{name}: {direction} on {address}, target {target}{tls}",
                name=listen.name,
                direction=listen.direction,
                address=join_host_port(*addresses[listen.name]),
                target=listen.target,
                tls=f", tls {tls}" if tls != "off" else "",
            )

    def swap(self, config: Config, assembly: Assembly) -> None:
        """
        Serve by C{config} from now on, of which C{assembly} was made.

        Sockets whose address both have go on without a gap; sessions finish by what they began with. The admin server's
        address and the bounds of metrics stay as they are.

        @raise CannotStart: nothing has changed
        """
        before = self._assembly
        if before is None or not self.running:
            assembly.close()
            raise CannotStart("lproxy is not running")
        try:
            assembly.bind()
            assembly.start()
        except CannotStart:
            before.resume()
            self._stop_accepting(assembly, before)
            assembly.close()
            raise
        as_before = config.admin == self._config.admin
        self._config, self._assembly = config, assembly
        self._secure_admin(assembly)
        if not as_before and (host := self._admin.host()) is not None:
            self._admin.exchange(self._site(host))
        self._bound_clients(config)
        self._stop_accepting(before, assembly)
        self._tell(assembly)
        self._live()
        before.superseded = True
        self._retire(before)

    def _live(self) -> None:
        """Another configuration serves."""
        self._reload.live()
        if self._watch is not None:
            self._watch.set(self._config.watch)

    def _stop_accepting(self, gone: Assembly, stays: Assembly) -> None:
        for place in gone.openings.places() - stays.openings.places():
            self._sockets.stop(place)

    def _retire(self, assembly: Assembly) -> None:
        seconds = assembly.reload_drain() if assembly.superseded else assembly.drain_seconds()
        retired = self._retiring[assembly] = assembly.retire(0.0 if self._hurried else seconds)
        retired.addBoth(self._retired, assembly)

    def _retired(self, result: object, assembly: Assembly) -> None:
        self._retiring.pop(assembly, None)
        if isinstance(result, Failure):
            log.failure("unexpected error while retiring {assembly!r}", result, assembly=assembly)

    def stopService(self) -> Deferred[None]:
        """Stop accepting, let what is active finish for so long, then end it."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._ending = True
        if self._watch is not None:
            self._watch.set(False)
        self._reload.stop()
        await self._delay()
        self._not_ready = "draining"
        self._sockets.stop_all()
        for retired in list(self._retiring):
            retired.end()
        assembly, self._assembly = self._assembly, None
        if assembly is not None:
            self._retire(assembly)
        await DeferredList(list(self._retiring.values()))
        self._lag.stop()
        self._upkeep.stop()
        self._watchdog.stop()
        await self._admin.close()
        self._hub.close()

    async def _delay(self) -> None:
        """Serve on for a while, and say that it is not for long: whoever sends clients here is to stop that."""
        if (seconds := self._delay_seconds()) and self._not_ready is None and not self._given:
            self._not_ready = f"stopping, in {seconds:g} s"
            log.info("not ready any more; the listeners close in {s:g} s", s=seconds)
            self._delayed = deferLater(self._reactor, seconds)
            self._delayed.addErrback(lambda failure: failure.trap(CancelledError))
            await self._delayed

    def _delay_seconds(self) -> float:
        return max(self._config.timeouts(direction).stop_delay or 0.0 for direction in get_args(Direction))

    def ending_seconds(self) -> float:
        """How long ending may take."""
        assembly = self._assembly
        return self._delay_seconds() + (assembly.drain_seconds() if assembly is not None else 0.0)

    def hung_seconds(self) -> float:
        """How long a worker may be silent."""
        return max(self._config.timeouts(direction).worker for direction in get_args(Direction))

    def give(self) -> None:
        """Another process serves in our place, by the very sockets: drain, and end."""
        self._given = True
        self._sockets.give()
        self._admin.give()
        self.shutdown()

    def exposed(self, owner: str, note: str, key: str) -> None:
        """Another worker, or the lproxy whose place we take, has opened a port in the name of C{owner}."""
        if self._assembly is not None:
            self._assembly.exposed(owner, note)

    def end(self) -> None:
        """As SIGTERM or SIGINT: drain and end. Told again, end at once."""
        if not self._ending:
            self._ending = True
            # not here: whoever asked may still be answering
            self._reactor.callLater(0, self._stop_reactor)
        else:
            # also those whose turn to retire is still to come
            self._hurried = True
            if self._delayed is not None:
                self._delayed.cancel()
            for assembly in list(self._retiring):
                assembly.hurry()

    def _stop_reactor(self) -> None:
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            pass  # somebody else stopped it

    # what the admin server shows and does

    def ready(self) -> str | None:
        """Why the proxy is not ready, if it is not."""
        why = self._not_ready or self._sockets.trouble()
        return why or (self._assembly.readiness.why_not() if self._assembly is not None else None)

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Where each listener that is open accepts, by its name: IP and port."""
        places = {listen.name: place_of(wanted(listen)) for listen in self._config.listen}
        known = {name: self._sockets.address(place) for name, place in places.items()}
        return {name: address for name, address in known.items() if address is not None}

    def admin_address(self) -> Address | None:
        """Where the admin server listens: IP and port; C{None} where there is none."""
        return self._admin.address

    def clients(self) -> int:
        """How many accepted connections are open, whoever has them: what limits.connections bounds."""
        return self._sockets.limit.open

    def describe_config(self) -> dict[str, Any]:
        """The configuration in effect, and which one that is."""
        live = {**self._reload.describe(self._config), "takeover": self._process.door() or None}
        return {**render(self._config), "live": live}

    def glance(self) -> dict[str, Any]:
        """Of that, which one it is, and the listeners: what is looked at every other second."""
        config = self._config
        if self._glanced is None or self._glanced[0] is not config:
            self._glanced = config, [{**render_table(one), "tls": config.tls(one)} for one in config.listen]
        return {"live": self._reload.describe(config), "listen": self._glanced[1]}

    def _assemblies(self) -> list[Assembly]:
        current = [self._assembly] if self._assembly is not None else []
        return [*self._retiring, *current]

    def services(self, wanted: str = "") -> Iterator[dict[str, Any]]:
        """Every service that is used or configured, and has C{wanted} in its name: state, endpoints, who waits."""
        yield from self._stacks.rows.describe(wanted, self._profile)
        if self._assembly is not None:
            yield from (row for row in self._assembly.profiles.refused() if wanted in row["target"])

    def standings(self, wanted: str) -> list[Standing]:
        """How those do that are used, in short."""
        return self._stacks.rows.standings(wanted, self._profile)

    def unused(self, wanted: str) -> Iterator[dict[str, Any]]:
        """The others."""
        return self._stacks.rows.unused(wanted, self._profile)

    def _profile(self, target: Target) -> dict[str, Any] | None:
        return self._assembly.profiles.describe(target) if self._assembly is not None else None

    def _sessions(self) -> list[Sessions]:
        return [assembly.sessions for assembly in self._assemblies()]

    def connections(self, limit: int = CONNECTIONS) -> list[dict[str, Any]]:
        """Accepted connections: of each configuration that is at work the oldest C{limit}."""
        return [row for some in self._sessions() for row in some.describe(limit)]

    def spoken(self) -> Counter[tuple[str, str]]:
        """How many there are, by listener and protocol."""
        return sum((some.spoken() for some in self._sessions()), Counter())

    def failures(self) -> list[dict[str, Any]]:
        """What went wrong lately, the latest first."""
        return self._recent.describe()

    def plugins(self) -> list[dict[str, Any]]:
        """Every protocol found, what it has at this moment, what is broken, and what went wrong lately."""
        sessions: Counter[str] = Counter()
        leases = self._stacks.leases()
        for some in self._sessions():
            sessions += some.count()
        return [
            {
                **found.describe(),
                "sessions": sessions[found.name],
                "leases": leases[found.name],
                **self._crashes.describe(found.name),
            }
            for found in self._found
        ]

    def workers(self) -> list[dict[str, Any]]:
        """There is but this process."""
        return []

    def draining(self) -> list[dict[str, Any]]:
        """This process has taken nobody's place."""
        return []

    def shutdown(self) -> None:
        """As the first SIGTERM."""
        if not self._ending:
            self.end()

    def set_log_level(self, name: str) -> None:
        """As C{LPROXY_LOG}; raises ValueError for a level that there is not."""
        set_level(name)

    def reload(self) -> Deferred[Outcome]:
        """Read the configuration's file anew, and say what came of it."""
        return self.reload_now()

    def reload_now(self) -> Deferred[Outcome]:
        """The same, of this process alone."""
        return self._reload.reload()

    def refused(self) -> None:
        """Count a reload whose file could not even be read, elsewhere."""
        self.metrics.reloads.done(INVALID)

    def hung_up(self) -> None:
        """As SIGHUP: the configuration's file was changed, or the access log's was moved away."""
        self.reload()
        self.reopen()

    def reopen(self) -> None:
        """Open the access log again, and read certificates anew."""
        for assembly in self._assemblies():
            assembly.reopen()
