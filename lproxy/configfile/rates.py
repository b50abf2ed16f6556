# -*- test-case-name: tests.configfile.test_rates -*-
"""
How many requests there may be: tables such as C{{ requests = 100, per = "1s", burst = 200, by = "identity" }}, wherever
they stand.
"""

from __future__ import annotations

from typing import Any, get_args

from lproxy.configfile.problem import Wrong, any_of, did_you_mean, show
from lproxy.configfile.units import read_count, read_duration, type_name, write_duration
from lproxy.edits import NAME
from lproxy.profile import By, Rate

EXAMPLE = 'write a table such as { requests = 100, per = "1s", by = "client" }'
KEYS = ("requests", "per", "burst", "by", "header")


def read_rate(value: object) -> Rate:
    """
    A rate, from its table.

    @raise Wrong: it is none; the words begin with the key that is wrong
    """
    if not isinstance(value, dict):
        raise Wrong(f"must be a table, not {type_name(value)}", EXAMPLE)
    for key in value:
        if key not in KEYS:
            raise Wrong(f"{show(key)} is no key of a rate", did_you_mean(key, KEYS) or f"keys are {', '.join(KEYS)}")
    if "requests" not in value:
        raise Wrong("requests is missing", EXAMPLE)
    header = _header(value)
    by = value.get("by", "header" if header else "all")
    if by not in get_args(By):
        raise Wrong(
            f"by must be {any_of(get_args(By))}, not {show(by)}",
            did_you_mean(by, get_args(By)) if isinstance(by, str) else "",
        )
    if header and by != "header":
        raise Wrong(f"header is unused beside by = {show(by)}", 'write by = "header"')
    if by == "header" and not header:
        raise Wrong('by = "header" needs the field\'s name', 'write header = "x-api-key" beside it')
    return Rate(
        _told("requests", read_count, value["requests"]),
        _told("per", read_duration, value["per"]) if "per" in value else 1.0,
        _told("burst", read_count, value["burst"]) if "burst" in value else 0,
        by,
        header,
    )


def write_rate(rate: Rate) -> dict[str, Any]:
    """C{rate} as a file would have it."""
    table: dict[str, Any] = {"requests": rate.requests, "per": write_duration(rate.per), "by": rate.by}
    if rate.burst:
        table["burst"] = rate.burst
    if rate.header:
        table["header"] = rate.header
    return table


def _header(value: dict[str, Any]) -> str:
    if "header" not in value:
        return ""
    header = value["header"]
    if not isinstance(header, str):
        raise Wrong(f"header must be a string, not {type_name(header)}", "write the name of a field, in double quotes")
    if not NAME.fullmatch(header):
        raise Wrong(f"header: {show(header)} is no name of a field", 'write a name such as "x-api-key"')
    return header


def _told(key: str, read: Any, value: object) -> Any:
    try:
        return read(value)
    except Wrong as error:
        raise Wrong(f"{key} {error.wrong}", error.right) from error
