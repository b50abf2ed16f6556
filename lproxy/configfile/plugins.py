# -*- test-case-name: tests.configfile.test_plugins -*-
"""
Have plugins check their own tables: C{[NAME]} for all listeners, C{[listen.NAME]} over it for one.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from lproxy.config import Config, Listen
from lproxy.configfile.demands import refusals
from lproxy.configfile.own import messages_of
from lproxy.configfile.problem import Path, Report, show
from lproxy.configfile.table import Table, as_table

#: checks a plugin's table and returns a value for its factory, or raises ValueError
Configure = Callable[[dict[str, Any]], object]

#: keys that are lproxy's own wherever a plugin's table may stand
OWN_KEYS = frozenset(field.name for kind in (Config, Listen) for field in fields(kind)) | {"timeouts"}


@dataclass(slots=True)
class Plugins:
    """The plugins' part of one file."""

    configure: Mapping[str, Configure]
    report: Report
    tables: dict[str, Table] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)
    #: what each plugin has said of the file's own table, not to be said again for each listener
    said: set[tuple[str, str]] = field(default_factory=set)

    def names(self) -> list[str]:
        """Those that can have a table."""
        return [name for name in self.configure if name not in OWN_KEYS]

    def read(self, top: Table) -> None:
        """Configure every plugin once, with its table in the file or an empty one."""
        for name in self.configure:
            if name in OWN_KEYS:
                self.report.warning((), f"the plugin {show(name)} has the name of a setting and so no table of its own")
            elif name in top:
                self.tables[name] = as_table(top[name], (name,), self.report, f"[{name}]")
            self._call(name, self.tables.get(name, {}), (name,))

    def listener(self, table: Table, path: Path) -> Mapping[str, object]:
        """The values of every plugin for the one listener that C{table} describes."""
        values = dict(self.values)
        for name in self.names():
            if name in table:
                here = (*path, name)
                own = as_table(table[name], here, self.report, f"[listen.{name}]")
                values[name] = self._call(name, {**self.tables.get(name, {}), **own}, here)
        return MappingProxyType(values)

    def check(self, listener: Listen, spoken: Collection[str], path: Path) -> None:
        """Ask the plugins of those protocols that C{listener} may speak whether it will do."""
        for name, value in listener.plugins.items():
            if name in spoken:
                for key, wrong in refusals(value, listener):
                    self.report.error((*path, key) if key else path, wrong)

    def _call(self, name: str, table: Table, path: Path) -> object:
        value = None
        try:
            # a copy: a plugin may change its table
            value = self.configure[name](copy.deepcopy(table))
        except ValueError as error:
            for message in messages_of(error):
                self._refused(name, table, path, message or "refused by the plugin")
        except (Exception, SystemExit) as error:
            # one broken plugin must not hide what else is wrong with the file
            wrong = f"the plugin {show(name)} failed: {type(error).__name__}: {show_error(error)}"
            self._add(name, path, wrong, "this is a bug in the plugin")
        if path == (name,):
            self.values[name] = value
        return value

    def _refused(self, name: str, table: Table, path: Path, message: str) -> None:
        # the message is to start with the key; then its line can be found
        key, colon, rest = message.partition(":")
        element = re.fullmatch(r"(.+)\[([0-9]+)\]", key)
        if colon and key in table and rest.strip():
            path, message = (*path, key), rest.strip()
        elif colon and element and element[1] in table:
            path, message = (*path, element[1], int(element[2])), rest.strip()
        self._add(name, path, message, "")

    def _add(self, name: str, path: Path, wrong: str, right: str) -> None:
        if path[0] == name:
            self.said.add((name, wrong))
        elif (name, wrong) in self.said:
            return
        self.report.error(path, wrong, right)


def show_error(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # its str() raises
        return "?"
