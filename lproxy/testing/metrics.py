# -*- test-case-name: tests.testing.test_metrics -*-
"""
The promises of a plugin's metrics, as tests to mix into a test case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import Labels, check_family, check_sample
from lproxy.testing.proxy import ScriptedProxy
from lproxy.testing.wire import Peer

if TYPE_CHECKING:
    from unittest import TestCase as _TestCase
else:
    _TestCase = object


class MetricsContract(_TestCase):
    """
    What the metric sources of a plugin promise, before any connection and after one.

    Part of L{PluginContract<lproxy.testing.plugins.PluginContract>}.
    """

    answer: bytes

    def start(self) -> ScriptedProxy:
        """A proxy around a new factory."""
        raise NotImplementedError

    def talk(self, proxy: ScriptedProxy) -> tuple[Peer, Peer]:
        """A client that has said its part, and the upstream that received it."""
        raise NotImplementedError

    def test_metrics(self) -> None:
        """Prometheus reads its families: each has one kind, a sentence of help, and each series once."""
        proxy = self.start()
        self.families(proxy)
        _, upstream = self.talk(proxy)
        self.families(proxy)
        upstream.say(self.answer)
        proxy.settle()
        before = self.families(proxy)
        for name, samples in self.families(proxy).items():
            self.assertEqual(before[name], samples, f"{name} changes when it is read")

    def families(self, proxy: ScriptedProxy) -> dict[str, dict[Labels, object]]:
        """The samples of each family by labels, checked."""
        kinds: dict[str, str] = {}
        found: dict[str, dict[Labels, object]] = {}
        for source in proxy.metrics:
            for family in source():
                check_family(family)
                self.assertEqual(
                    family.kind, kinds.setdefault(family.name, family.kind), f"{family.name} has two kinds"
                )
                self.assertTrue(family.help.endswith("."), f"{family.name}: its help is no sentence: {family.help!r}")
                if family.kind == "counter":
                    self.assertTrue(family.name.endswith("_total"), f"{family.name} is a counter, without _total")
                samples = found.setdefault(family.name, {})
                for labels, value in family.samples:
                    check_sample(family, labels, value)
                    self.assertNotIn(labels, samples, f"{family.name} has a series twice")
                    samples[labels] = (value.counts, value.total) if isinstance(value, Histogram) else value
        return found
