# -*- test-case-name: tests.configfile.test_table -*-
"""
Read one table against the settings it may have, every problem in one pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lproxy.configfile.hints import as_main, hint
from lproxy.configfile.kinds import Setting, settings
from lproxy.configfile.pauses import pause
from lproxy.configfile.problem import Path, Report, Wrong, did_you_mean, nearest, show, spell
from lproxy.configfile.units import type_name

Table = dict[str, Any]

#: a shell's, or a template's
VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]{0,60}\}|\{\{ *[A-Za-z_.]{1,60} *\}\}")

#: what a setting must be besides its kind; returns the value or raises L{Wrong}
Check = Callable[[Any], Any]


def read_table(
    kind: type,
    table: Table,
    path: Path,
    report: Report,
    also: Iterable[str] = (),
    checks: Mapping[str, Check] | None = None,
    elsewhere: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """
    The values that C{table} sets, checked; what is wrong goes to C{report} and is left out.

    @param kind: the dataclass in L{lproxy.config} whose fields are the keys
    @param also: further keys, which the caller reads
    @param checks: for some keys, what else their value (or each element of it) must be
    @param elsewhere: the tables that keys of other tables belong in, to be suggested; none for a plugin's table
    """
    pause()
    known = settings(kind)
    values = {}
    for key, value in table.items():
        if key in known:
            values.update(read_setting(known[key], value, (*path, key), report, (checks or {}).get(key)))
        elif key not in also:
            unknown(key, (*path, key), report, {*known, *also}, elsewhere)
    for setting in known.values():
        if setting.required and table.get(setting.key, "") == "":
            here = (*path, setting.key)
            report.error(here, "is empty" if setting.key in table else "is missing", setting.help)
    return values


def read_setting(setting: Setting, value: Any, path: Path, report: Report, check: Check | None) -> dict[str, Any]:
    """The setting's key and checked value, or nothing."""

    def read(value: Any) -> Any:
        refuse_variables(value)
        checked = setting.kind.read(value)
        return checked if check is None else check(checked)

    try:
        if not setting.kind.many:
            return {setting.key: read(value)}
        if not isinstance(value, list):
            raise Wrong(f"must be an array, not {type_name(value)}", f"write it in brackets: [{show(value)}]")
    except Wrong as error:
        report.error(path, error.wrong, error.right)
        return {}
    elements: dict[Any, Path] = {}  # in order, without duplicates
    for index, element in enumerate(value):
        here = (*path, index)
        try:
            checked = read(element)
            if checked == "":
                raise Wrong("is empty")
            if checked in elements:
                raise Wrong(
                    f"{show(setting.kind.write(checked))} is given twice", f"{spell(elements[checked])} is the same"
                )
            elements[checked] = here
        except Wrong as error:
            report.error(here, error.wrong, error.right)
    return {setting.key: tuple(elements)}


def refuse_variables(value: object) -> None:
    """A file has no variables: C{"${PORT}"} would be taken as it stands, wherever that is allowed."""
    if isinstance(value, str) and (variable := VARIABLE.search(value)):
        raise Wrong(
            f"{show(value)}: variables such as {variable[0]} are not replaced",
            "write the value, or fill it in before: envsubst < FILE",
        )


def unknown(
    key: str, path: Path, report: Report, known: Iterable[str], elsewhere: Mapping[str, str] | None, noun: str = "key"
) -> None:
    """Report a key that nobody knows, with the likeliest reason."""
    right = did_you_mean(key, known)
    elsewhere = elsewhere or {}
    if elsewhere and (told := hint(path)):
        right = told
    elif noun == "key" and key in elsewhere:
        right = f"it belongs in {elsewhere[key]}"
    elif not right and noun == "key" and (near := nearest(key, elsewhere)):
        right = f"did you mean {show(near)} in {elsewhere[near]}?"
    elif not right and noun == "table":
        right = f"tables here are {', '.join(sorted(known))}; the plugin {show(key)} is not installed"
    report.error(path, f"unknown {noun}", right or f"keys here are {', '.join(sorted(known))}")


def apart(value: Any) -> Any:
    """
    C{value}, with nothing in it that belongs to the file's tree: a text that lives on would keep the memory around it
    from being given back, and of a large file that is thirty times what is made of it.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
    if isinstance(value, dict):
        return {apart(key): apart(one) for key, one in value.items()}
    return [apart(one) for one in value] if isinstance(value, list) else value


def is_table(value: object) -> bool:
    """Whether C{value} is a table, or an array of them."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(element, dict) for element in value)
    return isinstance(value, dict)


def as_table(value: object, path: Path, report: Report, header: str) -> Table:
    """C{value} if it is a table, else a problem and an empty one."""
    if isinstance(value, dict):
        return value
    if is_table(value):
        report.error(path, "must be one table, not an array of them", f"write {header} once, in single brackets")
    else:
        keys = as_main(path, value) or "its keys"
        report.error(path, f"must be a table, not {type_name(value)}", f"write {header}, and below it {keys}")
    return {}
