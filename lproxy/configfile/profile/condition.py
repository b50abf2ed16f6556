# -*- test-case-name: tests.configfile.profile.test_condition -*-
"""
What a request, or an answer, must be: C{match = { method = "GET", path_prefix = "/books", query = { q = true } }}.

All keys of a table have to fit; of the values in an array, one. C{all}, C{any} and C{not} have tables of the same kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lproxy.configfile.kinds import read_text
from lproxy.configfile.problem import Path as KeyPath
from lproxy.configfile.problem import Report, Wrong, show
from lproxy.configfile.profile.shape import HINTED, NOTHING, attempt
from lproxy.configfile.table import unknown
from lproxy.configfile.units import type_name
from lproxy.profile import All, AnyOf, Condition, Header, Kind, Method, Not, Path, Query, Statuses
from lproxy.profiles.patterns import BadPattern, refuse

#: deeper than anybody means; what asks of a request is a call for each level
MAX_DEPTH = 16
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
RANGE = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?|([1-5])xx")
STATUS = 'write a status such as 503, "500-599" or "5xx"'
#: of a query: has it, whatever its value
ANYTHING = "(?s).*"

Leaf = Callable[[Any], Condition]


def pattern(text: str) -> str:
    """C{text}, if it is a regular expression that can be matched in linear time."""
    try:
        refuse(text)
    except BadPattern as error:
        raise Wrong(f"{show(text)} {error}", "see docs/profiles.rst, Patterns") from error
    return text


def token(text: str) -> str:
    """C{text}, if it may be a method's or a field's name (RFC 9110, 5.6.2)."""
    if not TOKEN.fullmatch(text):
        raise Wrong(f"{show(text)} is no such name", "names are letters, digits and -")
    return text


def method(value: Any) -> Condition:
    return Method(token(read_text(value)).upper())


def rooted(value: Any) -> str:
    text = read_text(value)
    if not text.startswith("/"):
        raise Wrong(f"{show(text)} does not begin with /", f"write {show('/' + text)}")
    if "?" in text:
        raise Wrong(f"{show(text)} has a query, which a path does not", "parameters are query = { name = ... }")
    if "#" in text:
        raise Wrong(f"{show(text)} has a fragment, which nobody is sent", "write %23 where # is part of the path")
    return text


def exact(value: Any) -> Condition:
    return Path(rooted(value))


def prefix(value: Any) -> Condition:
    return Path(rooted(value), "prefix")


def expression(value: Any) -> Condition:
    return Path(pattern(read_text(value)), "regex")


def status_range(value: Any) -> tuple[int, int]:
    """C{503}, C{"500-599"} or C{"5xx"}: the first and the last status."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Wrong(f"must be a status, not {type_name(value)}", STATUS)
    found = RANGE.fullmatch(value)
    if found is None:
        raise Wrong(f"{show(value)} is no status", STATUS)
    if found[3]:
        return int(found[3]) * 100, int(found[3]) * 100 + 99
    first, last = int(found[1]), int(found[2] or found[1])
    if first > last:
        raise Wrong(f"{show(value)} has no status in it", f"write {show(f'{last}-{first}')}")
    return first, last


def written_range(found: tuple[int, int]) -> int | str:
    """The reverse."""
    first, last = found
    return first if first == last else f"{first}-{last}"


def statuses(value: Any) -> Condition:
    return Statuses(*status_range(value))


#: keys of a request's condition, with what one value of theirs is
REQUEST: dict[str, Leaf] = {"method": method, "path": exact, "path_prefix": prefix, "path_regex": expression}
ANSWER: dict[str, Leaf] = {"status": statuses}
NAMED = ("headers", "query")
NESTED = ("all", "any", "not")


@dataclass(frozen=True)
class Match:
    """The shape of such tables."""

    leaves: dict[str, Leaf]
    named: tuple[str, ...] = NAMED

    @property
    def name(self) -> str:
        return "table, or array of tables"

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self.leaves, *self.named, *NESTED)

    def read(self, value: Any, path: KeyPath, report: Report, depth: int = 0) -> Any:
        if depth > MAX_DEPTH:
            raise Wrong(f"is nested more than {MAX_DEPTH} deep")
        if isinstance(value, list):
            found = self._each(value, path, report, depth)
            return found if found is NOTHING else AnyOf(found)
        if not isinstance(value, dict):
            example = '{ path_prefix = "/books" }' if "path" in self.leaves else '{ status = "5xx" }'
            raise Wrong(f"must be a table, not {type_name(value)}", f"write {example}")
        if not value:
            raise Wrong("is empty", "leave it out: every request is meant then")
        parts: list[Any] = []
        for key, inner in value.items():
            part = self._key(key, inner, (*path, key), report, depth)
            # several fields are as many conditions
            parts += part.of if key in self.named and isinstance(part, All) else (part,)
        if NOTHING in parts:
            return NOTHING
        return report.shared(parts[0] if len(parts) == 1 else All(tuple(parts)))

    def _key(self, key: str, value: Any, path: KeyPath, report: Report, depth: int) -> Any:
        if key not in self.keys:
            unknown(key, path, report, self.keys, HINTED)
            return NOTHING
        try:
            if key in self.leaves:
                return several(value, path, report, self.leaves[key])
            if key in self.named:
                return self._named(key, value, path, report)
            if key == "not":
                found = self.read(value, path, report, depth + 1)
                return found if found is NOTHING else Not(found)
            found = self._each(value, path, report, depth)
            return found if found is NOTHING else AnyOf(found) if key == "any" else All(found)
        except Wrong as error:
            report.error(path, error.wrong, error.right)
            return NOTHING

    def _each(self, value: Any, path: KeyPath, report: Report, depth: int) -> Any:
        if not isinstance(value, list):
            raise Wrong(f"must be an array of tables, not {type_name(value)}", "write [{ ... }, { ... }]")
        if not value:
            raise Wrong("is empty", "leave it out")
        found = []
        for index, one in enumerate(value):
            try:
                found.append(self.read(one, (*path, index), report, depth + 1))
            except Wrong as error:
                report.error((*path, index), error.wrong, error.right)
                found.append(NOTHING)
        return NOTHING if NOTHING in found else tuple(found)

    def _named(self, key: str, value: Any, path: KeyPath, report: Report) -> Any:
        if not isinstance(value, dict) or not value:
            raise Wrong("must be a table of names", 'write { name = "value" }, or { name = true } for any value')
        of = header if key == "headers" else parameter
        parts = []
        for name, inner in value.items():
            here = (*path, name)
            try:
                parts.append(several(inner, here, report, lambda one, name=name: of(name, one)))  # type: ignore[misc]
            except Wrong as error:
                report.error(here, error.wrong, error.right)
                parts.append(NOTHING)
        if NOTHING in parts:
            return NOTHING
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def write(self, value: Any) -> Any:
        return written(value)


def several(value: Any, path: KeyPath, report: Report, leaf: Leaf) -> Any:
    """One value, or an array of which one has to fit."""
    if not isinstance(value, list):
        return report.shared(leaf(value))
    if not value:
        raise Wrong("is empty", "leave it out")
    found = [attempt(_Leaf(leaf), one, (*path, index), report) for index, one in enumerate(value)]
    if NOTHING in found:
        return NOTHING
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


@dataclass(frozen=True)
class _Leaf:
    """A value alone, as a shape."""

    leaf: Leaf
    name: str = ""

    def read(self, value: Any, path: KeyPath, report: Report) -> Any:
        return self.leaf(value)

    def write(self, value: Any) -> Any:
        return value


def comparison(value: Any) -> tuple[str | None, Kind]:
    """What a field or parameter is compared with, and how; C{None}: any value."""
    if value is True:
        return None, "exact"
    if isinstance(value, str):
        return read_text(value), "exact"
    if isinstance(value, dict) and value.keys() == {"regex"}:
        return pattern(read_text(value["regex"])), "regex"
    raise Wrong(
        f"{show(value)} is nothing to compare with",
        'write "value", true (any value), false (not there) or { regex = "..." }',
    )


def header(name: str, value: Any) -> Condition:
    """A field of a request."""
    name = token(name).lower()
    if value is False:
        return Not(Header(name))
    return Header(name, *comparison(value))


def parameter(name: str, value: Any) -> Condition:
    """A parameter of a request's query."""
    if value is False:
        return Not(Query(name, ANYTHING, "regex"))
    text, kind = comparison(value)
    return Query(name, ANYTHING, "regex") if text is None else Query(name, text, kind)


def written(condition: Condition) -> dict[str, Any]:
    """A table that says C{condition}."""
    match condition:
        case Method(name):
            return {"method": name}
        case Path(value, kind):
            return {"path" if kind == "exact" else f"path_{kind}": value}
        case Header(name, value, kind):
            return {"headers": {name: True if value is None else _compared(value, kind)}}
        case Query(name, value, kind):
            return {"query": {name: _compared(value, kind)}}
        case Statuses(first, last):
            return {"status": written_range((first, last))}
        case All(of):
            return {"all": [written(one) for one in of]}
        case AnyOf(of):
            return {"any": [written(one) for one in of]}
        case Not(of=inner):
            return {"not": written(inner)}


def _compared(value: str, kind: Kind) -> Any:
    return value if kind == "exact" else {kind: value}
