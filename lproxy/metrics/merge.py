# -*- test-case-name: tests.metrics.test_merge -*-
"""
The families of plugins made fit to be shown: each once, whoever has samples of it, and none that breaks the page.

Prometheus refuses a page as a whole. So whatever a plugin gets wrong must cost it its own rows: an exception, a name
that cannot be one, a family of somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.python.failure import Failure

from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import BadFamily, Family, Labels, check_family, check_sample

#: what a plugin has, asked at each scrape
Source = Callable[[], Iterable[Family]]
#: who has what is no plugin's, or no plugin's any more
OWN = "lproxy"
Rows = dict[Labels, float | Histogram]


def merged(
    sources: Iterable[tuple[str, Source]], taken: Iterable[str], failed: Callable[[str, Failure], None]
) -> Iterator[Family]:
    """
    The families of all C{sources}, each once. Two plugins cannot have one: it is the first's.

    @param sources: with the plugin's name
    @param taken: families that are others'
    @param failed: told the plugin and what is wrong
    """
    # the first who shows a family says of which kind it is
    owners: dict[str, tuple[str, str]] = dict.fromkeys(taken, (OWN, ""))
    found: dict[str, list[tuple[str, Family]]] = {}
    for plugin, source in sources:
        own: dict[str, tuple[str, str]] = {}
        try:
            families = list(source())
            for family in families:
                check_family(family)
                owner, kind = owners.get(family.name) or own.setdefault(family.name, (plugin, family.kind))
                if plugin not in (owner, OWN) and kind and owner != OWN:
                    raise BadFamily(f"{family.name} is a family of {owner}'s: begin its name with {plugin}_")
                if kind != family.kind:
                    raise BadFamily(f"{family.name} is a {family.kind} here, and {kind or 'a family'} of {owner}'s own")
        except BaseException:  # a plugin's sys.exit() ends nothing here
            failed(plugin, Failure())
            continue
        owners.update(own)
        for family in families:
            found.setdefault(family.name, []).append((plugin, family))
    for name, parts in found.items():
        first = parts[0][1]
        yield Family(name, first.kind, first.help, _rows(parts, failed))


def _rows(parts: list[tuple[str, Family]], failed: Callable[[str, Failure], None]) -> Iterator[tuple[Labels, Any]]:
    rows: Rows = {}
    for plugin, family in parts:
        try:
            # all of a source's samples or none
            own: Rows = {}
            for labels, value in family.samples:
                check_sample(family, labels, value)
                own[labels] = value if labels not in own else added(own[labels], value)
            both = {labels: added(rows[labels], own[labels]) for labels in own.keys() & rows.keys()}
        except BaseException:
            failed(plugin, Failure())
            continue
        rows.update(own)
        rows.update(both)
    yield from rows.items()


def added(a: Any, b: Any) -> Any:
    """The sum of two values of one kind; raises L{BadFamily} for histograms that have other bounds."""
    if not isinstance(a, Histogram):
        return a + b
    if a.bounds != b.bounds:
        raise BadFamily(f"histograms with the same labels and other bounds: {a.bounds}, {b.bounds}")
    both = Histogram(a.bounds)
    both.counts = [x + y for x, y in zip(a.counts, b.counts, strict=True)]
    both.total = a.total + b.total
    if a.exemplars or b.exemplars:
        both.exemplars = dict(a.exemplars or {})
        for at, exemplar in (b.exemplars or {}).items():
            other = both.exemplars.get(at)
            # the latest, whoever has it
            if other is None or other.at < exemplar.at:
                both.exemplars[at] = exemplar
    return both
