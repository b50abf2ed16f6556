# -*- test-case-name: tests.configfile.test_listeners -*-
"""
C{[[listen]]}: each listener by itself, then conflicts between listeners and with the admin server.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from lproxy.config import KEYWORDS, WAIT, Admin, Listen
from lproxy.configfile.address import IP, any_socket_of, overlap, reaches, share, socket_of, target_address
from lproxy.configfile.demands import NONE, ports_beside
from lproxy.configfile.plugins import Plugins
from lproxy.configfile.problem import Path, Report, Wrong, any_of, did_you_mean, show, spell
from lproxy.configfile.table import Check, Table, as_table, read_table
from lproxy.configfile.units import type_name

#: protocols that are known whatever plugins are installed
BUILT_IN = frozenset({"http", "tcp"})
#: what becomes of fields, by the word for it
PARTICIPLES = {"replace": "replaced", "remove": "removed"}
AS_BYTES = 'protocol = "tcp" forwards it as it is'
ANY = f"{AS_BYTES}, or install its plugin"
#: protocols that users ask for and that have no plugin, by what they get instead
OTHER_PROTOCOLS = {
    **dict.fromkeys(("https", "tls", "ssl"), "TLS is what a protocol is spoken in: see tls and certificates"),
    **dict.fromkeys(("ws", "websocket", "websockets"), 'WebSockets begin as HTTP: write "http"'),
    **dict.fromkeys(("grpc", "http2", "h2", "h2c"), 'every version of HTTP, gRPC in it, is "http": write that'),
    **dict.fromkeys(("mysql", "postgres", "postgresql", "redis", "mongodb", "amqp", "mqtt", "smtp", "ssh"), ANY),
    **dict.fromkeys(("raw", "opaque", "bytes", "stream"), 'did you mean "tcp"?'),
    "auto": "leave protocol out, and it is detected",
    "udp": "only connections are forwarded, no datagrams",
}
#: protocols that do not say where they want to go
NAMELESS = frozenset({"tcp", "kafka"})


@dataclass(frozen=True, slots=True)
class ListensAt:
    """An address that the file has the proxy listen on, and where it stands there."""

    path: Path
    address: str


def read_listeners(
    value: object, report: Report, plugins: Plugins, services: Collection[str], elsewhere: Mapping[str, str]
) -> tuple[Listen, ...]:
    """The listeners of a file that has any."""
    if not isinstance(value, list):
        single = isinstance(value, dict)
        wrong = "must be an array of tables" if single else f"must be an array of tables, not {type_name(value)}"
        report.error(("listen",), wrong, "write [[listen]], in double brackets, once for each listener")
        value = [value] if single else []
    elif not value:
        report.warning(("listen",), "no listener: the proxy serves nothing", "leave the key out for the defaults")
    known = BUILT_IN | set(plugins.configure)
    checks: dict[str, Check] = {
        "target": functools.partial(check_target, services=services),
        "detect": functools.partial(check_detect, known=known - {"tcp"}),
        "protocol": functools.partial(check_protocol, known=known),
        "undecided": functools.partial(check_protocol, known=known | {WAIT}),
    }
    listeners = []
    for index, entry in enumerate(value):
        path: Path = ("listen", index)
        table = as_table(entry, path, report, "[[listen]]")
        if table is not entry:
            continue
        values = read_table(Listen, table, path, report, plugins.names(), checks, elsewhere)
        listener = Listen(**values, plugins=plugins.listener(table, path))
        warn_unused(listener, table, path, report, plugins)
        plugins.check(listener, spoken(listener), path)
        check_undecided(listener, path, report)
        listeners.append(listener)
    check_names(listeners, report)
    return tuple(listeners)


def check_target(text: str, services: Collection[str]) -> str:
    """C{text} as a listener's target, or L{Wrong}."""
    if text in KEYWORDS:
        return text
    kind, colon, name = text.partition(":")
    if kind == "service" and colon:
        if name not in services:
            near = did_you_mean(name, services)
            raise Wrong(
                f"there is no service {show(name)}", near or f"add [services.{spell((name,))}] with its endpoints"
            )
        return text
    if not colon:
        if text in services:
            raise Wrong(f"{show(text)} has no port", f"write {show(f'service:{text}')} for the service of that name")
        if near := did_you_mean(text, KEYWORDS):
            raise Wrong(f"{show(text)} is no target", near)
    if name in services:
        raise Wrong(f"{show(text)} is no target", f"did you mean {show(f'service:{name}')}?")
    return target_address(text)


def check_detect(name: str, known: Collection[str]) -> str:
    """C{name} as a protocol to be detected, or L{Wrong}."""
    if name == "tcp":
        raise Wrong("tcp always comes last by itself", 'leave it out, or write protocol = "tcp" for no detection')
    return check_protocol(name, known)


def check_protocol(name: str, known: Collection[str]) -> str:
    """C{name} as a protocol that is there, or L{Wrong}."""
    if name not in known:
        near = OTHER_PROTOCOLS.get(name.lower(), "") or did_you_mean(name, known)
        raise Wrong(
            f"there is no protocol {show(name)}", near or f"write {any_of(sorted(known))}, or install its plugin"
        )
    return name


def warn_unused(listener: Listen, table: Table, path: Path, report: Report, plugins: Plugins) -> None:
    """Settings that the listener can never use."""
    if "protocol" in table and "detect" in table:
        right = "a configured protocol is never detected; leave out one of the two"
        report.warning((*path, "detect"), "is unused beside protocol", right)
    if listener.trusted and listener.forwarded in ("replace", "remove"):
        right = 'with forwarded = "pass" or "append" it says whose fields are kept'
        report.warning((*path, "trusted"), f"is unused: everybody's are {PARTICIPLES[listener.forwarded]}", right)
    if listener.protocol in NAMELESS and listener.target == "authority":
        wrong = f"{listener.protocol} names no authority: only connections that iptables redirected go anywhere"
        report.warning((*path, "target"), wrong, 'write "host:port", "service:NAME", or "original-dst" for those alone')
    if listener.rates and "http" not in spoken(listener):
        right = 'rates are of HTTP requests: add "http" to its detect'
        report.warning((*path, "rates"), "is unused: the listener speaks no http", right)
    for name in plugins.names():
        if name in table and name not in spoken(listener):
            report.warning((*path, name), f"is unused: the listener speaks no {name}", f'add "{name}" to its detect')


def check_undecided(listener: Listen, path: Path, report: Report) -> None:
    """Who gets a client that was silent for too long is one of those that may get it at all."""
    if listener.protocol is None and listener.undecided not in (WAIT, *spoken(listener)):
        wrong = f"the listener does not detect {show(listener.undecided)}"
        report.error((*path, "undecided"), wrong, f"write {any_of(sorted({WAIT, *spoken(listener)}))}")


def spoken(listener: Listen) -> tuple[str, ...]:
    """The protocols that C{listener} may have to speak."""
    return (*listener.detect, "tcp") if listener.protocol is None else (listener.protocol,)


def check_names(listeners: list[Listen], report: Report) -> None:
    first: dict[str, int] = {}
    for index, listener in enumerate(listeners):
        if listener.name and first.setdefault(listener.name, index) != index:
            right = f"it is that of listen[{first[listener.name]}]; names must be unique"
            report.error(("listen", index, "name"), f"{show(listener.name)} is taken", right)


def check_addresses(admin: Admin, listeners: tuple[Listen, ...], report: Report) -> list[ListensAt]:
    """
    Two listeners cannot share an address.

    @return: where the proxy listens
    """
    # in the order of the file's defaults: the conflict is reported at the listener, not at the admin server
    places = [ListensAt(("admin", "address"), admin.address)]
    places += [ListensAt(("listen", index, "address"), listener.address) for index, listener in enumerate(listeners)]
    bound: list[ListensAt] = []
    for place in places:
        if not place.address:
            continue
        mine = socket_of(place.address)
        for other in bound:
            theirs = socket_of(other.address)
            who = f"{spell(other.path)} ({other.address})"
            # equal endpoint strings conflict as well, but tcp:0 is another port each time
            same_string = place.address == other.address and not is_fresh_port(place.address)
            if same_string or (mine is not None and mine == theirs):
                report.error(place.path, f"{show(place.address)} is taken by {who}", "give each its own port")
            elif mine is not None and theirs is not None and overlap(mine, theirs):
                wrong = f"{show(place.address)} overlaps {who}: both cannot be bound"
                report.error(place.path, wrong, "give each its own port, or leave out the narrower one")
        bound.append(place)
    return bound


def check_further_ports(listeners: tuple[Listen, ...], bound: list[ListensAt], report: Report) -> None:
    """What protocols listen on besides must be nobody else's."""
    seen: list[tuple[Path, IP, range]] = []
    sockets = [(place, socket) for place in bound if (socket := socket_of(place.address)) is not None]
    for index, listener in enumerate(listeners):
        own = any_socket_of(listener.address)
        for name, value in listener.plugins.items():
            ports = ports_beside(value, listener) if name in spoken(listener) else NONE
            if own is None or not ports:
                continue
            path: Path = ("listen", index, name)
            wants = f"wants the ports {ports[0]} to {ports[-1]}"
            for place, socket in sockets:
                if share(own.ip, socket.ip) and socket.port in ports:
                    taken = f"{spell(place.path)} ({place.address}) is one of them"
                    report.error(path, f"{wants}: {taken}", "move the one or the other")
            for other, ip, theirs in seen:
                if share(own.ip, ip) and ports[0] <= theirs[-1] and theirs[0] <= ports[-1]:
                    report.error(
                        path, f"{wants}: so does {spell(other)}, in part", "give each listener ports of its own"
                    )
            seen.append((path, own.ip, ports))


def is_fresh_port(address: str) -> bool:
    """Whether the system picks the port: C{:0}, as C{IP:port} or as an endpoint string of tcp."""
    return socket_of(address) is None and (address.startswith(("tcp:", "tcp6:")) or address.endswith(":0"))


def refuse_loop(destination: str, bound: list[ListensAt]) -> str:
    """C{destination}, or L{Wrong} where the proxy itself listens there: it would connect to itself in a loop."""
    for place in bound:
        socket = socket_of(place.address)
        if socket is not None and reaches(destination, socket):
            raise Wrong(f"{show(destination)} is the proxy's own {spell(place.path)}: a loop", "name the application")
    return destination


def check_loops(listeners: tuple[Listen, ...], bound: list[ListensAt], report: Report) -> None:
    for index, listener in enumerate(listeners):
        try:
            refuse_loop(listener.target, bound)
        except Wrong as error:
            report.error(("listen", index, "target"), error.wrong, error.right)


def targeted(listeners: tuple[Listen, ...]) -> set[str]:
    """The names in C{service:NAME} targets."""
    return {
        listener.target.removeprefix("service:") for listener in listeners if listener.target.startswith("service:")
    }


def used_protocols(listeners: tuple[Listen, ...]) -> set[str]:
    return {name for listener in listeners for name in spoken(listener)}
