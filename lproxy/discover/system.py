# -*- test-case-name: tests.discover.test_system -*-
"""
The machine's own name service: /etc/hosts and /etc/resolv.conf.

Both are read again when they have changed, without a timer: each use costs one C{stat}.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from lproxy.discover.names import candidates, checked

T = TypeVar("T")

#: used where resolv.conf names none: a resolver on this machine
LOCAL = (("127.0.0.1", 53),)


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """Servers, search domains and C{ndots}."""

    servers: tuple[tuple[str, int], ...] = LOCAL
    search: tuple[str, ...] = ()
    ndots: int = 1


class Watched(Generic[T]):
    """The contents of a file that may change. One that cannot be read counts as empty."""

    def __init__(self, path: str, parse: Callable[[str], T]) -> None:
        self._path = path
        self._parse = parse
        self._seen: tuple[int, ...] = ()
        self._value = parse("")

    def __call__(self) -> T:
        try:
            stat = os.stat(self._path)
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                with open(self._path, encoding="utf-8", errors="replace") as file:
                    self._value = self._parse(file.read())
                self._seen = seen
        except OSError:
            self._value = self._parse("")
            self._seen = ()
        return self._value


class System:
    """The machine's files, as they are now."""

    def __init__(self, hosts: str = "/etc/hosts", resolv_conf: str = "/etc/resolv.conf") -> None:
        self._hosts = Watched(hosts, parse_hosts)
        self._resolv_conf = Watched(resolv_conf, parse_resolv_conf)

    def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses in /etc/hosts of C{host}, a checked name."""
        return self._hosts().get(host.removesuffix("."), ())

    def servers(self) -> tuple[tuple[str, int], ...]:
        """The resolvers of /etc/resolv.conf."""
        return self._resolv_conf().servers

    def candidates(self, host: str) -> tuple[str, ...]:
        """The names to query, most likely first."""
        conf = self._resolv_conf()
        return candidates(host, conf.search, conf.ndots)


def parse_hosts(text: str) -> Mapping[str, tuple[str, ...]]:
    """Addresses by name in lower case; lines without an address are skipped, as libc does."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        try:
            address = str(ipaddress.ip_address(words[0]))
        except ValueError:
            continue
        for name in words[1:]:
            name = name.lower().removesuffix(".")
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), address)))
    return found


def parse_resolv_conf(text: str) -> ResolvConf:
    """C{nameserver}, C{search} or C{domain} (the last one counts) and C{options ndots:N}; the rest is for libc."""
    servers: list[tuple[str, int]] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_]:
                try:
                    servers.append((str(ipaddress.ip_address(address)), 53))
                except ValueError:
                    pass
            case ["search", *domains]:
                search = tuple(name for domain in domains if (name := _domain(domain)))
            case ["domain", domain, *_]:
                search = (name,) if (name := _domain(domain)) else ()
            case ["options", *options]:
                for option in options:
                    value = option.removeprefix("ndots:")
                    if value != option and value.isdecimal():
                        ndots = min(int(value), 15)
    # libc queries the first three servers and searches six domains or more
    return ResolvConf(tuple(servers[:3]) or LOCAL, search[:32], ndots)


def _domain(text: str) -> str:
    try:
        return checked(text).removesuffix(".")
    except ValueError:
        return ""
