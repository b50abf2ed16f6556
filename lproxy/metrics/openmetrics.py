# -*- test-case-name: tests.metrics.test_openmetrics -*-
"""
Families as OpenMetrics 1.0 has them: counters without their C{_total}, units, and exemplars of histograms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from lproxy.metrics.counters import Exemplar, Histogram
from lproxy.metrics.exposition import SLICE, bucketed, escaped, labels_text, line
from lproxy.metrics.family import Family, Kind, Labels

#: ends every exposition, so that half of one is not taken for the whole
EOF = b"# EOF\n"
#: base units, by which names end
UNITS = ("seconds", "bytes")
TOTAL = "_total"


def text(families: Iterable[Family]) -> Iterator[bytes]:
    """C{families} in pieces, between which the reactor may turn; all but L{EOF}."""
    texts: dict[Labels, str] = {}
    lines: list[str] = []
    every = list(families)
    taken = {family.name for family in every}
    for name, kind, help, samples in every:
        lines.append(_head(name, kind, help, taken))
        for labels, value in samples:
            written = texts.get(labels)
            if written is None:
                written = texts[labels] = labels_text(labels)
            if isinstance(value, Histogram):
                _add(lines, name, written, value)
            else:
                lines.append(line(name, written, value))
            if len(lines) >= SLICE:
                yield "".join(lines).encode(errors="replace")
                lines.clear()
    yield "".join(lines).encode(errors="replace")


def _head(name: str, kind: Kind, help: str, taken: set[str]) -> str:
    family, shown = name, str(kind)
    if kind == "counter":
        family = name.removesuffix(TOTAL)
        if family in taken:
            # it does not end so, or another family has the rest of its name: the same name in both formats is more
            # than its type
            family, shown = name, "unknown"
    unit = next((unit for unit in UNITS if family.endswith(f"_{unit}")), "")
    told = f"# UNIT {family} {unit}\n" if unit else ""
    return f"# TYPE {family} {shown}\n{told}# HELP {family} {escaped(help)}\n"


@lru_cache(64)
def _bounds(bounds: tuple[float, ...]) -> list[str]:
    # floats as they are canonical here: 1.0
    return [f'le="{float(bound)}"' for bound in bounds] + ['le="+Inf"']


def _add(lines: list[str], name: str, labels: str, histogram: Histogram) -> None:
    exemplars = histogram.exemplars
    for at, (suffix, inner, n) in enumerate(bucketed(labels, histogram, _bounds(histogram.bounds))):
        written = line(name + suffix, inner, n)
        if exemplars is not None and at in exemplars and suffix == "_bucket":
            written = f"{written[:-1]} {_exemplar(exemplars[at])}\n"
        lines.append(written)


def _exemplar(exemplar: Exemplar) -> str:
    return f'# {{trace_id="{exemplar.trace_id}"}} {exemplar.value!r} {exemplar.at:.3f}'
