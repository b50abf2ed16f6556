# -*- test-case-name: tests.metrics.test_merge -*-
"""
L{lproxy.metrics.merge}: what a plugin gets wrong costs its own rows, never the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import Family
from tests.metrics.case import MetricsCase


def family(name: str = "memo_total", kind: Any = "counter", help: Any = "Memos.", samples: Any = (((), 1),)) -> Family:
    """One that is in order, but for what is given."""
    return Family(name, kind, help, samples)


class MergeCase(MetricsCase):
    """A plugin called memo, and one called note that always has a sample."""

    def setUp(self) -> None:
        super().setUp()
        self.memo = self.metrics.plugin("memo")
        self.metrics.plugin("note").families(lambda: [Family("note_total", "counter", "Notes.", [((), 7)])])

    def show(self, source: Callable[[], Iterable[Any]]) -> None:
        """What memo has to show."""
        self.memo.families(source)


class MergedTests(MergeCase):
    """Families of several listeners."""

    def test_once(self) -> None:
        """A family stands once, with the samples of all that have some."""
        for listener in ("a", "b"):
            self.show(lambda listener=listener: [family(samples=[((("listener", listener),), 1)])])  # type: ignore[misc]
        text = self.text()
        self.assertEqual((1, 1), (text.count("# HELP memo_total "), text.count("# TYPE memo_total counter\n")))
        self.assertEqual([1, 1], self.values("memo_total"))
        self.assertEqual([], self.failures)

    def test_summed(self) -> None:
        """Samples with the same labels are added up, histograms bucket by bucket: no series stands twice."""
        for value in (0.5, 1.5):
            histogram = Histogram((1.0,))
            histogram.observe(value)
            self.show(
                lambda h=histogram: [  # type: ignore[misc]
                    family("memo_seconds", "histogram", samples=[((), h)]),
                    family(samples=[((), 2), ((("x", "y"),), 1)]),
                ]
            )
        self.assertEqual([4, 2], self.values("memo_total"))
        self.assertEqual([1, 2], self.values("memo_seconds_bucket"))
        self.assertEqual([2], self.values("memo_seconds_sum"))

    def test_summed_within(self) -> None:
        """Those of one source as well."""
        self.show(lambda: [family(samples=[((), 2), ((), 3)])])
        self.assertEqual([5], self.values("memo_total"))

    def test_help(self) -> None:
        """A help text of several lines stays one line of the page."""
        self.show(lambda: [family(help="a\nb\\c")])
        self.assertIn("# HELP memo_total a\\nb\\\\c\n", self.text())


class ContainedTests(MergeCase):
    """What goes wrong."""

    def contained(self, *shown: float) -> None:
        """All but memo's rows are there, except C{shown}; memo is named, and counted once for each scrape."""
        for scrape in (1, 2):
            self.failures.clear()
            text = self.text()
            self.assertEqual(["memo"], [name for name, _ in self.failures])
            self.assertIn("\nnote_total 7\n", text)
            self.assertIn("# TYPE tcp_open_total counter\n", text)
            self.assertIn(f'\nplugin_errors_total{{plugin="memo"}} {scrape}\n', text)
        self.assertEqual(list(shown), self.values("memo_total"))

    def test_raises(self) -> None:
        """A source that raises, even to end the process."""
        for error in (ZeroDivisionError, SystemExit, KeyboardInterrupt):
            self.setUp()

            def source(error: type[BaseException] = error) -> Iterator[Family]:
                yield family()
                raise error

            self.show(source)
            self.contained()

    def test_samples_raise(self) -> None:
        """All samples of a family or none, and those of the plugin's other families are shown."""

        def samples() -> Iterator[Any]:
            yield (), 1
            raise ZeroDivisionError

        self.show(lambda: [family("memo_broken", samples=samples()), family()])
        self.contained(1)
        self.assertNotIn("\nmemo_broken", self.text())

    def test_one_of_two_listeners(self) -> None:
        """Another listener's samples of the same family are shown."""
        self.show(lambda: [family(samples=[((("listener", "a"),), 5)])])
        self.show(lambda: [family(samples=[((("listener", "b"),), 1 // 0)])])
        self.contained(5)

    def test_bad_families(self) -> None:
        """Prometheus would refuse the page for any of these."""
        for wrong in (
            7,
            family(name="memo total"),
            family(name=""),
            family(name="9memo"),
            family(name=None),  # type: ignore[arg-type]
            family(kind="number"),
            family(help=None),
            family(name="tcp_open_total"),
            family(name="plugin_errors_total"),
            family(name="in_flight", kind="gauge"),
            family(name="process_open_fds", kind="gauge"),
            family(name="process_cpu_seconds_total"),
        ):
            self.setUp()
            self.show(lambda wrong=wrong: [family(), wrong])  # type: ignore[misc]
            self.contained()

    def test_bad_samples(self) -> None:
        """A value or label that cannot be."""
        for kind, samples in (
            ("counter", [((), "7")]),
            ("counter", [((), None)]),
            ("counter", [((), Histogram((1.0,)))]),
            ("histogram", [((), 7)]),
            ("counter", [((("a b", "x"),), 7)]),
            ("counter", [((("le", "x"),), 7)]),
            ("counter", [((("a", 7),), 7)]),
            ("counter", [(7, 7)]),
            ("counter", [7]),
            ("counter", 7),
        ):
            self.setUp()
            self.show(lambda kind=kind, samples=samples: [family(kind=kind, samples=samples)])  # type: ignore[misc]
            self.contained()

    def test_other_kind(self) -> None:
        """A family is of one kind; the first who shows it says which."""
        self.show(lambda: [family()])
        self.show(lambda: [family(kind="gauge")])
        self.contained(1)

    def test_two_kinds(self) -> None:
        """Not even in one source."""
        self.show(lambda: [family(), family(kind="histogram", samples=[((), Histogram((1.0,)))])])
        self.contained()

    def test_others_family(self) -> None:
        """
        A family is one plugin's; another that shows it, of whatever kind, is refused and told. What is gone, and has
        left sums of it, is no plugin any more.
        """
        self.metrics.plugin("late").families(lambda: [family("note_total")])
        self.assertEqual([7], self.values("note_total"))
        ((name, failure),) = self.failures
        self.assertEqual("late", name)
        self.assertEqual("note_total is a family of note's: begin its name with late_", str(failure.value))
        gone = self.metrics.plugin("memo")
        gone.families(lambda: [family(samples=[((), 5)])])
        self.metrics.remove(gone)
        other = self.metrics.plugin("other")
        other.families(lambda: [family(samples=[((), 1)])])
        self.failures.clear()
        self.assertEqual([6], self.values("memo_total"))

    def test_other_bounds(self) -> None:
        """Histograms with the same labels have the same bounds."""
        self.show(lambda: [family()])
        for bounds in ((1.0,), (2.0,)):
            self.show(lambda b=bounds: [family("memo_seconds", "histogram", samples=[((), Histogram(b))])])  # type: ignore[misc]
        self.contained(1)
        self.assertEqual(["1", "+Inf"], [s.labels["le"] for s in self.samples("memo_seconds_bucket")])
