# -*- test-case-name: tests.app.test_tls -*-
"""
All that an assembly has to do with TLS and identities: certificates, who may, and why connections are plain.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime
from functools import partial
from typing import Final

from lproxy.app.identities import Identities, wall_clock
from lproxy.app.keylog import KeyLogFile
from lproxy.app.log import log
from lproxy.app.secure import Securing
from lproxy.app.sessions import Sessions
from lproxy.app.surroundings import Surroundings
from lproxy.balancing import place
from lproxy.config import Config, Direction, Listen, Service
from lproxy.discover.about import secured
from lproxy.errors import one_line
from lproxy.identity.contexts import Context
from lproxy.identity.names import trust_domain
from lproxy.identity.pem import MaterialError
from lproxy.identity.policy import ANYBODY, Policy
from lproxy.identity.store import Store
from lproxy.protocols.runtime import Runtime
from lproxy.target import Target, split_host_port
from lproxy.transport.stream import UNSECURED, Plain
from lproxy.transport.tls.client import Upstreams
from lproxy.transport.tls.handshake import Handshakes

#: the protocols that listeners of HTTP offer in a handshake (ALPN), the best first
HTTP_ALPN: Final = ("h2", "http/1.1")

#: no_tls_reason, as linkerd has it. Of accepted connections: nobody has asked for TLS, as it was not to be; we have
#: looked for it, and there was none
PORT_SKIPPED: Final = "port_skipped"
NOT_BY_REMOTE: Final = "not_provided_by_remote"
#: of those to upstreams: they are on this machine; nobody has said who they are
LOOPBACK: Final = "loopback"
NOT_BY_DISCOVERY: Final = "not_provided_by_service_discovery"


class Security:
    """
    Of one configuration.

    @ivar store: certificates and anchors
    @ivar identities: who sees to it that they are those in the files
    """

    def __init__(
        self,
        config: Config,
        around: Surroundings,
        find: Callable[[Target], Service | None],
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        """
        @param find: which service of the configuration's a target is
        """
        self._config = config
        self._metrics = metrics = around.metrics
        self._hub = around.hub
        self._find = find
        self._handshakes = {
            direction: Handshakes(around.hub, config.timeouts(direction).handshake, config.limits.handshakes)
            for direction in DIRECTIONS
        }
        self._listeners = {listen: policy(listen) for listen in config.listen}
        #: of those that were asked for: there may be thousands
        self._services: dict[str, Policy] = {}
        self._key_log: KeyLogFile | None = None
        self.store = Store(config.identity, now, self._secret if config.key_log.path else None, around.contexts)
        self.identities = Identities(
            self.store,
            around.reactor,
            metrics.certificates,
            lambda text: log.info("{text}", text=one_line(text)),
            around.warn,
            now,
        )

        admin = config.admin
        #: what the admin server shows
        self.admin: Callable[[], Context] | None = (
            self.store.server(admin.certificate, admin.key, admin.client_ca) if admin.certificate else None
        )

    def __repr__(self) -> str:
        return f"<Security of {self.store.identity or 'nobody'}>"

    def _secret(self, line: bytes) -> None:
        """Of a connection; nobody has any before there is a file to write it to."""
        if self._key_log is not None:
            self._key_log(line)

    def start(self) -> None:
        """
        Look after the files from now on.

        @raise OSError: secrets are to be written where nothing can be written
        """
        if path := self._config.key_log.path:
            self._key_log = KeyLogFile(path)
            self._key_log.tell()
        self.identities.start()

    def stop(self) -> None:
        """Let go of it all; harmless where it was not started."""
        self.identities.stop()
        if self._key_log is not None:
            self._key_log.close()

    def load(self) -> Generator[None, None, list[str]]:
        """Read all files, once the listeners are known, step by step: what is wrong with those that are not good."""
        errors = yield from self.identities.load()
        wrong = [str(error) for error in errors]
        domain = trust_domain(self.store.identity)
        for name, service in self._config.services.items():
            yield
            if not (service.identity or service.tls):
                continue
            if domain and trust_domain(service.identity) not in ("", domain):
                foreign = f"{service.identity} is of another trust domain than ours, {domain}: it is never believed"
                wrong.append(f"service {name}: identity {foreign}")
            for endpoint in service.endpoints or ("",):
                secure = secured(service, split_host_port(place(endpoint).address, 0)[0])
                if secure is None:
                    continue
                try:
                    self.store.client(secure)
                except MaterialError as error:
                    wrong.append(f"service {name}: {error}")
        return list(dict.fromkeys(wrong))

    def securing(self, runtime: Runtime, sessions: Sessions) -> Securing | None:
        """What the listener of C{runtime} does about TLS; C{None}: it does not look for any."""
        listen, tls = runtime.listen, runtime.tls
        if tls == "off":
            return None
        shown = None
        if tls != "passthrough":
            http = listen.protocol == "http" if listen.protocol is not None else "http" in listen.detect
            shown = self.store.listener(listen.certificates, HTTP_ALPN if http else (), listen.require_identity)
        counter = self._metrics.handshakes(listen.direction, "src")
        return Securing(runtime, sessions, shown, self._handshakes[listen.direction], counter)

    def policy(self, listen: Listen) -> Callable[[Target | None], Policy]:
        """Whom C{listen}, and the services behind it, are for."""
        return partial(self._policy, self._listeners[listen])

    def _policy(self, own: Policy, target: Target | None) -> Policy:
        if target is None:
            return own
        service = self._find(target)
        if service is None:
            return ANYBODY
        found = self._services.get(service.name)
        if found is None:
            found = self._services[service.name] = policy(service)
        return found

    def guarded(self, listen: Listen) -> bool:
        """Whether anybody may be refused who comes to C{listen}."""
        if self._config.tls(listen) == "terminate":
            return True
        return self._listeners[listen].active or any(policy(one).active for one in self._config.services.values())

    def accepted(self, listen: Listen) -> Plain:
        """Why connections that C{listen} accepts are plain."""
        if self._config.tls(listen) != "off":
            return Plain(NOT_BY_REMOTE, NOT_BY_REMOTE)
        if not self._config.identity.certificate:
            return UNSECURED
        # between an application and the proxy beside it there is none, and there need be none
        return Plain(PORT_SKIPPED, LOOPBACK if listen.direction == "outbound" else PORT_SKIPPED)

    def upstreams(self, direction: Direction) -> Upstreams:
        """Who secures connections to upstreams."""
        told = self._metrics.handshakes(direction, "dst")
        return Upstreams(self._hub, self.store, self._config.timeouts(direction).handshake, told)

    def opened(self) -> Plain:
        """Why connections to upstreams are plain."""
        return Plain(NOT_BY_DISCOVERY, LOOPBACK) if self._config.identity.certificate else UNSECURED


DIRECTIONS: Final[tuple[Direction, ...]] = ("inbound", "outbound")


def policy(who: Listen | Service) -> Policy:
    """Whom C{who} is for."""
    if not (who.require_identity or who.allow or who.deny):
        return ANYBODY
    return Policy(who.require_identity, who.allow, who.deny)
