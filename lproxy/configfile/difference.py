# -*- test-case-name: tests.configfile.test_difference -*-
"""
What is different between two configurations, as they are rendered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lproxy.configfile.problem import Path, spell
from lproxy.configfile.profile.read import ROUTES

#: how lines end of what a reload does not change
RESTART: Final = "takes a restart"
#: what is only read when a process starts: settings, and whole tables
LASTING: Final = ("admin.address", "metrics", "workers")


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """
    A line for each setting that is not the same, in the order of C{after}; those that are gone come last. Of what a
    reload does not change, that is said.

    @param before: a configuration as L{lproxy.configfile.render} gives it, and C{after} another
    """
    yield from _tables((), _named(before), _named(after))


def _named(rendered: Mapping[str, Any]) -> dict[str, Any]:
    """Listeners by their name, as services are: where they stand in the file means nothing."""
    listeners = {listen["name"]: listen for listen in rendered.get("listen", ())}
    return {**{key: value for key, value in rendered.items() if key != "live"}, "listen": listeners}


def _tables(path: Path, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*after, *before)):
        own = (*path, key)
        name = spell(own)
        one, other = before.get(key), after.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _tables(own, one, other)
            if key == ROUTES:
                yield from _order(name, one, other)
        elif one == other:
            continue
        elif key not in after:
            yield f"- {name}"
        elif key not in before:
            yield f"+ {name}{_short(other)}"
        else:
            restart = f" ({RESTART})" if name in LASTING or own[0] in LASTING else ""
            yield f"~ {name}: {json.dumps(one)} -> {json.dumps(other)}{restart}"


def _order(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Routes are asked one after the other: where they stand means something."""
    one, other = [key for key in before if key in after], [key for key in after if key in before]
    if one != other:
        yield f"~ {name}, in another order: {json.dumps(one)} -> {json.dumps(other)}"


def _short(value: Any) -> str:
    """Of a whole table, what it is known by: where it listens, or who serves it."""
    if not isinstance(value, dict):
        return f": {json.dumps(value)}"
    known = value.get("address") or value.get("endpoints")
    return f": {json.dumps(known)}" if known else ""
