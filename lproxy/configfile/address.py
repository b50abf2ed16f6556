# -*- test-case-name: tests.configfile.test_address -*-
"""
Addresses to listen on and to connect to, and when two of them are the same.

They are kept in one spelling (C{[::1]:80}, never C{[0:0::1]:080}), so that equal addresses are equal strings.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from lproxy.target import join_host_port

from .problem import Wrong, did_you_mean, show

IP = ipaddress.IPv4Address | ipaddress.IPv6Address

HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,9})")
HOST_NAME = re.compile(r"(?!.*\.[0-9]+$)(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
#: the start of a Twisted server endpoint string, with something after it
ENDPOINT_STRING = re.compile(r"([A-Za-z][A-Za-z0-9_+-]*):(.+)")
#: those that Twisted has; others come from plugins
ENDPOINT_TYPES = frozenset({"fd", "haproxy", "ssl", "stdio", "systemd", "tcp", "tcp6", "tls", "unix"})

LISTEN_EXAMPLE = 'write IP:port such as "127.0.0.1:4140", or an endpoint string such as "tcp:4140"'


class Socket(NamedTuple):
    """An address and port that can be bound or connected to."""

    ip: IP
    port: int


def listen_address(text: str) -> str:
    """
    C{text} as something to listen on: IP:port, an endpoint string, or empty.

    @raise Wrong: it is neither
    """
    if not text:
        return text
    kind = ENDPOINT_STRING.fullmatch(text)
    if kind is not None:
        name, rest = kind.groups()
        # a name and a port alone is a host; further plugins' endpoints show arguments
        if name in ENDPOINT_TYPES or (":" in rest or "=" in rest):
            return text
        if rest.isdigit():
            near = did_you_mean(f"{name}:{rest}", [f"{known}:{rest}" for known in ENDPOINT_TYPES])
            raise Wrong(f"{show(name)} is no IP address", near or f'write one, such as "127.0.0.1:{rest[:5]}"')
    return spelled(parse(text, LISTEN_EXAMPLE, lowest_port=0))


def endpoint_address(text: str) -> str:
    """
    C{text} as IP:port to connect to.

    @raise Wrong: it is not, or it cannot be connected to
    """
    place = parse(text, 'write IP:port such as "10.0.0.7:8080"; a DNS name belongs in "target"')
    refuse_wildcard(place)
    return spelled(place)


def target_address(text: str) -> str:
    """
    C{text} as host:port to connect to, the host an IP address or a DNS name.

    @raise Wrong: it is not
    """
    host, _, port = text.rpartition(":")
    if port.isascii() and port.isdigit() and HOST_NAME.fullmatch(host):
        return join_host_port(host, checked_port(port[:9]))
    place = parse(text, 'write "host:port", "authority", "original-dst" or "service:NAME"')
    refuse_wildcard(place)
    return spelled(place)


def parse(text: str, example: str, lowest_port: int = 1) -> Socket:
    """The address that C{text} spells; raises L{Wrong}, with C{example} of what would be right."""
    match = HOST_PORT.fullmatch(text)
    if match is None:
        bare = as_ip(text.strip("[]"))
        head, _, tail = text.rpartition(":")
        if isinstance(as_ip(head), ipaddress.IPv6Address) and tail.isdigit():
            raise Wrong(f"{show(text)} does not tell address from port", f'write "[{head}]:{tail}"')
        if bare is not None:
            raise Wrong(f"{show(text)} has no port", f'add one, as in "{join_host_port(str(bare), 80)}"')
        raise Wrong(f"{show(text)} is no address with a port", example)
    host = match["v6"] if match["host"] is None else match["host"]
    port = checked_port(match["port"], lowest_port)
    ip = as_ip(host)
    if ip is None:
        raise Wrong(f"{show(host)} is no IP address" if host else f"{show(text)} has no IP address", example)
    if (ip.version == 6) != (match["v6"] is not None):
        raise Wrong(f"{show(text)}: brackets are for IPv6 addresses", f'write "{join_host_port(host, port)}"')
    return Socket(ip, port)


def checked_port(digits: str, lowest: int = 1) -> int:
    port = int(digits)
    if not lowest <= port <= 65535:
        raise Wrong(f"port {port} is not one of {lowest} to 65535")
    return port


def refuse_wildcard(place: Socket) -> None:
    if place.ip.is_unspecified:
        raise Wrong(f"{place.ip} can be listened on, not connected to", f'did you mean "127.0.0.1:{place.port}"?')


def as_ip(text: str) -> IP | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def spelled(place: Socket) -> str:
    return join_host_port(str(place.ip), place.port)


def socket_of(address: str) -> Socket | None:
    """
    The address and port that a checked listen address binds; C{None} where they are not known before.

    Port 0 is another port each time.
    """
    try:
        kind, _, rest = address.partition(":")
        place = tcp_socket(kind, rest) if kind in ("tcp", "tcp6") else parse(address, "")
    except ValueError:
        return None
    return place if place is not None and place.port else None


def tcp_socket(kind: str, arguments: str) -> Socket | None:
    """What the endpoint string C{tcp:PORT:interface=IP} binds."""
    named = {}
    for name, argument in zip(("port", "interface", "backlog"), re.split(r"(?<!\\):", arguments), strict=False):
        key, equals, value = argument.partition("=")
        named[key if equals else name] = (value if equals else argument).replace("\\", "")
    ip = as_ip(named.get("interface", "::" if kind == "tcp6" else "0.0.0.0"))
    return None if ip is None else Socket(ip, int(named.get("port", 0)))


def overlap(one: Socket, other: Socket) -> bool:
    """Whether binding both fails, or one takes the other's connections: a wildcard and an address, same port."""
    wild = one.ip.is_unspecified or other.ip.is_unspecified
    return one.port == other.port and one.ip.version == other.ip.version and wild


def reaches(destination: str, listener: Socket) -> bool:
    """Whether connecting to the checked C{destination} ends at C{listener}."""
    host, _, port = destination.rpartition(":")
    if port != str(listener.port):
        return False
    if host.rstrip(".").lower() == "localhost":
        return listener.ip.is_loopback or listener.ip.is_unspecified
    ip = as_ip(host.strip("[]"))
    if ip is None:
        return False
    return ip == listener.ip or (ip.is_loopback and listener.ip.is_unspecified and ip.version == listener.ip.version)
