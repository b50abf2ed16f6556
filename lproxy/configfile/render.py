# -*- test-case-name: tests.configfile.test_render -*-
"""
The effective configuration as a file would have it, for people and for JSON.

Loading what is rendered gives the same configuration.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from lproxy.config import Config, Direction
from lproxy.configfile.health import write_health
from lproxy.configfile.kinds import settings
from lproxy.configfile.load import plain_sections
from lproxy.configfile.pauses import pause
from lproxy.configfile.problem import show
from lproxy.configfile.profile.read import write_profile
from lproxy.errors import one_line

#: plugins' values are anything; nobody reads deeper
MAX_DEPTH = 8


def render(config: Config) -> dict[str, Any]:
    """C{config} as JSON-able tables, durations and sizes as text; None where a file would say nothing."""
    return {
        **render_table(config),
        **{name: render_table(getattr(config, name)) for name in plain_sections()},
        "listen": [
            # a plugin's value never hides a setting of lproxy's own
            {**{name: render_value(value) for name, value in listen.plugins.items()}, **render_table(listen)}
            for listen in config.listen
        ],
        "services": {
            name: {**render_table(service), **write_health(service.health), **write_profile(service.profile)}
            for name, service in config.services.items()
        },
        "timeouts": {direction: render_table(config.timeouts(direction)) for direction in typing.get_args(Direction)},
    }


def render_table(values: Any) -> dict[str, Any]:
    """One dataclass of L{lproxy.config}."""
    pause()
    kind: type = type(values)
    table = {}
    for key, setting in settings(kind).items():
        value = getattr(values, key)
        write = setting.kind.write
        table[key] = [write(element) for element in value] if setting.kind.many else write(value)
    return table


def render_value(value: Any, depth: int = 0) -> Any:
    """What a plugin made of its table; fields kept out of its repr, such as passwords, are kept out here."""
    if isinstance(value, (int, float)) and not -(2**63) <= value < 2**63:
        return show(value)  # JSON has no infinity, and Python writes no number of thousands of digits
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if depth < MAX_DEPTH:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            shown = [field.name for field in dataclasses.fields(value) if field.repr]
            return {name: render_value(getattr(value, name), depth + 1) for name in shown}
        if isinstance(value, Mapping):
            return {str(key): render_value(element, depth + 1) for key, element in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [render_value(element, depth + 1) for element in value]
    try:
        return one_line(repr(value), 200)
    except Exception:  # a bug of a plugin must not hide the rest
        return type(value).__name__
