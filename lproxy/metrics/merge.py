# -*- test-case-name: tests.metrics.test_merge -*-
"""
The families of plugins made fit to be shown: each once, whoever has samples of it, and none that breaks the page.

Prometheus refuses a page as a whole. So whatever a plugin gets wrong must cost it its own rows: an exception, a name
that cannot be one, a family of somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from twisted.python.failure import Failure

from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import Family, Labels

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
KINDS = ("counter", "gauge", "histogram")

#: what a plugin has, asked at each scrape
Source = Callable[[], Iterable[Family]]
Rows = dict[Labels, float | Histogram]


class BadFamily(ValueError):
    """A plugin's family or sample cannot be shown."""


def merged(
    sources: Iterable[tuple[str, Source]], taken: Iterable[str], failed: Callable[[str, Failure], None]
) -> Iterator[Family]:
    """
    The families of all C{sources}, each once.

    @param sources: with the plugin's name
    @param taken: families that are others'
    @param failed: told the plugin and what is wrong
    """
    names = set(taken)
    found: dict[str, list[tuple[str, Family]]] = {}
    for plugin, source in sources:
        try:
            families = list(source())
            for family in families:
                _check(family, names, found.get(family.name))
        except BaseException:  # a plugin's sys.exit() ends nothing here
            failed(plugin, Failure())
            continue
        for family in families:
            found.setdefault(family.name, []).append((plugin, family))
    for name, parts in found.items():
        first = parts[0][1]
        yield Family(name, first.kind, first.help, _rows(parts, failed))


def _check(family: Any, taken: set[str], same: list[tuple[str, Family]] | None) -> None:
    if not isinstance(family, Family):
        raise BadFamily(f"{family!r} is no Family")
    name, kind, help, _ = cast("tuple[Any, ...]", family)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadFamily(f"{name!r} cannot be the name of a family")
    if name in taken:
        raise BadFamily(f"{name} is a family of lproxy's own")
    if kind not in KINDS:
        raise BadFamily(f"{name}: {kind!r} is no kind; there are {', '.join(KINDS)}")
    if not isinstance(help, str):
        raise BadFamily(f"{name}: help {help!r} is no text")
    if same and same[0][1].kind != kind:
        raise BadFamily(f"{name} is a {kind} here and a {same[0][1].kind} of {same[0][0]}")


def _rows(parts: list[tuple[str, Family]], failed: Callable[[str, Failure], None]) -> Iterator[tuple[Labels, Any]]:
    rows: Rows = {}
    for plugin, family in parts:
        try:
            # all of a source's samples or none
            own: Rows = {}
            for labels, value in family.samples:
                _check_sample(family, labels, value)
                own[labels] = value if labels not in own else _sum(own[labels], value)
            both = {labels: _sum(rows[labels], own[labels]) for labels in own.keys() & rows.keys()}
        except BaseException:
            failed(plugin, Failure())
            continue
        rows.update(own)
        rows.update(both)
    yield from rows.items()


def _check_sample(family: Family, labels: Any, value: Any) -> None:
    for key, text in labels:
        if not LABEL.fullmatch(key) or key == "le" or not isinstance(text, str):
            raise BadFamily(f"{family.name}: {key!r}: {text!r} is no label with its value")
    fits = isinstance(value, Histogram) if family.kind == "histogram" else isinstance(value, int | float)
    if not fits:
        raise BadFamily(f"{family.name}: {value!r} is no value of a {family.kind}")


def _sum(a: Any, b: Any) -> Any:
    if not isinstance(a, Histogram):
        return a + b
    if a.bounds != b.bounds:
        raise BadFamily(f"histograms with the same labels and other bounds: {a.bounds}, {b.bounds}")
    both = Histogram(a.bounds)
    both.counts = [x + y for x, y in zip(a.counts, b.counts, strict=True)]
    both.total = a.total + b.total
    return both
