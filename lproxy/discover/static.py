# -*- test-case-name: tests.discover.test_static -*-
"""
Services from the configuration: C{[services."web.local:80"]}.

The outermost discovery: configuration takes precedence. A service named like an authority serves the requests for that
C{host:port}, the host in any case; any service serves C{target = "service:NAME"}. Names among the endpoints are
looked up by whoever finds the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

from lproxy.balancing import place
from lproxy.config import PLAIN, Service
from lproxy.discover.about import metadata, of_member
from lproxy.discover.literal import Known, literal
from lproxy.discover.union import Union
from lproxy.stack.interfaces import Discover, Watch, Watcher
from lproxy.target import Authority, Endpoint, Member, Metadata, ServiceName, Target, split_host_port


class Static:
    """
    A L{Discover} of C{services}, which never change; C{otherwise} finds the rest.

    Where a service's endpoints are is worked out for the first who watches it: of thousands, few are asked for.
    """

    def __init__(self, services: Mapping[str, Service], otherwise: Discover) -> None:
        self._by_name: Mapping[str, Service] = services
        self._by_authority: dict[tuple[str, int], Service] = {}
        self._places: dict[str, _Places] = {}
        self._otherwise = otherwise
        for name, service in services.items():
            try:
                host, port = split_host_port(name)
            except ValueError:
                continue  # not an authority: for service:NAME alone
            # as requests are routed: in any case, with or without the root's dot
            self._by_authority[host.lower().removesuffix("."), port] = service

    def __repr__(self) -> str:
        return f"<Static {', '.join(sorted(self._by_name))}>"

    def watch(self, target: Target, watcher: Watcher) -> Watch:
        """Tell C{watcher} within this call, or let C{otherwise} do so."""
        if isinstance(target, Member):
            return self._watch_member(target, watcher)
        service = self.find(target)
        if service is None:
            return self._otherwise.watch(target, watcher)
        places = self._places.get(service.name)
        if places is None:
            places = self._places[service.name] = _places(service)
        fixed, named = places
        return Union(watcher, fixed, named, self._otherwise) if named else Known(watcher, fixed, fixed)

    def _watch_member(self, target: Member, watcher: Watcher) -> Watch:
        """Where it says that it is, unless the configuration knows better; secured as its service is."""
        authority = Authority(target.host, target.port)
        if self.find(authority) is not None:
            return self.watch(authority, watcher)
        service = self._by_name.get(target.service, PLAIN)
        return Union(watcher, {}, {authority: of_member(service, target.host)}, self._otherwise)

    def find(self, target: Target) -> Service | None:
        """The service that serves C{target}, if the configuration has one."""
        if isinstance(target, Authority):
            return self._by_authority.get((target.host.lower(), target.port))
        if isinstance(target, Member):
            return self.find(Authority(target.host, target.port)) or self._by_name.get(target.service)
        return self._by_name.get(target.name) if isinstance(target, ServiceName) else None

    def means(self, target: Target) -> tuple[object, ...]:
        """By what C{target} is found: where two of these agree, so do their answers."""
        of = self._by_name.get(target.service) if isinstance(target, Member) else None
        return self.find(target), of, self._otherwise

    def service(self, target: Target) -> Service:
        """What the configuration says about who serves C{target}; the defaults where that is nothing."""
        return self.find(target) or PLAIN


#: endpoints whose addresses are known, and those that are names
_Places = tuple[dict[Endpoint, Metadata], dict[Target, Metadata]]


def _places(service: Service) -> _Places:
    fixed: dict[Endpoint, Metadata] = {}
    named: dict[Target, Metadata] = {}
    for endpoint in service.endpoints:
        there = place(endpoint)
        host, port = split_host_port(there.address)
        about = metadata(service, host)._replace(weight=there.weight, zone=there.zone)
        addresses = literal(host)
        fixed.update({Endpoint(address, port): about for address in addresses})
        if not addresses:
            named[Authority(host, port)] = about
    return fixed, named
