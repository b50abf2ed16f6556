# -*- test-case-name: tests.metrics.test_exposition -*-
"""
L{lproxy.metrics.exposition}: the text that Prometheus reads.
"""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics import exposition
from lproxy.metrics.counters import Histogram
from lproxy.metrics.exposition import SLICE
from lproxy.metrics.family import Family
from tests.metrics.case import HOSTILE


def gauge(*samples: object) -> Family:
    """A family."""
    return Family("x", "gauge", "Some x.", samples)  # type: ignore[arg-type]


class ExpositionTests(SynchronousTestCase):
    """Names, labels, numbers and syntax."""

    def text(self, *families: Family) -> str:
        """The whole text."""
        return b"".join(exposition.text(families)).decode()

    def test_line(self) -> None:
        """Header and samples, without braces where there are no labels."""
        self.assertEqual(
            '# HELP x Some x.\n# TYPE x gauge\nx 1\nx{a="b",c="d"} 2\n',
            self.text(gauge(((), 1), ((("a", "b"), ("c", "d")), 2))),
        )

    def test_empty(self) -> None:
        """A family without samples has its header."""
        self.assertEqual("# HELP x Some x.\n# TYPE x gauge\n", self.text(gauge()))

    def test_histogram(self) -> None:
        """Buckets are cumulative, a value equal to a bound is under it, and +Inf is the count."""
        histogram = Histogram((1.0, 2.5))
        for value in (1.0, 1.5, 2.5, 3.0):
            histogram.observe(value)
        lines = self.text(Family("x", "histogram", "Some x.", [((("a", "b"),), histogram)])).splitlines()[2:]
        self.assertEqual(
            [
                'x_bucket{a="b",le="1"} 1',
                'x_bucket{a="b",le="2.5"} 3',
                'x_bucket{a="b",le="+Inf"} 4',
                'x_sum{a="b"} 8',
                'x_count{a="b"} 4',
            ],
            lines,
        )

    def test_histogram_as_of_now(self) -> None:
        """What is counted while a histogram is half written is not in its other half."""
        histogram = Histogram((0.001,))
        histogram.observe(0.001)
        written = exposition.histogram_lines("", histogram)
        first = next(written)
        for value in (0.001, 99.0):
            histogram.observe(value)
        rest = {suffix: value for suffix, _, value in written}
        self.assertEqual((1, 1, 1), (first[2], rest["_bucket"], rest["_count"]))
        self.assertEqual(0.001, rest["_sum"])

    def test_numbers(self) -> None:
        """Whole numbers have no point; no number breaks a scrape."""
        values = [3.0, 2**60, 0.5, 1e300, float("inf"), float("-inf"), -1, True]
        text = self.text(gauge(*(((("n", str(n)),), v) for n, v in enumerate([*values, float("nan")]))))
        read = [s.value for family in text_string_to_metric_families(text) for s in family.samples]
        self.assertEqual(values, read[:-1])
        self.assertNotEqual(read[-1], read[-1])
        self.assertIn('{n="0"} 3\n', text)
        self.assertIn('{n="7"} 1\n', text)

    def test_hostile_values(self) -> None:
        """Whatever stands in a label's value, it stays one value on one line."""
        text = self.text(gauge(((("label", HOSTILE),), 1)))
        self.assertEqual(4, len(text.split("\n")))
        ((sample,),) = (family.samples for family in text_string_to_metric_families(text))
        # a surrogate is no character and has no encoding
        self.assertEqual({"label": HOSTILE.replace("\udc80", "?")}, sample.labels)

    def test_slices(self) -> None:
        """No piece has many more lines than a slice, and the pieces together are all there is."""
        pieces = list(exposition.text([gauge(*(((("n", str(n)),), n) for n in range(5 * SLICE)))]))
        self.assertGreaterEqual(len(pieces), 5)
        for piece in pieces:
            self.assertLessEqual(piece.count(b"\n"), SLICE + 1)
        self.assertEqual(5 * SLICE, b"".join(pieces).count(b"\nx{"))
