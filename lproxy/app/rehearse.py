# -*- test-case-name: tests.app.test_rehearse -*-
"""
Whether what a file says can be started: what C{lproxy check} passes starts.

The very assembly of the start is made, with a clock that stands still, and thrown away; it opens nothing. What is asked
of the machine besides, such as whether the folder of a log is there, is only true where the proxy will run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.task import Clock

from lproxy.app.assembly import CannotStart
from lproxy.app.plugins import Found
from lproxy.app.service import Proxy
from lproxy.config import Config
from lproxy.configfile import Loaded, Problem
from lproxy.configfile.address import socket_of
from lproxy.configfile.endpoint import ENDPOINTS, endpoint_arguments
from lproxy.configfile.kinds import settings
from lproxy.configfile.problem import Path, Severity, spell
from lproxy.errors import one_line
from lproxy.transport.address import is_local

#: settings that name such files
MATERIALS = frozenset(("trust", "certificate", "key", "ca", "client_ca"))


def rehearse(config: Config, found: list[Found], file: str) -> Iterator[Problem]:
    """
    What would keep C{config} from being started anywhere, and what is odd about its certificates.

    @param found: the plugins
    @param file: where it was read, for problems
    """
    unknown = list(unknown_endpoints(config, file))
    yield from unknown
    if unknown:
        return
    reactor: Any = Clock()
    try:
        with Proxy(config, found, reactor).rehearsed() as assembly:
            yield from said(config, "warning", assembly.oddities(), file)
    except CannotStart as e:
        yield from said(config, "error", e.args, file)


def said(config: Config, severity: Severity, texts: Iterable[str], file: str) -> list[Problem]:
    """What an assembly says of itself, at the settings that it is about."""
    return [Problem(severity, file, None, key_of(text, config), one_line(text)) for text in map(str, texts)]


def key_of(text: str, config: Config) -> str:
    """Which setting names the file that C{text} is about; empty where none does."""
    return next((key for key, path in materials(config) if f"{path}: " in text or f"{path}/" in text), "")


def materials(config: Config) -> Iterator[tuple[str, str]]:
    """Files of certificates, keys and anchors, each with its key."""
    tables: list[tuple[Path, Any]] = [(("identity",), config.identity), (("admin",), config.admin)]
    tables += [(("services", name), service) for name, service in config.services.items()]
    for path, table in tables:
        kind: type = type(table)
        for name in MATERIALS & settings(kind).keys():
            if file := getattr(table, name):
                yield spell((*path, name)), file
    for index, listen in enumerate(config.listen):
        for number, file in enumerate(listen.certificates):
            yield spell(("listen", index, "certificates", number)), file


def unknown_endpoints(config: Config, file: str) -> Iterator[Problem]:
    """Endpoint strings of a plugin that is not installed, or that it refuses, and why."""
    for key, address in addresses(config):
        kind = address.partition(":")[0]
        if kind[:1].isalpha() and kind not in ENDPOINTS:
            try:
                serverFromString(Clock(), address)
            except Exception as e:
                yield Problem("error", file, None, key, one_line(f"{address!r} is no endpoint: {e}"))


def looked_at(loaded: Loaded, file: str) -> Loaded:
    """C{loaded}, and what can be told besides without making anything of it, in any thread."""
    if loaded.config is None:
        return loaded
    return beside(loaded, [*unknown_endpoints(loaded.config, file), *look(loaded.config, file)])


def beside(loaded: Loaded, more: Sequence[Problem]) -> Loaded:
    """C{loaded} with more problems."""
    failed = any(problem.severity == "error" for problem in more)
    return replace(loaded, config=None if failed else loaded.config, problems=(*loaded.problems, *more))


def look(config: Config, file: str) -> Iterator[Problem]:
    """What would keep C{config} from being started on this machine, by this user, in this folder."""
    path = config.access_log.path
    if path and path != "-":
        yield from look_at("access_log.path", path, file)
    for key, address in addresses(config):
        kind, _, rest = address.partition(":")
        place = socket_of(address)
        if kind == "unix":
            yield from look_at(key, endpoint_arguments(rest, ENDPOINTS[kind].arguments)["address"], file, a_socket=True)
        elif place is not None and not place.ip.is_unspecified and not is_local(str(place.ip)):
            yield Problem("error", file, None, key, f"{place.ip} is no address of this machine")


def addresses(config: Config) -> Iterator[tuple[str, str]]:
    """Where the proxy is to listen, each with its key."""
    if config.admin.address:
        yield "admin.address", config.admin.address
    for index, one in enumerate(config.listen):
        yield f"listen[{index}].address", one.address


def look_at(key: str, path: str, file: str, a_socket: bool = False) -> Iterator[Problem]:
    """Whether a file can be written at C{path}."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        yield Problem("error", file, None, key, f"{folder} is no folder", "make it, or name another")
    elif os.path.isdir(path):
        yield Problem("error", file, None, key, f"{path} is a folder", "name a file in it")
    elif not os.access(folder if a_socket or not os.path.exists(path) else path, os.W_OK):
        yield Problem("warning", file, None, key, f"{path} cannot be written by this user", "check as the proxy's user")
