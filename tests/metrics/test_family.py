# -*- test-case-name: tests.metrics.test_family -*-
"""
L{lproxy.metrics.family}: what Prometheus would refuse is refused before, with the reason.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import BadFamily, Family, check_family, check_sample


def family(name: Any = "memo_total", kind: Any = "counter", help: Any = "Memos.") -> Family:
    """One that is in order, but for what is given."""
    return Family(name, kind, help, ())


class FamilyTests(SynchronousTestCase):
    """The header."""

    def test_good(self) -> None:
        """What Prometheus reads."""
        for good in (family(), family("a:b_9"), family(kind="gauge"), family(kind="histogram"), family(help="")):
            check_family(good)

    def test_bad(self) -> None:
        """What it does not."""
        for wrong, word in (
            (7, "7 is no Family"),
            (("memo_total", "counter", "Memos.", ()), "is no Family"),
            (family("memo total"), "'memo total' cannot be the name"),
            (family(""), "'' cannot be"),
            (family("9memo"), "'9memo' cannot be"),
            (family(None), "None cannot be"),
            (family(kind="number"), "'number' is no kind; there are counter, gauge, histogram"),
            (family(help=None), "help None is no text"),
        ):
            self.assertIn(word, str(self.assertRaises(BadFamily, check_family, wrong)))


class SampleTests(SynchronousTestCase):
    """Labels and values."""

    def test_good(self) -> None:
        """Any text is a label's value, any number a sample's."""
        for value in (0, -1.5, True, float("inf")):
            check_sample(family(), (("a_9", "\n"), ("B", "")), value)
        check_sample(family(kind="histogram"), (), Histogram((1.0,)))

    def test_bad(self) -> None:
        """A label that is none, or a value of another kind."""
        for kind, labels, value in (
            ("counter", (), "7"),
            ("counter", (), None),
            ("counter", (), Histogram((1.0,))),
            ("histogram", (), 7),
            ("counter", (("a b", "x"),), 7),
            ("counter", (("", "x"),), 7),
            ("counter", (("le", "x"),), 7),
            ("counter", (("a", 7),), 7),
        ):
            self.assertRaises(BadFamily, check_sample, family(kind=kind), labels, value)
