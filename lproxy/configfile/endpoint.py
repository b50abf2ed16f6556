# -*- test-case-name: tests.configfile.test_endpoint -*-
"""
Twisted's server endpoint strings, such as C{tcp:4140:interface=127.0.0.1}: refuse here what Twisted would at start.

Those of plugins are theirs to check.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from lproxy.configfile.problem import Wrong, show


class Form(NamedTuple):
    """A kind of endpoint string: its arguments in order, the one that it needs, and an example."""

    arguments: tuple[str, ...]
    needed: str
    example: str


#: those of Twisted's that are plain stream sockets
ENDPOINTS = {
    "systemd": Form(("domain", "index", "name"), "domain", "systemd:domain=INET:index=0"),
    "tcp": Form(("port", "interface", "backlog"), "port", "tcp:4140"),
    "tcp6": Form(("port", "backlog", "interface"), "port", "tcp6:4140"),
    "unix": Form(("address", "mode", "backlog", "lockfile"), "address", "unix:/run/lproxy.sock"),
}
#: those that are none, and why
OTHERS = {
    "ssl": "write IP:port, and what is to be done about TLS as tls and certificates of the listener",
    "tls": "write IP:port, and what is to be done about TLS as tls and certificates of the listener",
    "haproxy": "the PROXY protocol is not read",
    "stdio": "it is one connection, not a listener",
}
NUMBERS = frozenset({"port", "backlog", "index", "lockfile"})
#: sun_path of Linux, less the zero at its end
MAX_PATH = 107
DOMAINS = ("INET", "INET6", "UNIX")


def endpoint_arguments(text: str, names: tuple[str, ...]) -> dict[str, str]:
    """The arguments in C{text} by name, those without one in the order of C{names}; what is too many has none."""
    named: dict[str, str] = {}
    position = 0
    for argument in re.split(r"(?<!\\):", text):
        key, equals, value = argument.partition("=")
        if not equals:
            key, value = names[position] if position < len(names) else "", argument
            position += 1
        named[key] = value.replace("\\", "")
    return named


def check_endpoint(kind: str, text: str) -> None:
    """
    Check the arguments C{text} of an endpoint string.

    @param kind: one of L{ENDPOINTS}
    @raise Wrong: one is missing, unknown or not what it must be
    """
    form = ENDPOINTS[kind]
    values = endpoint_arguments(text, form.arguments)
    whole, example = show(f"{kind}:{text}"), f"write one, as in {show(form.example)}"
    for name in values:
        if name not in form.arguments:
            wrong = f"has no argument {show(name)}" if name else "has too many arguments"
            raise Wrong(f"{whole} {wrong}", f"those of {kind} are {', '.join(form.arguments)}")
    if not values.get(form.needed):
        raise Wrong(f"{whole} has no {form.needed}", example)
    for name, value in values.items():
        if name in NUMBERS and not (value.isascii() and value.isdigit() and len(value) < 10):
            raise Wrong(f"{name} {show(value)} is no number", example)
    if int(values.get("port", 0)) > 65535:
        raise Wrong(f"port {values['port']} is not one of 0 to 65535")
    if not re.fullmatch("[0-7]{3,4}", values.get("mode", "666")):
        raise Wrong(
            f"mode {show(values['mode'])} is no octal number", 'write one, as in "unix:/run/lproxy.sock:mode=660"'
        )
    if kind == "unix" and len(values["address"].encode()) > MAX_PATH:
        raise Wrong(f"the path of a UNIX socket is longer than {MAX_PATH} bytes", "name a shorter one")
    if kind == "systemd":
        check_systemd(values, example)
    elif kind != "unix" and values.get("interface"):
        check_interface(values["interface"], 6 if kind == "tcp6" else 4)


def check_systemd(values: dict[str, str], example: str) -> None:
    if values["domain"] not in DOMAINS:
        raise Wrong(f"domain {show(values['domain'])} is none of {', '.join(DOMAINS)}", example)
    if ("index" in values) == ("name" in values):
        raise Wrong("a socket of systemd is found by its index or its name, one of them", example)


def check_interface(text: str, version: int) -> None:
    kind = ipaddress.IPv6Address if version == 6 else ipaddress.IPv4Address
    try:
        kind(text)
    except ValueError:
        example = "\\:\\:1, the colons of an IPv6 address being escaped" if version == 6 else "127.0.0.1"
        raise Wrong(f"interface {show(text)} is no IPv{version} address", f"write one, such as {example}") from None
