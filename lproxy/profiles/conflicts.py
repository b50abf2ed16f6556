# -*- test-case-name: tests.profiles.test_conflicts -*-
"""
What is wrong with documents that are each right: two of one service, services that stand in for each other in a
circle, backends that nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lproxy.config import Service
from lproxy.configfile.problem import Problem, Severity, show
from lproxy.configfile.profile.splits import BARE, circles
from lproxy.profiles.described import Described, OfRoutes, OfService, key
from lproxy.profiles.names import service_of
from lproxy.target import split_host_port


def conflicts(described: Sequence[Described], services: Mapping[str, Service]) -> Iterator[list[Problem]]:
    """
    What does not go together: an error for each of those that do not, in their order.

    @param services: those of the configuration
    """
    first: dict[tuple[str, ...], Described] = {}
    for one in described:
        other = first.setdefault(key(one), one)
        if other is not one:
            yield [_second(other, one), _second(one, other)]
    yield from _circles([one for one in described if isinstance(one, OfService)], services)


def _second(one: Described, other: Described) -> Problem:
    where = f"in line {other.line}" if other.file == one.file else f"in {other.file}:{other.line}"
    return _problem("error", one, f"there is another one, {where}", "leave out one of them")


def _circles(profiles: list[OfService], services: Mapping[str, Service]) -> Iterator[list[Problem]]:
    by_host = {one.host: one for one in profiles}
    configured = {_host(name): service.profile for name, service in services.items() if service.profile is not None}
    known = {**{one.host: one.profile for one in profiles}, **configured}
    # whoever is called by a shorter name is the same
    longest = {short: host for host in known if (found := service_of(host)) is not None for short in found.hosts()}
    follow: dict[str, tuple[str, ...]] = {}
    for host, profile in known.items():
        others = [longest.get(other, other) for other in (_host(one.service) for one in profile.backends)]
        follow[host] = tuple(other for other in others if other != host)
    for circle in circles(follow):
        words = " > ".join((*circle, circle[0]))
        wrong, right = f"overrides in a circle: {words}", "let one have no dstOverrides"
        yield [_problem("error", by_host[host], wrong, right) for host in circle if host in by_host]


def _backends(one: Described) -> Iterator[str]:
    """Who serves in its place."""
    if isinstance(one, OfService):
        yield from (backend.service for backend in one.profile.backends)
    else:
        yield from (backend.service for _, route in one.ranked for backend in route.backends)


def _host(service: str) -> str:
    """Whom a backend, or a service of the configuration, is; by the longest name where it is one of Kubernetes."""
    try:
        host, _ = split_host_port(service.lower(), 80)
    except ValueError:
        return service.lower()
    found = service_of(host)
    return found.host if found is not None else host


def oddities(described: Sequence[Described], services: Mapping[str, Service], namespace: str = "") -> Iterator[Problem]:
    """
    Warnings: what has no effect, as something else has precedence, or it is for others.

    @param namespace: our own; empty: unknown
    """
    configured = {_host(name): name for name, service in services.items() if service.profile is not None}
    of_service = {one.host for one in described if isinstance(one, OfService)}
    known = {_host(name) for name in services} | {"localhost"}
    for one in described:
        for name in dict.fromkeys(map(_host, _backends(one))):
            if "." not in name and ":" not in name and name not in known:
                yield _problem("warning", one, f"{show(name)} {BARE}", "write its namespace, too")
        if namespace and one.namespace not in _served(one) | {namespace, ""}:
            wrong = f"is unused: it is for clients of the namespace {one.namespace}, and ours is {namespace}"
            yield _problem("warning", one, wrong)
        if isinstance(one, OfService) and one.host in configured:
            table = f"[services.{show(configured[one.host])}]"
            yield _problem("warning", one, f"is unused: {table} has a profile, which has precedence")
        if isinstance(one, OfRoutes):
            for parent in one.parents:
                if parent.service.host in of_service:
                    wrong = f"is unused for {parent.service.host}: its ServiceProfile has precedence"
                    yield _problem("warning", one, wrong)


def _served(one: Described) -> set[str]:
    """The namespaces of the services that it is for, whose clients are everywhere; its own, where it is for hosts."""
    if isinstance(one, OfService):
        service = service_of(one.host)
        return {service.namespace if service is not None else one.namespace}
    return {parent.service.namespace for parent in one.parents} | ({one.namespace} if one.hosts else set())


def _problem(severity: Severity, one: Described, wrong: str, right: str = "") -> Problem:
    return Problem(severity, one.file, one.line, " ".join(key(one)[:2]), wrong, right)
