# -*- test-case-name: tests.app.test_balancing -*-
"""
What the configuration says about how requests are spread: of each service, and which services are checked from the
start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lproxy.balancing import Balancing
from lproxy.config import Config, Listen, Service
from lproxy.profile import Backend, Profile
from lproxy.protocols.runtime import Profiles, fixed_target
from lproxy.target import Authority, ServiceName, Target, split_host_port


def balancing(config: Config, service: Service) -> Balancing:
    """Of C{service}: what it says itself, else what is said for all."""
    spread, check = config.balancing, service.health
    if check is not None and not check.host and (name := authority(service.name)) is not None:
        check = replace(check, host=str(name))
    return replace(
        spread,
        failure_ratio=spread.failure_ratio if service.failure_ratio is None else service.failure_ratio,
        max_ejected=spread.max_ejected if service.max_ejected is None else service.max_ejected,
        slow_start=spread.slow_start if service.slow_start is None else service.slow_start,
        max_failures=config.limits.max_failures if service.max_failures is None else service.max_failures,
        check=check,
    )


def checked(listen: Listen, services: Mapping[str, Service], profiles: Profiles) -> Iterator[Target]:
    """
    Targets that clients of C{listen} may ask for, and whose endpoints are checked, whether anybody asks or not.

    By an original destination nobody asks for a service's name. Who serves in the place of others is asked for by
    whoever asks for those, be it the configuration or a file that says so.

    @param profiles: what is said as of now
    """
    if listen.target == "original-dst":
        return
    fixed = fixed_target(listen.target)
    if fixed is not None:
        behind = {_target(backend.service) for backend in _backends(profiles.of(fixed))}
    else:
        behind = {_target(backend.service) for service in services.values() for backend in _backends(service.profile)}
    for name, service in services.items():
        if service.health is None:
            continue
        named = _target(name)
        if fixed is not None and fixed in (named, ServiceName(name)):
            yield fixed
        elif named in behind or (fixed is None and isinstance(named, Authority)):
            yield named


def _backends(profile: Profile | None) -> tuple[Backend, ...]:
    if profile is None:
        return ()
    return (*profile.backends, *(backend for route in profile.routes for backend in route.backends))


def _target(name: str) -> Authority | ServiceName:
    """What the service of that name is asked for by, where others have it serve in their place."""
    return authority(name) or ServiceName(name)


def authority(name: str) -> Authority | None:
    """What clients ask for to have the service of that name; C{None} where it is no authority."""
    try:
        host, port = split_host_port(name)
    except ValueError:
        return None
    return Authority(host.lower().removesuffix("."), port) if host else None
