# -*- test-case-name: tests.configfile.profile.test_shape -*-
"""
Shapes of values that are more than a line: tables, arrays of them, tables of names.

A shape reads what C{tomllib} gives, and writes what JSON and TOML both can say. What is wrong with the value as a whole
it raises (L{Wrong}); what is wrong further in goes to the report, with its own key path.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from lproxy.configfile.kinds import Kind
from lproxy.configfile.problem import Path, Report, Wrong, show
from lproxy.configfile.table import Table, refuse_variables, unknown
from lproxy.configfile.units import type_name

#: what is read of something that is wrong: it is reported, and there is nothing to go on with
NOTHING: Final = object()


class Shape(Protocol):
    """One shape of values."""

    @property
    def name(self) -> str:
        """What the docs call it."""

    def read(self, value: Any, path: Path, report: Report, /) -> Any:
        """The value, or L{NOTHING} where it is reported; raises L{Wrong}."""

    def write(self, value: Any, /) -> Any:
        """The reverse."""


def attempt(shape: Shape, value: Any, path: Path, report: Report) -> Any:
    """What C{shape} reads, or L{NOTHING}; what is wrong is reported."""
    try:
        refuse_variables(value)
        return shape.read(value, path, report)
    except Wrong as error:
        report.error(path, error.wrong, error.right)
        return NOTHING


@dataclass(frozen=True, slots=True)
class One:
    """A single value of a kind that other settings have, too."""

    kind: Kind
    #: what it must be besides
    check: Callable[[Any], Any] | None = None

    @property
    def name(self) -> str:
        return self.kind.name

    def read(self, value: Any, path: Path, report: Report) -> Any:
        checked = self.kind.read(value)
        return checked if self.check is None else self.check(checked)

    def write(self, value: Any) -> Any:
        return None if value is None else self.kind.write(value)


@dataclass(frozen=True, slots=True)
class Many:
    """An array, which has something in it; C{lone}: an element may stand there by itself."""

    of: Shape
    lone: bool = False
    #: whether the same may be in it twice
    repeated: bool = False

    @property
    def name(self) -> str:
        array = f"array of {self.of.name}{'s' if self.of.name.isalpha() else ''}"
        return f"{self.of.name}, or {array}" if self.lone else array

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, list):
            if self.lone:
                return (self.of.read(value, path, report),)
            raise Wrong(f"must be an array, not {type_name(value)}", f"write it in brackets: [{show(value)}]")
        if not value:
            raise Wrong("is empty", "leave it out")
        found: list[Any] = []
        for index, element in enumerate(value):
            one = attempt(self.of, element, (*path, index), report)
            if one is NOTHING:
                continue
            if not self.repeated and one in found:
                report.error((*path, index), f"{show(element)} is given twice")
            found.append(one)
        return tuple(found)

    def write(self, value: Any) -> Any:
        return [self.of.write(one) for one in value] or None


@dataclass(frozen=True, slots=True)
class Names:
    """A table of names, such as of header fields, and what each has: as pairs."""

    of: Shape
    #: what is wrong with a name, or nothing
    refuse: Callable[[str], str]

    @property
    def name(self) -> str:
        return f"table of names, each with a {self.of.name}"

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, dict):
            raise Wrong(f"must be a table, not {type_name(value)}", 'write { name = "value" }')
        found: dict[str, Any] = {}
        for name, element in value.items():
            here = (*path, name)
            if wrong := self.refuse(name):
                report.error(here, wrong)
            elif name.lower() in found:
                report.error(here, "is given twice", "names are the same in any case")
            elif (one := attempt(self.of, element, here, report)) is not NOTHING:
                found[name.lower()] = one
        return tuple(found.items())

    def write(self, value: Any) -> Any:
        return {name: self.of.write(one) for name, one in value} or None


@dataclass(frozen=True, slots=True)
class Key:
    """
    One key of a table.

    @ivar attribute: of the value that the table becomes; empty: it has the key's name
    """

    key: str
    shape: Shape
    help: str
    attribute: str = ""
    required: bool = False

    @property
    def field(self) -> str:
        """The attribute's name."""
        return self.attribute or self.key


@dataclass(frozen=True)
class Keys:
    """
    A table that becomes a value of C{kind}, whose defaults are those of the keys.

    @ivar called: for docs: what has such a table
    @ivar settle: given what was read by attribute, makes it whole or raises L{Wrong}
    @ivar bare: whether C{true} stands for a table without keys
    @ivar lone: the key whose value may stand in the table's place
    @ivar fixed: what else the value has, which no key says
    """

    kind: type
    called: str
    keys: tuple[Key, ...]
    settle: Callable[[dict[str, Any]], None] | None = None
    bare: bool = False
    lone: str = ""
    fixed: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        return "table, or true" if self.bare else "table"

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if value is True and self.bare:
            value = {}
        if self.lone and isinstance(value, str):
            value = {self.lone: value}
        if not isinstance(value, dict):
            example = next((key for key in self.keys if key.required), self.keys[0])
            raise Wrong(f"must be a table, not {type_name(value)}", f"write {{ {example.key} = ... }}")
        found = self.values(value, path, report)
        if any(key.field not in found for key in self.keys if key.required):
            return NOTHING
        if self.settle is not None and len(found) == len(value):
            # else what is missing may be what is wrong
            self.settle(found)
        return report.shared(self.kind(**dict(self.fixed), **found))

    def values(self, table: Table, path: Path, report: Report) -> dict[str, Any]:
        """What C{table} has, by attribute; what is wrong with it is reported."""
        known = {key.key: key for key in self.keys}
        found: dict[str, Any] = {}
        for name, value in table.items():
            here = (*path, name)
            key = known.get(name)
            if key is None:
                unknown(name, here, report, known, HINTED)
            elif (one := attempt(key.shape, value, here, report)) is not NOTHING:
                found[key.field] = one
        for key in self.keys:
            if key.required and key.key not in table:
                report.error((*path, key.key), "is missing", key.help)
        return found

    def write(self, value: Any) -> Any:
        if value is None:
            return None
        return self.written(value)

    def written(self, value: Any) -> Table:
        """What is not as it is by default."""
        table: Table = {}
        for key in self.keys:
            own = getattr(value, key.field)
            if key.required or own != self.default(key):
                table[key.key] = key.shape.write(own)
        return table

    def default(self, key: Key) -> Any:
        """Of C{key}."""
        (field,) = (one for one in dataclasses.fields(self.kind) if one.name == key.field)
        return None if field.default is dataclasses.MISSING else field.default


#: makes L{unknown} ask for hints, of keys that other proxies have; that it belongs elsewhere is said there as well
HINTED: Final = {"endpoints": '[services."NAME"]'}
