# -*- test-case-name: tests.configfile.test_services -*-
"""
C{[services."NAME"]}: each service by itself, then whether anybody can ask for it.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Mapping
from types import MappingProxyType

from lproxy.balancing import Place, place
from lproxy.config import DETECT, Listen, Service
from lproxy.configfile.address import HOST_NAME
from lproxy.configfile.health import KEY, read_health
from lproxy.configfile.kinds import settings
from lproxy.configfile.listeners import ListensAt, refuse_loop, spoken, targeted
from lproxy.configfile.names import server_name
from lproxy.configfile.pauses import pause
from lproxy.configfile.places import check_places
from lproxy.configfile.problem import Path, Report, show, spell
from lproxy.configfile.profile.read import KEYS, read_profile
from lproxy.configfile.profile.splits import backends, check_splits, serves
from lproxy.configfile.table import Check, Table, apart, as_table, read_table
from lproxy.target import join_host_port, split_host_port

SERVICE_HEADER = '[services."NAME"]'

#: keys of a service's table that are no settings of L{Service}, but tables themselves
OTHERS = KEYS | {KEY}

#: protocols of which it is known whether they ask for services by name: http does, where the target is "authority"
KNOWN = frozenset({"tcp", *DETECT})


def read_services(
    table: Table,
    report: Report,
    listeners: tuple[Listen, ...],
    bound: list[ListensAt],
    elsewhere: Mapping[str, str],
    profiled: bool,
) -> Mapping[str, Service]:
    """
    @param profiled: whether files say who serves, too, which is not known here
    """
    checks: dict[str, Check] = {
        "endpoints": functools.partial(refuse_loops, bound=bound),
        "server_name": server_name,
    }
    services: dict[str, Service] = {}
    for name, entry in table.items():
        name, entry = apart(name), apart(entry)
        path = ("services", name)
        if not name:
            report.error(path, "a service needs a name", 'write [services."web.local:80"]')
        if dotted := unquoted(entry, path):
            whole = ".".join(dotted[1:])
            whole = whole if whole in targeted(listeners) else f"{whole}:80"
            right = f"TOML wants quotes around a name with dots: write [{spell(('services', whole))}]"
            report.error(dotted, "is a table within a table", right)
            continue
        values = read_table(
            Service, own := as_table(entry, path, report, f"[{spell(path)}]"), path, report, OTHERS, checks, elsewhere
        )
        check_places(values.get("endpoints", ()), (*path, "endpoints"), report)
        health, profile = read_health(own, path, report), read_profile(own, path, report)
        services[name] = service = Service(name=name, **values, health=health, profile=profile)
        if health is not None and health.kind == "grpc" and service.protocol == "http1":
            wrong = "asks by gRPC, which there is not in HTTP/1: it only connects"
            report.warning((*path, KEY), wrong, 'write protocol = "http2"')
        served = serves(name, profile) or (profiled and profile is None)
        if isinstance(entry, dict) and entry.get("endpoints", []) == [] and not served:
            report.warning(path, "has no endpoints: every request to it fails", 'write endpoints = ["127.0.0.1:8081"]')
    check_names(list(services), listeners, backends(services), profiled, report)
    check_splits(services, report)
    return MappingProxyType(services)


def refuse_loops(endpoint: str | Place, bound: list[ListensAt]) -> str | Place:
    """C{endpoint}, or L{Wrong} where that is the proxy itself."""
    refuse_loop(place(endpoint).address, bound)
    return endpoint


def unquoted(entry: object, path: tuple[str, ...]) -> tuple[str, ...]:
    """The path of the innermost table, where C{[services.web.local]} has made tables of the parts of a name."""
    inner = path
    while isinstance(entry, dict) and len(entry) == 1 and len(inner) < 20:
        ((key, entry),) = entry.items()
        if not isinstance(entry, dict) or key in settings(Service) or key in OTHERS:
            break
        inner = (*inner, key)
    return inner if len(inner) > len(path) else ()


def check_names(
    names: list[str], listeners: tuple[Listen, ...], serving: set[str], profiled: bool, report: Report
) -> None:
    """
    Warn of names that nobody can ask for; two names of one authority are an error.

    @param serving: those that serve in the place of others
    @param profiled: whether others with a name and port may, as files have it
    """
    by_name = serving.union(targeted(listeners))
    wanted = {authority_of(listener.target) for listener in listeners}
    asked_for = profiled or any(asks(listener) for listener in listeners)
    first: dict[tuple[str, int], str] = {}
    for name in names:
        pause()
        path: Path = ("services", name)
        authority = authority_of(name)
        if authority is not None and (other := first.setdefault(authority, name)) != name:
            report.error(path, f"is the same authority as {spell(('services', other))}", "leave out one of the two")
        if not name or name in by_name or authority in wanted - {None}:
            continue
        target = f"let a listener have target = {show(f'service:{name}')}"
        if authority is None:
            suggestion = f"write [{spell(('services', f'{name}:80'))}], or " if ":" not in name else ""
            report.warning(path, "has no port, so that no client's authority can name it", suggestion + target)
        elif wrong := never(authority[0]):
            report.warning(path, f"can match no client's authority: {wrong}", target)
        elif not asked_for:
            report.warning(path, "is unused: no listener routes by authority or sni, and none has it as target", target)


def asks(listener: Listen) -> bool:
    """Whether clients of C{listener} may ask for services by name; of protocols that nobody knows here, they may."""
    speaks = spoken(listener)
    return (
        ("http" in speaks and listener.target == "authority")
        or listener.target == "sni"
        or not KNOWN.issuperset(speaks)
    )


def authority_of(name: str) -> tuple[str, int] | None:
    """The host and port that C{name} is, as requests are looked up; C{None} where it is none."""
    try:
        host, port = split_host_port(name)
    except ValueError:
        return None
    return (host.lower().removesuffix("."), port) if host else None


def never(host: str) -> str:
    """Why no request can be for C{host}; empty where one can."""
    if not host.isascii():
        return "clients write an international name as xn--..."
    if "*" in host:
        return "it is compared as it stands, without wildcards"
    if "/" in host:
        return "an authority is a host and a port, without scheme or path"
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return "" if HOST_NAME.fullmatch(host) else "it is neither a host name nor an IP address"
    return "" if str(ip) == host else f"clients write {join_host_port(str(ip), 80).removesuffix(':80')}"
