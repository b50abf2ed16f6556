# -*- test-case-name: tests.profiles.test_book -*-
"""
All that files describe, as whoever asks for a host and a port gets it.

A C{ServiceProfile} of a host comes before routes of the Gateway API, as it does for Linkerd. Of those, routes for the
very host come before those for C{*.its.domain}, and those before C{*}; among them the API's own precedence holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from lproxy.profile import Backend, Profile, Route
from lproxy.profiles.described import Described, OfRoutes, OfService, Parent
from lproxy.profiles.gateway import EVERYBODY, NOT_FOUND
from lproxy.profiles.linkerd import told_apart
from lproxy.profiles.names import ServiceOf, service_of
from lproxy.profiles.read import Within
from lproxy.target import join_host_port, split_host_port

#: answers that are remembered, before it begins to remember anew
REMEMBERED: Final = 10_000
#: a route of GRPCRoutes comes before those of HTTPRoutes
_KINDS: Final = ("GRPCRoute", "HTTPRoute")


class Book:
    """
    What is known, as of now. It does not change: what comes next has a book of its own.
    """

    def __init__(
        self,
        described: Iterable[Described],
        within: Within,
        services: Mapping[str, object] | None = None,
        before: Book | None = None,
    ) -> None:
        """
        @param services: the names of C{[services]}: a backend that is one of them is that
        @param before: the book that this one follows: what both say the same, they say with the same values
        """
        self._namespace = within.namespace
        self._before = before._known if before is not None else {}
        self._known: dict[tuple[str, int], Profile | None] = {}
        self._services = {name.lower(): name for name in services or ()}
        self.profiles: dict[str, list[OfService]] = {}
        self._attached: dict[str, list[tuple[OfRoutes, Parent]]] = {}
        self._hosts: dict[str, list[OfRoutes]] = {}
        #: bare names, those with a namespace, and the hosts that may be meant by them
        self._short: dict[str, set[str]] = {}
        for one in described:
            if isinstance(one, OfService):
                self.profiles.setdefault(one.host, []).append(one)
                self._enter(service_of(one.host))
            else:
                for parent in one.parents:
                    self._attached.setdefault(parent.service.host, []).append((one, parent))
                    self._enter(parent.service)
                for host in one.hosts:
                    self._hosts.setdefault(host, []).append(one)

    def _enter(self, service: ServiceOf | None) -> None:
        if service is None or not service.namespace:
            return
        names = [f"{service.name}.{service.namespace}", f"{service.name}.{service.namespace}.svc"]
        if self._namespace in ("", service.namespace):
            names.append(service.name)
        for name in names:
            self._short.setdefault(name, set()).add(service.host)

    def of(self, host: str, port: int) -> Profile | None:
        """
        What is said of the requests for C{host} and C{port}; C{None}: nothing.

        @param host: in lower case
        """
        key = (host, port)
        if key in self._known:
            return self._known[key]
        found = self._of(host, port)
        before = self._before.get(key)
        if found == before:
            found = before
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = found
        return found

    def _of(self, host: str, port: int) -> Profile | None:
        names = list(self._names(host))
        for name in names:
            if name in self.profiles and (chosen := self._chosen(self.profiles[name])) is not None:
                return self._for(chosen.profile, port)
        found = [each for name in names for each in self._attached.get(name, ()) if each[1].port in (None, port)]
        attached = self._ours(found)
        groups = _once([attached] if attached else self._by_host(host, port))
        if not any(groups):
            return None
        routes: list[Route] = []
        for group in groups:
            ranked = [((_KINDS.index(one.kind), *each.rank), each.route) for one in group for each in one.ranked]
            routes += [route for _, route in sorted(ranked, key=lambda each: each[0])]
        routes = list(told_apart(routes))
        used = dict.fromkeys(f"{one.kind} {one.name} ({one.file})" for group in groups for one in group)
        routes.append(Route("unmatched", answer=NOT_FOUND))
        return self._for(Profile(tuple(routes), source=", ".join(used)), port)

    def _names(self, host: str) -> Iterator[str]:
        """C{host}, and the services of Kubernetes that it may be short for."""
        yield host
        meant = self._short.get(host, ())
        # of several, nobody knows which
        if len(meant) == 1:
            yield from meant

    def places(self) -> list[tuple[str, int | None]]:
        """The hosts that something is said of, each with its port where that matters, in the order of the files."""
        found: dict[tuple[str, int | None], None] = dict.fromkeys((host, None) for host in self.profiles)
        for host, attached in self._attached.items():
            if host not in self.profiles:
                found.update(dict.fromkeys((host, parent.port) for _, parent in attached))
        for host, several in self._hosts.items():
            found.update(dict.fromkeys((host, port) for one in several for port in (one.ports or (None,))))
        return list(found)

    def ambiguous(self) -> dict[str, list[str]]:
        """Bare names that several services have, which are none of theirs for that."""
        return {name: sorted(hosts) for name, hosts in self._short.items() if len(hosts) > 1}

    def _chosen(self, profiles: list[OfService]) -> OfService | None:
        """
        That of our own namespace, else that of the service's: which clients everywhere have. Those of other namespaces
        are for clients there, where it is known that we are none.
        """
        service = service_of(profiles[0].host)
        for namespace in (self._namespace, service.namespace if service is not None else ""):
            for one in profiles:
                if namespace and one.namespace == namespace:
                    return one
        return None if self._namespace and service is not None else profiles[0]

    def _ours(self, attached: list[tuple[OfRoutes, Parent]]) -> list[OfRoutes]:
        """
        Those of our own namespace, in the place of the service's, which are for clients everywhere; none of others',
        which are for their own clients. Where we do not know whose we are, all of them.
        """
        if not self._namespace:
            return [one for one, _ in attached]
        own = [one for one, _ in attached if one.namespace == self._namespace]
        return own or [one for one, parent in attached if one.namespace == parent.service.namespace]

    def _by_host(self, host: str, port: int) -> list[list[OfRoutes]]:
        """By how well they fit: the very host's, those of domains, from the longest, and everybody's."""
        labels = host.split(".")
        names = dict.fromkeys((host, *(f"*.{'.'.join(labels[n:])}" for n in range(1, len(labels))), EVERYBODY))
        return [[one for one in self._hosts.get(name, ()) if not one.ports or port in one.ports] for name in names]

    def _for(self, profile: Profile, port: int) -> Profile:
        """C{profile}, whose backends are those that the configuration has, and have a port."""
        routes = tuple(
            replace(route, backends=self._known_as(route.backends, port)) if route.backends else route
            for route in profile.routes
        )
        if profile.backends or routes != profile.routes:
            return replace(profile, routes=routes, backends=self._known_as(profile.backends, port))
        return profile

    def _known_as(self, backends: tuple[Backend, ...], port: int) -> tuple[Backend, ...]:
        return tuple(replace(one, service=self.authority(one.service, port)) for one in backends)

    def authority(self, service: str, port: int) -> str:
        """The name of a backend: that of C{[services]} where there is one, by whichever of its names."""
        host, port = split_host_port(service, port)
        found = service_of(host)
        names = [host, *(found.hosts() if found is not None else ())]
        if found is not None and found.namespace == self._namespace:
            names.append(found.name)
        for name in names:
            if (own := self._services.get(join_host_port(name, port))) is not None:
                return own
        return join_host_port(host, port)


def _once(groups: list[list[OfRoutes]]) -> list[list[OfRoutes]]:
    """C{groups}, with each of their documents where it fits best: it may have several parents, or hosts, that fit."""
    # by what they are, not what they say: that would be compared at length
    seen: set[int] = set()
    found = []
    for group in groups:
        new = {id(one): one for one in group if id(one) not in seen}
        seen |= new.keys()
        found.append(list(new.values()))
    return found
