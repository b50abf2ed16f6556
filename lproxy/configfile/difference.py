# -*- test-case-name: tests.configfile.test_difference -*-
"""
What is different between two configurations, as they are rendered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

#: what is only read when a process starts: settings, and whole tables
LASTING: Final = ("admin.address", "metrics", "workers")


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """
    A line for each setting that is not the same, in the order of C{after}; those that are gone come last. Of what a
    reload does not change, that is said.

    @param before: a configuration as L{lproxy.configfile.render} gives it, and C{after} another
    """
    yield from _tables("", _named(before), _named(after))


def _named(rendered: Mapping[str, Any]) -> dict[str, Any]:
    """Listeners by their name, as services are: where they stand in the file means nothing."""
    listeners = {listen["name"]: listen for listen in rendered.get("listen", ())}
    return {**{key: value for key, value in rendered.items() if key != "live"}, "listen": listeners}


def _tables(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*after, *before)):
        name = f"{path}.{key}" if path else key
        one, other = before.get(key), after.get(key)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _tables(name, one, other)
        elif key not in after:
            yield f"- {name}"
        elif key not in before:
            yield f"+ {name}{_short(other)}"
        else:
            lasting = name in LASTING or name.partition(".")[0] in LASTING
            restart = " (takes a restart)" if lasting else ""
            yield f"~ {name}: {json.dumps(one)} -> {json.dumps(other)}{restart}"


def _short(value: Any) -> str:
    """Of a whole table, what it is known by: where it listens, or who serves it."""
    if not isinstance(value, dict):
        return f": {json.dumps(value)}"
    known = value.get("address") or value.get("endpoints")
    return f": {json.dumps(known)}" if known else ""
