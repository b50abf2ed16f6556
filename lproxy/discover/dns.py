# -*- test-case-name: tests.discover.test_dns -*-
"""
Endpoints from DNS: the A and AAAA records of an authority's host, queried again when they expire.

The innermost discovery. All watchers of a host, whatever their ports, share one L{Host}, which is forgotten with the
last watch.
"""

from __future__ import annotations

from random import Random

from twisted.internet.interfaces import IReactorTime

from lproxy.config import Dns as Config
from lproxy.discover.host import Host, Means
from lproxy.discover.literal import Refused
from lproxy.discover.lookup import Lookups
from lproxy.discover.names import checked
from lproxy.discover.resolver import Resolver
from lproxy.discover.system import System
from lproxy.stack.interfaces import Watch, Watcher
from lproxy.target import Authority, Target


class Dns:
    """
    A L{Discover<lproxy.stack.interfaces.Discover>} of authorities.

    @param clock: the reactor, where C{resolver} is not given
    @param resolver: used instead of C{config.servers} or the machine's resolvers
    @param system: /etc/hosts and /etc/resolv.conf
    """

    def __init__(
        self,
        config: Config,
        clock: IReactorTime,
        resolver: Lookups | None = None,
        system: System | None = None,
        random: Random | None = None,
    ) -> None:
        system = system or System()
        if resolver is None:
            resolver = Resolver.configured(config, clock, system)
        self._means = Means(config, clock, resolver, system, random or Random())
        self._hosts: dict[str, Host] = {}

    def __repr__(self) -> str:
        return f"<Dns {len(self._hosts)} hosts>"

    def watch(self, target: Target, watcher: Watcher) -> Watch:
        """Tell C{watcher} what is known of C{target} within this call, and every change after that."""
        if not isinstance(target, Authority):
            return Refused(watcher, target)
        try:
            name = checked(target.host)
        except ValueError as e:
            return Refused(watcher, target, e)
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(self._means, name, self._unwatched)
        return host.watch(target, watcher)

    def _unwatched(self, host: Host) -> None:
        del self._hosts[host.name]
