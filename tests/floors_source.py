# -*- test-case-name: tests.test_floors -*-
"""
The source files of lproxy as the rules of the house see them: what each imports, and which floor it is on.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: module prefix -> (floor, the floor's name); the longest prefix that fits counts
FLOORS = {
    "lproxy": (0, "values"),
    # beside the values that it reads: with a library for YAML, and one for patterns
    "lproxy.profiles": (0, "profiles"),
    "lproxy.stack": (1, "stack"),
    # a process of its own, and how others talk to it: Python's own library alone
    "lproxy.supervise": (1, "supervise"),
    # beside transport: what connections are told of certificates, without one of them
    "lproxy.identity": (2, "identity"),
    "lproxy.transport": (2, "transport"),
    "lproxy.discover": (2, "discover"),
    "lproxy.protocols.outward": (3, "common"),
    "lproxy.protocols.runtime": (3, "common"),
    "lproxy.protocols.connection": (3, "common"),
    "lproxy.protocols.session": (3, "common"),
    "lproxy.protocols.taps": (3, "common"),
    "lproxy.protocols.tracing": (3, "common"),
    "lproxy.protocols.plugin": (3, "common"),
    # what every connection is, if nothing else: other protocols' authors build on its session
    "lproxy.protocols.tcp": (4, "tcp"),
    "lproxy.protocols.tcp.plugin": (6, "protocols"),
    "lproxy.api": (5, "api"),
    "lproxy.protocols": (6, "protocols"),
    "lproxy.metrics": (7, "metrics"),
    # what is counted into, wherever that happens
    "lproxy.metrics.counters": (0, "values"),
    "lproxy.metrics.family": (0, "values"),
    "lproxy.metrics.caps": (0, "values"),
    "lproxy.metrics.series": (0, "values"),
    "lproxy.plugins": (7, "plugins"),
    "lproxy.testing": (7, "testing"),
    "lproxy.admin": (8, "admin"),
    "lproxy.app": (9, "app"),
    # commands for those who run lproxy beside an application; no part of it
    "lproxy.sidecar": (9, "sidecar"),
    # what a request gets, asked of whatever would give it
    "lproxy.explain": (9, "explain"),
    # what profiles say, in words
    "lproxy.explain.words": (0, "values"),
    # a running proxy, watched through its admin server
    "lproxy.terminal": (9, "terminal"),
    "lproxy.tap": (10, "tap"),
    "lproxy.cli": (10, "cli"),
    "lproxy.__main__": (11, "main"),
}

#: the modules of lproxy that lie on the lowest floor; any other at the top level is on no floor
VALUES = (
    *("balancing", "build", "edits", "errors", "target", "verdict"),
    *("config", "configfile", "logformat", "profile", "setting", "stamp", "timeouts"),
)

#: sans-I/O files of a protocol's room, beside all that is in its C{codec} folder
SANS_IO = (
    "detect",
    *("message", "head", "refuse", "chunked", "read", "encode"),
    # of HTTP/2, once there is one
    *("frames", "hpack", "flow"),
)


def under(name: str, *prefixes: str) -> bool:
    """Is C{name} one of C{prefixes}, or within one?"""
    return any(name == p or name.startswith(p + ".") for p in prefixes)


def floor(name: str) -> tuple[int, str]:
    """The floor of a module of lproxy, or of a name in one; what is not lproxy's is on none, below all."""
    return FLOORS[max((p for p in FLOORS if under(name, p)), key=len)] if under(name, "lproxy") else (-1, "")


def room(name: str) -> str:
    """The protocol in whose folder a module of lproxy, or a name in one, is; or nothing."""
    parts = name.split(".")
    return parts[2] if under(name, "lproxy.protocols") and len(parts) > 2 and floor(name)[1] != "common" else ""


@dataclass
class Source:
    """One parsed file. C{module} of a package's C{__init__.py} is the package."""

    module: str
    text: str
    is_package: bool = False

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All of its syntax tree."""
        return list(ast.walk(self.tree))

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """Line and dotted name of everything imported, wherever it stands; C{from a import b} is C{a.b}."""
        return list(self._imports())

    def _imports(self) -> Iterator[tuple[int, str]]:
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    up = node.level - self.is_package
                    parts = self.module.split(".")
                    base = ".".join([*parts[: len(parts) - up], *filter(None, [base])])
                for alias in node.names:
                    yield node.lineno, f"{base}.{alias.name}"

    @property
    def room(self) -> str:
        """The protocol whose folder this is in, or nothing."""
        return room(self.module)

    @property
    def is_sans_io(self) -> bool:
        """Is it a detector or a codec?"""
        inside = self.module.split(".")[3:]
        return bool(inside) and bool(self.room) and ("codec" in inside or inside[-1] in SANS_IO)


@cache
def sources() -> tuple[Source, ...]:
    """Every source file that is installed."""
    return tuple(_sources())


def _sources() -> Iterator[Source]:
    for path in sorted((ROOT / "lproxy").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        yield Source(".".join(parts[:-1] if is_package else parts), path.read_text(), is_package)
