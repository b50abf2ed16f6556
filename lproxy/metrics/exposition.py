# -*- test-case-name: tests.metrics.test_exposition -*-
"""
Families as Prometheus reads them: text format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate

from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import Family, Labels

#: lines rendered before others get a turn: about a millisecond
SLICE = 1_000


def text(families: Iterable[Family]) -> Iterator[bytes]:
    """C{families} in pieces, between which the reactor may turn."""
    # of each label set once: transport has six families of the same
    texts: dict[Labels, str] = {}
    lines: list[str] = []
    for name, kind, help, samples in families:
        lines.append(f"# HELP {name} {_one_line(help)}\n# TYPE {name} {kind}\n")
        for labels, value in samples:
            written = texts.get(labels)
            if written is None:
                written = texts[labels] = labels_text(labels)
            if isinstance(value, Histogram):
                lines += [line(name + suffix, inner, n) for suffix, inner, n in histogram_lines(written, value)]
            else:
                lines.append(line(name, written, value))
            if len(lines) >= SLICE:
                yield "".join(lines).encode(errors="replace")
                lines.clear()
    yield "".join(lines).encode(errors="replace")


def line(name: str, labels: str, value: float) -> str:
    """One sample."""
    return f"{name}{{{labels}}} {number_text(value)}\n" if labels else f"{name} {number_text(value)}\n"


def labels_text(labels: Labels) -> str:
    """Labels as they are written, without the braces."""
    return ",".join([f'{key}="{escaped(value)}"' for key, value in labels])


def escaped(value: str) -> str:
    """C{value}, for between quotes."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _one_line(help: str) -> str:
    return help.replace("\\", "\\\\").replace("\n", "\\n")


def number_text(value: float) -> str:
    """Whole numbers have no point."""
    # nothing is left of an infinite value: repr() has the word for it
    return str(int(value)) if value % 1 == 0 else repr(value)


@lru_cache(64)
def _bounds(bounds: tuple[float, ...]) -> list[str]:
    return [f'le="{number_text(bound)}"' for bound in bounds] + ['le="+Inf"']


def histogram_lines(labels: str, histogram: Histogram) -> Iterator[tuple[str, str, float]]:
    """Suffix of the family's name, labels and value of each line of C{histogram}, all as of the first."""
    return bucketed(labels, histogram, _bounds(histogram.bounds))


def bucketed(labels: str, histogram: Histogram, bounds: list[str]) -> Iterator[tuple[str, str, float]]:
    """The same, with labels for its bounds as they are given."""
    counts, total = list(accumulate(histogram.counts)), histogram.total
    for bound, count in zip(bounds, counts, strict=True):
        yield "_bucket", f"{labels},{bound}" if labels else bound, count
    yield "_sum", labels, total
    yield "_count", labels, counts[-1]
