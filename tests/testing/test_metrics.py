# -*- test-case-name: tests.testing.test_metrics -*-
"""
L{lproxy.testing.metrics}: sources of metrics that break a promise are found out.
"""

from __future__ import annotations

from typing import Any
from unittest import TestResult

from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import Family
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.testing import PluginContract


class Counting(TcpPlugin):
    """TCP with the families that a test wants."""

    def __init__(self, *families: Any) -> None:
        self.families = families

    def factory(self, runtime: Any, config: Any) -> Any:
        """Shows them."""
        runtime.counters.families(lambda: self.families)
        return super().factory(runtime, config)


class MetricsContractTests(SynchronousTestCase):
    """Run on a plugin, as its author would."""

    def run_on(self, *families: Any) -> str:
        """What C{test_metrics} says of a plugin with C{families}; empty if it passes."""

        class Case(PluginContract, SynchronousTestCase):
            plugin = Counting(*families)
            conversation = b"hello"
            answer = b"bye"

        result = TestResult()
        Case("test_metrics").run(result)
        self.assertEqual(1, result.testsRun)
        return "".join(text for _, text in (*result.failures, *result.errors))

    def test_good(self) -> None:
        """One that keeps them."""
        a, b = (("board", "a"),), (("board", "b"),)
        self.assertEqual(
            "",
            self.run_on(
                Family("memo_total", "counter", "Memos.", [(a, 1), (b, 2)]),
                Family("memo_open", "gauge", "Memos open now.", [((), 1)]),
                Family("memo_seconds", "histogram", "How long memos took.", [((), Histogram((1.0,)))]),
            ),
        )

    def test_bad(self) -> None:
        """One that does not is told what is wrong."""
        for word, *families in (
            ("is no Family", 7),
            ("without _total", Family("memo", "counter", "Memos.", ())),
            ("is no sentence", Family("memo_total", "counter", "memos", ())),
            ("is no label", Family("memo_total", "counter", "Memos.", [((("a b", ""),), 1)])),
            ("has a series twice", Family("memo_total", "counter", "Memos.", [((), 1), ((), 2)])),
            ("has two kinds", Family("m_total", "gauge", "Memos.", ()), Family("m_total", "counter", "Memos.", ())),
            ("changes when it is read", Family("memo_open", "gauge", "Memos.", _Draining())),
        ):
            self.assertIn(word, self.run_on(*families))


class _Draining:
    """Samples that are another one each time."""

    def __init__(self) -> None:
        self.n = 0

    def __iter__(self) -> Any:
        self.n += 1
        return iter([((), self.n)])
