# -*- test-case-name: tests.metrics.test_openmetrics -*-
"""
L{lproxy.metrics.openmetrics}: held against the parser of prometheus_client, which takes nothing that is not as the
specification has it.
"""

from __future__ import annotations

from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
from prometheus_client.parser import text_string_to_metric_families as parse_text
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.families import OURS, families
from lproxy.app.plugins import find
from lproxy.config import Metrics as Config
from lproxy.metrics import openmetrics
from lproxy.metrics.counters import Histogram
from lproxy.metrics.exposition import SLICE
from lproxy.metrics.family import Family, Labels
from lproxy.metrics.registry import Metrics
from tests.metrics.case import HOSTILE

LABELS: Labels = (("a", "b"),)


class OpenMetricsTests(SynchronousTestCase):
    """The same families, in other words."""

    def text(self, *families: Family) -> str:
        return (b"".join(openmetrics.text(families)) + openmetrics.EOF).decode()

    def test_counter(self) -> None:
        """A counter's family is named without what its samples end with."""
        self.assertEqual(
            '# TYPE x counter\n# HELP x Some x.\nx_total{a="b"} 3\n# EOF\n',
            self.text(Family("x_total", "counter", "Some x.", [(LABELS, 3)])),
        )

    def test_plugins_counter(self) -> None:
        """One that is not named as a counter has the same name in both formats, and is of a type unknown."""
        text = self.text(Family("memo_calls", "counter", "Calls.", [((), 3)]))
        self.assertIn("# TYPE memo_calls unknown\n", text)
        self.assertEqual([("memo_calls", 3.0)], [(s.name, s.value) for f in parse(text) for s in f.samples])

    def test_clash(self) -> None:
        """So is one beside a gauge that has the rest of its name, whichever comes first."""
        counter, gauge = Family("x_total", "counter", "All x.", [((), 3)]), Family("x", "gauge", "Some x.", [((), 1)])
        for both in ((counter, gauge), (gauge, counter)):
            found = {f.name: (f.type, f.samples[0].value) for f in parse(self.text(*both))}
            self.assertEqual({"x_total": ("unknown", 3.0), "x": ("gauge", 1.0)}, found)

    def test_unit(self) -> None:
        """What is named for a base unit says so."""
        text = self.text(
            Family("x_bytes_total", "counter", "Bytes.", [((), 1)]), Family("y_seconds", "gauge", "Time.", [((), 0.5)])
        )
        self.assertEqual([("x_bytes", "bytes"), ("y_seconds", "seconds")], [(f.name, f.unit) for f in parse(text)])

    def test_histogram(self) -> None:
        """Bounds are floats, and the latest traced value of a bucket is its exemplar."""
        histogram = Histogram((1.0, 2.5))
        for value in (0.5, 2.0, 9.0):
            histogram.observe(value)
        histogram.exemplify(2.0, "a" * 32, 1764000000.25)
        histogram.exemplify(2.25, "b" * 32, 1764000001.25)
        text = self.text(Family("x", "histogram", "Some x.", [(LABELS, histogram)]))
        self.assertIn(f'x_bucket{{a="b",le="2.5"}} 2 # {{trace_id="{"b" * 32}"}} 2.25 1764000001.250\n', text)
        samples = [sample for family in parse(text) for sample in family.samples]
        self.assertEqual(["1.0", "2.5", "+Inf"], [s.labels["le"] for s in samples if "le" in s.labels])
        exemplars: list[Any] = [s.exemplar for s in samples if s.exemplar]
        self.assertEqual([({"trace_id": "b" * 32}, 2.25)], [(e.labels, e.value) for e in exemplars])
        self.assertNotIn("trace_id", b"".join(Metrics(Config(), Clock()).text()).decode())

    def test_hostile(self) -> None:
        """Whatever stands in a label's value or in help, it stays that."""
        text = self.text(Family("x", "gauge", 'Some "x"\n\\.', [((("a", HOSTILE),), 1)]))
        (family,) = parse(text)
        self.assertEqual('Some "x"\n\\.', family.documentation)
        self.assertEqual(HOSTILE.replace("\udc80", "?"), family.samples[0].labels["a"])

    def test_slices(self) -> None:
        """Much of it comes in pieces."""
        samples = [((("n", str(n)),), n) for n in range(5 * SLICE)]
        pieces = list(openmetrics.text([Family("x", "gauge", "Some x.", samples)]))
        self.assertGreaterEqual(len(pieces), 5)
        self.assertTrue(all(len(piece.splitlines()) < SLICE + 50 for piece in pieces))

    def test_every_family(self) -> None:
        """All families of the proxy, none of whose names clash when they are shortened."""
        every = families([one for one in find() if one.name in OURS])
        shown = [family.name for family in parse(self.text(*every))]
        self.assertEqual((len(every), len(set(shown))), (len(shown), len(every)))
        for family in every:
            if family.kind == "counter":
                self.assertTrue(family.name.endswith("_total"), family.name)

    def test_whole(self) -> None:
        """A scrape has the same series in both formats, the standard ones included, and ends once."""
        metrics = Metrics(Config(), Clock())
        text = b"".join(metrics.text(open_metrics=True)).decode()
        self.assertTrue(text.endswith("\n# EOF\n"))
        self.assertEqual(1, text.count("# EOF"))
        ours = {(s.name, *s.labels) for f in parse(text) for s in f.samples}
        theirs = {(s.name, *s.labels) for f in parse_text(b"".join(metrics.text()).decode()) for s in f.samples}
        self.assertEqual(theirs, {one for one in ours if not one[0].endswith("_created")})
