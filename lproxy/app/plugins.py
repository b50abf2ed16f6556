# -*- test-case-name: tests.app.test_plugins -*-
"""
Find the protocols there are.

The places are those of Twisted's plugin system (C{lproxy/plugins/} of every distribution). Its cache is left alone:
it would have to be written somewhere, and would hide why a plugin is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from twisted.python.modules import getModule

import lproxy.plugins  # loaded, it has the places of every distribution
from lproxy.errors import one_line
from lproxy.interfaces import IProtocolPlugin


@dataclass(frozen=True, slots=True)
class Found:
    """
    One module of C{lproxy.plugins}, or one provider in it.

    @ivar plugin: the provider, or C{None} for a module that is broken
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
    except (Exception, SystemExit) as e:
        yield Found(path, short, error=one_line(f"{type(e).__name__}: {e}"))
        return
    for value in vars(loaded).values():
        if isinstance(value, type) or not IProtocolPlugin.providedBy(value):
            continue
        try:
            yield Found(path, str(value.name), str(value.version), value)
        except Exception as e:
            yield Found(path, short, error=one_line(f"{type(e).__name__}: {e}"))


def configures(found: list[Found]) -> dict[str, Callable[[dict[str, Any]], object]]:
    """What checks each protocol's tables, by name."""
    return {one.name: one.plugin.configure for one in found if one.plugin is not None}
