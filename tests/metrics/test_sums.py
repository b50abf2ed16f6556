# -*- test-case-name: tests.metrics.test_sums -*-
"""
L{lproxy.metrics.sums}: several processes' families as one's.
"""

from __future__ import annotations

import marshal
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.families import families as every_family
from lproxy.app.plugins import find, tried
from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import Family
from lproxy.metrics.sums import LIKE, families, lasting, plain, standard, summed

A, B = (("to", "a"),), (("to", "b"),)

#: gauges that are amounts, and added; see L{LIKE} for the others
AMOUNTS = {
    "endpoint_in_flight",
    "h2_connections",
    "http_upstream_connections",
    "in_flight",
    "kafka_connections_open",
    "kafka_in_flight",
    "lock_waiters",
    "retry_budget_left",
    "service_cache_size",
    "tcp_open_connections",
    "worker_up",
}


def histogram(*values: float, bounds: tuple[float, ...] = (1.0, 2.0)) -> Histogram:
    made = Histogram(bounds)
    for value in values:
        made.observe(value)
    return made


class SumTests(SynchronousTestCase):
    """Two workers'."""

    def summed(self, *parts: tuple[str, list[Family]]) -> dict[str, Any]:
        return {family.name: dict(family.samples) for family in summed(parts)}

    def test_added(self) -> None:
        """Counters, amounts and histograms are added, by their labels."""
        one = [
            Family("x_total", "counter", "h", [(A, 1), (B, 2)]),
            Family("open", "gauge", "h", [((), 3)]),
            Family("took", "histogram", "h", [((), histogram(0.5, 1.5))]),
        ]
        two = [
            Family("x_total", "counter", "h", [(A, 10)]),
            Family("open", "gauge", "h", [((), 4)]),
            Family("took", "histogram", "h", [((), histogram(9.0))]),
        ]
        found = self.summed(("0", one), ("1", two))
        self.assertEqual(({A: 11, B: 2}, {(): 7}), (found["x_total"], found["open"]))
        took = found["took"][()]
        self.assertEqual(([1, 1, 1], 11.0), (took.counts, took.total))

    def test_like(self) -> None:
        """States and times are the worst of all: an endpoint that is down for one is not up."""
        for name, values, shown in (
            ("endpoint_up", (1, 0), 0),
            ("failfast_state", (0, 1), 1),
            ("config_last_reload_success", (0, 1), 0),
            ("proxy_build_info", (1, 1), 1),
        ):
            parts = [(str(n), [Family(name, "gauge", "h", [(A, value)])]) for n, value in enumerate(values)]
            self.assertEqual({A: shown}, self.summed(*parts)[name])

    def test_reloads(self) -> None:
        """A reload is one, however many workers it was for."""
        parts = [(str(n), [Family("config_reload_total", "counter", "h", [(A, 3)])]) for n in range(2)]
        self.assertEqual({A: 3}, self.summed(*parts)["config_reload_total"])

    def test_every_gauge(self) -> None:
        """Of every gauge that there is it is known whether it is an amount."""
        gauges = {family.name for family in every_family(tried(find())) if family.kind == "gauge"}
        ours = {name for name in gauges if not name.startswith("note_")}
        self.assertEqual(set(), ours - AMOUNTS - LIKE.keys())
        self.assertEqual(set(), AMOUNTS & LIKE.keys())

    def test_own(self) -> None:
        """What tells of a process has its worker as a label."""
        parts = [(str(n), [Family("process_open_fds", "gauge", "h", [((), 10 + n)])]) for n in range(2)]
        self.assertEqual({(("worker", "0"),): 10, (("worker", "1"),): 11}, self.summed(*parts)["process_open_fds"])

    def test_versions(self) -> None:
        """What another version has otherwise is left out: a family of another kind, a histogram of other bounds."""
        one = [Family("x", "counter", "h", [((), 1)]), Family("y", "histogram", "h", [((), histogram(0.5))])]
        two = [
            Family("x", "gauge", "h", [((), 5)]),
            Family("y", "histogram", "h", [((), histogram(0.5, bounds=(7.0,)))]),
        ]
        found = self.summed(("0", one), ("1", two))
        self.assertEqual({(): 1}, found["x"])
        self.assertEqual([1, 0, 0], found["y"][()].counts)

    def test_travels(self) -> None:
        """Families become plain values, and families again."""
        before = [
            Family("x_total", "counter", "h", [(A, 1)]),
            Family("took", "histogram", "h", [(A, histogram(0.5))]),
            Family("open", "gauge", "h", [((), 1.5)]),
        ]
        after = list(families(marshal.loads(marshal.dumps(plain(before)))))
        self.assertEqual([one[:3] for one in before], [one[:3] for one in after])
        self.assertEqual(dict(before[0].samples), dict(after[0].samples))
        ((_, took),) = after[1].samples
        assert isinstance(took, Histogram)
        self.assertEqual(([1, 0, 0], 0.5), (took.counts, took.total))

    def test_exemplars(self) -> None:
        """They travel, too; of several workers' for the same bucket, the latest is shown."""
        one, two = histogram(0.5, 1.5), histogram(0.6)
        one.exemplify(0.5, "a" * 32, 10.0)
        one.exemplify(1.5, "b" * 32, 10.0)
        two.exemplify(0.6, "c" * 32, 11.0)
        sent = [marshal.dumps(plain([Family("took", "histogram", "h", [(A, value)])])) for value in (one, two)]
        parts = [(str(n), list(families(marshal.loads(data)))) for n, data in enumerate(sent)]
        for order in (parts, parts[::-1]):
            took = self.summed(*order)["took"][A]
            self.assertEqual([2, 1, 0], took.counts)
            self.assertEqual({0: (0.6, "c" * 32, 11.0), 1: (1.5, "b" * 32, 10.0)}, took.exemplars)

    def test_older(self) -> None:
        """An lproxy from before there were exemplars, which this one has the place of, tells of none."""
        ((_, took),) = next(families([("took", "histogram", "h", [(A, ((1.0,), (2, 3), 4.0))])])).samples
        assert isinstance(took, Histogram)
        self.assertEqual(([2, 3], 4.0, None), (took.counts, took.total, took.exemplars))

    def test_lasting(self) -> None:
        """Of a process that is gone stays what it has counted, and nothing of the process."""
        every = [
            Family("x_total", "counter", "h", []),
            Family("open", "gauge", "h", []),
            Family("process_cpu_seconds_total", "counter", "h", []),
            Family("took", "histogram", "h", []),
        ]
        self.assertEqual(["x_total", "took"], [family.name for family in lasting(every)])

    def test_standard(self) -> None:
        """What prometheus_client collects has its own names; a counter's creation is none of it."""
        registry = CollectorRegistry()
        Counter("made", "h", ["kind"], registry=registry).labels("x").inc(2)
        Gauge("level", "h", registry=registry).set(7)
        found = {family.name: (family.kind, dict(family.samples)) for family in standard(registry)}
        self.assertEqual(("counter", {(("kind", "x"),): 2.0}), found["made_total"])
        self.assertEqual(("gauge", {(): 7.0}), found["level"])
