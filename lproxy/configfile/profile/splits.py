# -*- test-case-name: tests.configfile.profile.test_splits -*-
"""
Who serves in the place of others: whether it is anybody, and whether that ends.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from lproxy.config import Service
from lproxy.configfile.address import HOST_NAME
from lproxy.configfile.pauses import pause
from lproxy.configfile.problem import Path, Report, did_you_mean, show
from lproxy.configfile.profile.read import ROUTES
from lproxy.profile import Backend, Profile
from lproxy.target import split_host_port

#: of a backend
BARE = "is no [services] table: DNS is asked for that bare name, without any domain"


def check_splits(services: Mapping[str, Service], report: Report) -> None:
    """Report every backend of C{services} that is nobody, and every circle of services that stand in for each other."""
    for name, service in services.items():
        pause()
        for path, backend in _backends(name, service.profile):
            if wrong := nobody(backend.service, services):
                report.error(path, f"{show(backend.service)} {wrong}", did_you_mean(backend.service, services))
            elif bare(backend.service, services):
                report.warning(path, f"{show(backend.service)} {BARE}", did_you_mean(backend.service, services))
    follow = {name: _others(name, service.profile) for name, service in services.items()}
    for circle in circles(follow):
        words = " > ".join(show(name) for name in (*circle, circle[0]))
        report.error(
            ("services", circle[0]), f"is served by others in a circle: {words}", "let one have endpoints of its own"
        )


def backends(services: Mapping[str, Service]) -> set[str]:
    """All that serve in the place of another."""
    return {backend.service for name, one in services.items() for _, backend in _backends(name, one.profile)}


def serves(name: str, profile: Profile | None) -> bool:
    """Whether a service without endpoints serves any request: by others, or since a route asks nobody."""
    if profile is None:
        return False
    return bool(_others(name, profile)) or any(route.redirect or route.answer for route in profile.routes)


def bare(service: str, services: Mapping[str, object]) -> bool:
    """Whether a backend is none of the configuration's, and has a name that DNS is hardly to know."""
    host = split_host_port(service, 80)[0] if service not in services else "."
    return "." not in host and ":" not in host and host != "localhost"


def nobody(service: str, services: Mapping[str, Service]) -> str:
    """Why a backend can be nobody; empty where it can be somebody. A name that is not configured is one of DNS."""
    if service in services:
        return ""
    try:
        host, _ = split_host_port(service)
    except ValueError:
        return "is no [services] table, and no authority with a port"
    return "" if HOST_NAME.fullmatch(host) or is_ip(host) else "is no [services] table, and no host name"


def is_ip(host: str) -> bool:
    """Whether C{host} is an address of IPv4 or IPv6."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def circles(follow: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """
    Each circle once, of two and more; who stands for itself too, beside others, is no circle.

    @param follow: for each name, who serves in its place
    """
    done: set[str] = set()
    for start in follow:
        way: list[str] = []
        # depth first, without recursion: where to go on, for each name on the way
        rest = [iter((start,))]
        while rest:
            name = next(rest[-1], None)
            if name is None:
                rest.pop()
                if way:
                    done.add(way.pop())
            elif name in way:
                circle = way[way.index(name) :]
                if len(circle) > 1:
                    yield tuple(circle)
            elif name in follow and name not in done:
                way.append(name)
                rest.append(iter(follow[name]))


def _others(name: str, profile: Profile | None) -> tuple[str, ...]:
    return tuple(backend.service for _, backend in _backends(name, profile) if backend.service != name)


def _backends(name: str, profile: Profile | None) -> Iterator[tuple[Path, Backend]]:
    if profile is None:
        return
    path: Path = ("services", name)
    for index, backend in enumerate(profile.backends):
        yield (*path, "backends", index), backend
    for route in profile.routes:
        for index, backend in enumerate(route.backends):
            yield (*path, ROUTES, route.name, "backends", index), backend
