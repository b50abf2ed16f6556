# -*- test-case-name: tests.configfile.profile.test_reference -*-
"""
The reference of profiles in TOML, as reStructuredText, from their keys.
"""

from __future__ import annotations

import json

from lproxy.configfile.health import HEALTH
from lproxy.configfile.health import KEY as HEALTH_KEY
from lproxy.configfile.profile.condition import ANSWER, REQUEST
from lproxy.configfile.profile.keys import (
    ANSWER_KEYS,
    BACKEND,
    BUDGET,
    CLASSES,
    FIELDS,
    HEDGE,
    MATCH,
    REDIRECT,
    RETRIES,
    REWRITE,
    ROUTE,
    SERVICE,
    STICKY,
    TIMEOUTS,
)
from lproxy.configfile.profile.read import ROUTE_HEADER, ROUTES
from lproxy.configfile.profile.shape import Key, Keys, Shape

#: what stands in the tables of routes and services, by the keys that have it
INNER = {
    "retries": RETRIES,
    "timeouts": TIMEOUTS,
    "hedge": HEDGE,
    "request_headers, response_headers": FIELDS,
    "rewrite": REWRITE,
    "redirect": REDIRECT,
    "answer": ANSWER_KEYS,
    "backends": BACKEND,
    "retry_budget": BUDGET,
    "sticky": STICKY,
    "health": HEALTH,
}

HEALTH_HELP = "how its endpoints are asked, beside all requests, whether they serve; unset: they are not"

#: keys of a condition: what may stand there, and what it means
CONDITIONS = {
    "method": ("String, or array of strings", "the method"),
    "path": ("String, or array of strings", "the whole path, without the query"),
    "path_prefix": (
        "String, or array of strings",
        "what the path begins with, in whole segments: /books fits /books and /books/1, not /bookshop",
    ),
    "path_regex": ("Pattern, or array of patterns", "a regular expression of RE2's that has to match the whole path"),
    "headers": (
        "Table of names",
        'for each field a value, true (any value), false (there is none), { regex = "..." }, or an array of those',
    ),
    "query": ("Table of names", "the same for parameters of the query; the first of a name counts"),
    "status": ("Status, or array of them", "of an answer: 503, 500-599 or 5xx"),
    "all": ("Array of tables", "conditions that all have to fit"),
    "any": ("Array of tables", "conditions of which one has to"),
    "not": ("Table", "a condition that must not"),
}


def service_keys() -> list[str]:
    """The lines of the keys that stand beside a service's own."""
    lines = _keys(SERVICE)
    lines += [f"``{HEALTH_KEY}``", "    Table, or a path.", "", f"    {_sentence(HEALTH_HELP)}", ""]
    lines += [f"``{ROUTES}``", f"    Tables, ``{ROUTE_HEADER}``.", "", "    Some of its requests each; see below.", ""]
    return lines


def sections() -> str:
    """All tables below a service's."""
    parts = [
        _section(
            f"``{ROUTE_HEADER}``",
            "Some of a service's requests. The first route of the file that fits a request is its route; a request "
            "that none fits is treated as without routes.",
            _keys(ROUTE),
        ),
        _section(
            "``match``",
            "What a request must be. All keys have to fit, and one of the values of each; an array of such tables fits "
            "where one of them does.",
            _conditions((*REQUEST, "headers", "query", "all", "any", "not")),
        ),
        _section(
            "``response_classes``",
            "Which answers are failures; the first that fits decides.",
            [*_conditions((*ANSWER, "all", "any", "not")), "``failure``", "    Boolean; default ``true``.", ""],
        ),
    ]
    for names, keys in INNER.items():
        title = ", ".join(f"``{name}``" for name in names.split(", "))
        parts.append(_section(title, f"Keys of {keys.called}.", _keys(keys)))
    return "\n".join(parts)


def _section(title: str, summary: str, lines: list[str]) -> str:
    return "\n".join([title, "-" * len(title), "", summary, "", *lines])


def _keys(keys: Keys) -> list[str]:
    lines = []
    for key in keys.keys:
        lines += [f"``{key.key}``", f"    {_facts(key, keys)}.", "", f"    {_sentence(key.help)}", ""]
    return lines


def _facts(key: Key, keys: Keys) -> str:
    name = _capital(key.shape.name)
    if key.required:
        return f"{name}; required"
    default = keys.default(key)
    if _is_table(key.shape) or not default:
        return (
            f"{name}; default unset"
            if default is None or not isinstance(default, int)
            else f"{name}; default ``{json.dumps(default)}``"
        )
    return f"{name}; default ``{json.dumps(key.shape.write(default), ensure_ascii=False)}``"


def _is_table(shape: Shape) -> bool:
    return isinstance(shape, Keys) or shape in (MATCH, CLASSES)


def _conditions(names: tuple[str, ...]) -> list[str]:
    lines = []
    for name in names:
        kind, help = CONDITIONS[name]
        lines += [f"``{name}``", f"    {kind}.", "", f"    {_sentence(help)}", ""]
    return lines


def _sentence(text: str) -> str:
    return f"{_capital(text)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
