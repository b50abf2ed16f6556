# -*- test-case-name: tests.app.test_plugins -*-
"""
Find the plugins.

The places are those of Twisted's plugin system (C{lproxy/plugins/} of every distribution). Its cache is not
used: it would have to be written somewhere, and would hide why a plugin is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from twisted.python.modules import getModule

import lproxy.plugins  # loaded, it has the places of every distribution
from lproxy.errors import one_line
from lproxy.protocols.plugin import IProtocolPlugin
from lproxy.transport.detect import checked

#: what a name must be, as it stands in configuration files and metric labels
NAME = re.compile(r"[a-z0-9_-]{1,63}")

#: what clients may begin with: a detector answers to anything
OPENINGS = (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x00\x00\x00\x08", b"\xff\xff", b"a\r\n")

#: what every plugin has, marked as one or not
PARTS = frozenset(IProtocolPlugin.names())

#: what importing or inspecting a plugin may raise: one that calls sys.exit() must not end the process
BROKEN = (Exception, SystemExit)


@dataclass(frozen=True, slots=True)
class Found:
    """
    One module of C{lproxy.plugins}, or one provider in it.

    @ivar plugin: the provider, or C{None} where it is broken
    @ivar error: what is wrong with it
    """

    file: str
    name: str
    version: str = ""
    plugin: Any = None
    error: str = ""

    def describe(self) -> dict[str, str]:
        """A row for C{lproxy plugins} and C{/plugins}."""
        row = {"name": self.name, "version": self.version, "file": self.file}
        return {**row, "error": self.error} if self.error else row


def packages(found: list[Found]) -> dict[str, str]:
    """The names of third parties' plugins, by the top-level package that their code is in."""
    tops = {type(one.plugin).__module__.partition(".")[0]: one.name for one in found if one.plugin is not None}
    tops.pop("lproxy", None)
    return tops


def find() -> list[Found]:
    """Every protocol, by name, and what is broken. Of two with one name the first counts, built-in ones before all."""
    found: list[Found] = []
    names: set[str] = set()
    for module in sorted(getModule(lproxy.plugins.__name__).iterModules(), key=_order):
        path = module.filePath.path
        for one in _look(module, path):
            if one.plugin is not None and one.name in names:
                found.append(Found(path, one.name, one.version, error="another plugin has this name already"))
            else:
                found.append(one)
                if one.plugin is not None:
                    names.add(one.name)
    return found


def _order(module: Any) -> tuple[bool, str]:
    return not module.name.startswith("lproxy.plugins.lproxy_"), module.name


def _look(module: Any, path: str) -> Iterator[Found]:
    short = module.name.rpartition(".")[2]
    try:
        loaded = module.load()
    except BROKEN as e:
        yield Found(path, short, error=_told(e))
        return
    seen: list[Any] = []
    kinds: list[type] = []
    unmarked: list[type] = []
    for value in list(vars(loaded).values()):
        try:
            if isinstance(value, type):
                if IProtocolPlugin.implementedBy(value):
                    kinds.append(value)
            elif IProtocolPlugin.providedBy(value):
                if not any(value is one for one in seen):
                    seen.append(value)
            elif set(dir(value)) >= PARTS:
                unmarked.append(type(value))
        except BROKEN:
            pass  # an object that is no plugin and raises when it is inspected
    for provider in seen:
        yield _judge(provider, path, short)
    for kind in unmarked:
        error = f"it is not marked as a plugin: write @implementer(IProtocolPlugin) above class {kind.__name__}"
        yield Found(path, short, error=error)
    if kinds and not seen:
        yield Found(path, short, error=f"has the class {kinds[0].__name__} but no instance of it: nothing to use")


def _judge(plugin: Any, path: str, short: str) -> Found:
    """Check C{plugin} against the interface."""
    name, version = short, ""
    try:
        name = _name(plugin.name)
        version = str(plugin.version)
        detector = plugin.detector
        if detector is not None:
            _callable("detector", detector)
        _callable("configure", plugin.configure)
        _callable("factory", plugin.factory)
    except BROKEN as e:
        return Found(path, name, version, error=_told(e))
    return Found(path, name, version, plugin)


def _name(name: Any) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"name is {name!r}; it must be lower case letters, digits, - and _")
    return name


def _callable(what: str, value: Any) -> None:
    if not callable(value):
        raise TypeError(f"{what} is {value!r}, which cannot be called")


def _told(error: BaseException) -> str:
    """Class and text of C{error} on one line; the class alone if its str() raises."""
    try:
        return one_line(f"{type(error).__name__}: {error}")
    except Exception:
        return type(error).__name__


def tried(found: list[Found]) -> list[Found]:
    """
    C{found}, with an error for each plugin that fails on an empty table, or whose detector fails on L{OPENINGS}.

    Such a plugin would keep every configuration file from being read, also of those who do not use it.
    """
    return [one if one.plugin is None else _try(one) for one in found]


def _try(one: Found) -> Found:
    what = "configure({})"
    try:
        try:
            one.plugin.configure({})
        except ValueError:
            pass  # it needs settings
        if one.plugin.detector is not None:
            for opening in OPENINGS:
                what = f"detector({opening!r})"
                checked(one.plugin.detector(opening))
    except BROKEN as e:
        return Found(one.file, one.name, one.version, error=f"{what} raised {_told(e)}")
    return one


def configures(found: list[Found]) -> dict[str, Callable[[dict[str, Any]], object]]:
    """The C{configure} of each plugin, by name."""
    return {one.name: one.plugin.configure for one in found if one.plugin is not None}
