# -*- test-case-name: tests.configfile.test_address -*-
"""
Addresses to listen on and to connect to, and when two of them are the same.

They are kept in one spelling (C{[::1]:80}, never C{[0:0::1]:080}), so that equal addresses are equal strings.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

from lproxy.configfile.endpoint import ENDPOINTS, OTHERS, check_endpoint, endpoint_arguments
from lproxy.configfile.problem import Wrong, nearest, show
from lproxy.target import join_host_port

IP = ipaddress.IPv4Address | ipaddress.IPv6Address

HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,9})")
HOST_NAME = re.compile(r"(?!.*\.[0-9]+$)(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
#: the start of a Twisted server endpoint string, with something after it
ENDPOINT_STRING = re.compile(r"([A-Za-z][A-Za-z0-9_+-]*):(.+)")
DNS_PORT = 53

#: scheme, host and port
URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/@]*@)?(\[[^\]]*\]|[^/:?#]*)(?::([0-9]{1,5}))?")
#: what was meant as an IPv4 address, and is none
IP_LIKE = re.compile(r"[0-9.]+")
UNIX_UPSTREAM = 'lproxy connects by TCP alone: let the application listen on an IP and port, such as "127.0.0.1:8081"'

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
    kind = ENDPOINT_STRING.fullmatch(text)
    if kind is not None:
        name, rest = kind.groups()
        if name in OTHERS:
            raise Wrong(f"{show(text)} is no plain stream socket: {OTHERS[name]}", LISTEN_EXAMPLE)
        if name in ENDPOINTS:
            check_endpoint(name, rest)
            return text
        # a name and a port alone is a host; further plugins' endpoints show arguments
        if (":" in rest or "=" in rest) and "//" not in rest:
            return text
        if rest.isdigit():
            raise Wrong(f"{show(name)} is no IP address", instead_of(name, rest))
    if not text or text.startswith("/"):
        if text:
            raise Wrong(f"{show(text)} is no address with a port", f"did you mean {show(f'unix:{text}')}?")
        return text
    if port := re.fullmatch(r"\*?:?([0-9]{1,5})", text):
        raise Wrong(f"{show(text)} has no IP address", f'write "127.0.0.1:{port[1]}", or "0.0.0.0:{port[1]}" for all')
    if text.lower() in ("none", "off", "false"):
        raise Wrong(f"{show(text)} is no address", 'write "" for none')
    return spelled(parse(text, LISTEN_EXAMPLE, lowest_port=0))


def refuse_unix(address: str) -> str:
    """The checked C{address} to listen on, where it has an IP address; raises L{Wrong} for a UNIX socket."""
    if address.startswith("unix:") or (address.startswith("systemd:") and "UNIX" in address):
        raise Wrong(f"{show(address)} is a UNIX socket", 'the admin server needs IP:port, such as "127.0.0.1:4191"')
    return address


def instead_of(name: str, port: str) -> str:
    """What to write for a listener whose address is a C{name} and a C{port}."""
    if name != "localhost" and (near := nearest(name, ENDPOINTS)):
        return f"did you mean {show(f'{near}:{port}')}?"
    alone = f'"127.0.0.1:{port[:5]}"'
    if name == "localhost":
        return f"write {alone}"
    return f'write one of this machine\'s, such as {alone}, or "0.0.0.0:{port[:5]}" for all of them'


def endpoint_address(text: str) -> str:
    """
    C{text} as host:port to connect to, the host an IP address or a DNS name.

    @raise Wrong: it is not, or it cannot be connected to
    """
    refuse_elsewhere(text)
    host, port = name_and_port(text)
    return join_host_port(host, checked_port(port[:9])) if host else literal_address(text, 8080)


def resolver_address(text: str) -> str:
    """C{text} as IP:port of a DNS server; raises L{Wrong}."""
    refuse_elsewhere(text)
    host, _ = name_and_port(text)
    if host:
        right = "the name of a resolver would need a resolver: write its IP address"
        raise Wrong(f"{show(host)} is a name, no IP address", right)
    return literal_address(text, DNS_PORT)


def name_and_port(text: str) -> tuple[str, str]:
    """The DNS name and the digits behind it in C{text}; empty where it is anything else."""
    host, _, digits = text.rpartition(":")
    named = digits.isascii() and digits.isdigit() and as_ip(host) is None and HOST_NAME.fullmatch(host)
    return (host, digits) if named and not IP_LIKE.fullmatch(host) else ("", "")


def literal_address(text: str, port: int) -> str:
    """C{text} as IP:port to connect to, C{port} being the one in examples; raises L{Wrong}."""
    place = parse(text, f'write IP:port such as "10.0.0.7:{port}"', example_port=port)
    refuse_wildcard(place)
    return spelled(place)


def target_address(text: str) -> str:
    """
    C{text} as host:port to connect to, the host an IP address or a DNS name.

    @raise Wrong: it is not
    """
    refuse_elsewhere(text)
    host, _, port = text.rpartition(":")
    if port.isascii() and port.isdigit() and HOST_NAME.fullmatch(host):
        return join_host_port(host, checked_port(port[:9]))
    if HOST_NAME.fullmatch(text) and ("." in text or text == "localhost"):
        raise Wrong(f"{show(text)} has no port", f"add one, as in {show(f'{text}:80')}")
    if alone := re.fullmatch(r":?([0-9]{1,5})", text):
        raise Wrong(f"{show(text)} has no host", f'write "127.0.0.1:{alone[1]}"')
    place = parse(text, 'write "host:port", "authority", "original-dst" or "service:NAME"')
    refuse_wildcard(place)
    return spelled(place)


def refuse_elsewhere(text: str) -> None:
    """Refuse a URL and a UNIX socket, which look like addresses to connect to; raises L{Wrong}."""
    if url := URL.match(text):
        scheme, host, port = url.groups()
        if text.startswith("unix:"):
            raise Wrong(f"{show(text)} is a UNIX socket", UNIX_UPSTREAM)
        encrypted = scheme.lower() in ("https", "wss", "tls", "ssl", "grpcs")
        right = f"write {show(f'{host}:{port or (443 if encrypted else 80)}')}"
        if encrypted:
            right = f"{right}, and in its [services] table tls = true"
        raise Wrong(f"{show(text)} is a URL", right)
    if text.startswith(("unix:", "/", "./", "@")):
        raise Wrong(f"{show(text)} is a UNIX socket", UNIX_UPSTREAM)


def network_address(text: str) -> str:
    """
    C{text} as a network, of one address or of many.

    @raise Wrong: it is not
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        pass
    else:
        return str(network)
    try:
        wider = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Wrong(f"{show(text)} is no network", 'write one such as "10.0.0.0/8", or an IP address') from None
    raise Wrong(f"{show(text)} has bits set beyond its /{wider.prefixlen}", f'write "{wider}"')


def parse(text: str, example: str, lowest_port: int = 1, example_port: int = 80) -> Socket:
    """The address that C{text} spells; raises L{Wrong}, with C{example} of what would be right."""
    match = HOST_PORT.fullmatch(text)
    if match is None:
        bare = as_ip(text.strip("[]"))
        head, _, tail = text.rpartition(":")
        if isinstance(as_ip(head), ipaddress.IPv6Address) and tail.isdigit():
            raise Wrong(f"{show(text)} does not tell address from port", f'write "[{head}]:{tail}"')
        if bare is not None:
            raise Wrong(f"{show(text)} has no port", f'add one, as in "{join_host_port(str(bare), example_port)}"')
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


# whoever checks an address asks once more, and there may be thousands
@lru_cache(16_384)
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
    place = any_socket_of(address)
    return place if place is not None and place.port else None


def any_socket_of(address: str) -> Socket | None:
    """As L{socket_of}, port 0 included."""
    try:
        kind, _, rest = address.partition(":")
        return tcp_socket(kind, rest) if kind in ("tcp", "tcp6") else parse(address, "", lowest_port=0)
    except ValueError:
        return None


def tcp_socket(kind: str, arguments: str) -> Socket | None:
    """What the endpoint string C{tcp:PORT:interface=IP} binds."""
    named = endpoint_arguments(arguments, ENDPOINTS[kind].arguments)
    ip = as_ip(named.get("interface") or ("::" if kind == "tcp6" else "0.0.0.0"))
    return None if ip is None else Socket(ip, int(named.get("port", 0)))


def overlap(one: Socket, other: Socket) -> bool:
    """Whether binding both fails: a wildcard and an address of one port. C{[::]} takes IPv4 connections, too."""
    if one.port != other.port:
        return False
    wild, narrow = (one.ip, other.ip) if one.ip.is_unspecified else (other.ip, one.ip)
    return wild.is_unspecified and (wild.version == narrow.version or wild.version == 6 or narrow.is_unspecified)


def share(one: IP, other: IP) -> bool:
    """Whether what is bound on C{one} may be bound on C{other} as well."""
    return one == other or (one.version == other.version and (one.is_unspecified or other.is_unspecified))


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
