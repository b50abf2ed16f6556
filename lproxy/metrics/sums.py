# -*- test-case-name: tests.metrics.test_sums -*-
"""
The families of several processes as those of one.

Counters and histograms are added, and so are gauges that count something. What is no amount, a state or a time, is
shown as the worst of them. What tells of a process by itself has its C{worker} as a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client.registry import Collector

from lproxy.metrics.counters import Exemplar, Histogram
from lproxy.metrics.family import BadFamily, Family, Kind, Labels
from lproxy.metrics.merge import added

#: what is no amount, or what all do together, and what is shown of several; all else is added
LIKE: dict[str, Callable[[float, float], float]] = {
    "config_last_reload_success": min,
    "config_live_since_timestamp_seconds": max,
    "config_reload_total": max,
    "endpoint_up": min,
    "failfast_state": max,
    "identity_cert_expiration_timestamp_seconds": min,
    "kafka_brokers_bound": max,
    "kafka_brokers_left_out": max,
    "kafka_brokers_limit": max,
    "profile_files": max,
    "profile_last_success_timestamp_seconds": min,
    "proxy_build_info": max,
}
#: what begins the names of families that tell of a process by itself
OWN = ("process_", "python_")

#: a family for another process: name, kind, help, samples with histograms as (bounds, counts, total, exemplars)
Plain = tuple[str, str, str, list[tuple[Labels, Any]]]


def plain(families: Iterable[Family]) -> list[Plain]:
    """C{families} as values that travel."""
    return [
        (
            name,
            kind,
            help,
            [(labels, _told(value) if isinstance(value, Histogram) else value) for labels, value in samples],
        )
        for name, kind, help, samples in families
    ]


def _told(histogram: Histogram) -> tuple[Any, ...]:
    exemplars = tuple([(at, tuple(one)) for at, one in (histogram.exemplars or {}).items()])
    return histogram.bounds, tuple(histogram.counts), histogram.total, exemplars


def families(plains: Iterable[Plain]) -> Iterator[Family]:
    """The reverse."""
    for name, kind, help, samples in plains:
        known: Kind = "counter" if kind == "counter" else "gauge" if kind == "gauge" else "histogram"
        yield Family(name, known, help, [(labels, _value(known, value)) for labels, value in samples])


def _value(kind: Kind, value: Any) -> Any:
    if kind != "histogram":
        return value
    # an older lproxy, which we have the place of, tells of no exemplars
    bounds, counts, total, *more = value
    histogram = Histogram(bounds)
    histogram.counts, histogram.total = list(counts), total
    if more and more[0]:
        histogram.exemplars = {at: Exemplar(*one) for at, one in more[0]}
    return histogram


def lasting(some: Iterable[Family]) -> Iterator[Family]:
    """What is still true of a process that is gone: what it has counted."""
    return (family for family in some if family.kind != "gauge" and not family.name.startswith(OWN))


def standard(collector: Collector) -> Iterator[Family]:
    """What C{prometheus_client} collects, as families."""
    for metric in collector.collect():
        counter = metric.type == "counter"
        if counter or metric.type == "gauge":
            name = f"{metric.name}_total" if counter else metric.name
            # a counter has its time of creation as well
            samples = [(tuple(one.labels.items()), one.value) for one in metric.samples if one.name == name]
            yield Family(name, "counter" if counter else "gauge", metric.documentation, samples)


def summed(parts: Iterable[tuple[str, Iterable[Family]]]) -> Iterator[Family]:
    """
    The families of all.

    @param parts: those of each process, behind its name
    """
    heads: dict[str, Family] = {}
    rows: dict[str, dict[Labels, Any]] = {}
    for worker, some in parts:
        for family in some:
            name = family.name
            if heads.setdefault(name, family).kind != family.kind:
                continue  # another version of lproxy has it otherwise
            own = rows.setdefault(name, {})
            more: Labels = (("worker", worker),) if name.startswith(OWN) else ()
            join = LIKE.get(name, added) if family.kind != "histogram" else added
            for labels, value in family.samples:
                labels = (*labels, *more)
                try:
                    own[labels] = join(own[labels], value) if labels in own else value
                except BadFamily:
                    pass  # nor can these be added
    for name, family in heads.items():
        yield family._replace(samples=list(rows[name].items()))
