# -*- test-case-name: tests.metrics.test_counters -*-
"""
L{lproxy.metrics.counters}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.counters import SECONDS, AcquireCounter, DetectCounter, Histogram, TransportCounter
from tests.metrics.case import Connection


class HistogramTests(SynchronousTestCase):
    """Values by bucket."""

    def test_bounds(self) -> None:
        """A value equal to a bound is in that bound's bucket, one above it in the next, the largest in the last."""
        histogram = Histogram((1.0, 2.0))
        for value in (0.0, 1.0, 1.0001, 2.0, 2.5, 1e9):
            histogram.observe(value)
        self.assertEqual([2, 2, 2], histogram.counts)
        self.assertEqual(1e9 + 6.5001, histogram.total)

    def test_clock_set_back(self) -> None:
        """A negative time is counted as none, and the sum never falls."""
        histogram = Histogram((1.0,))
        histogram.observe(0.5)
        histogram.observe(-3600.0)
        self.assertEqual([2, 0], histogram.counts)
        self.assertEqual(0.5, histogram.total)

    def test_ascending(self) -> None:
        """All bounds rise."""
        self.assertEqual(sorted(set(SECONDS)), list(SECONDS))


class TransportCounterTests(SynchronousTestCase):
    """Connections of one label set."""

    def setUp(self) -> None:
        self.counter = TransportCounter()

    def test_live(self) -> None:
        """Bytes of connections that are still open are in the totals as they move."""
        a, b = Connection(1, 10), Connection(2, 20)
        self.counter.open(a, 0.0)
        self.counter.open(b, 0.0)
        self.assertEqual((3, 30), self.counter.totals())
        a.bytes_in += 100
        self.assertEqual((103, 30), self.counter.totals())
        self.counter.close(a, 1.0)
        self.assertEqual((103, 30), self.counter.totals())
        self.assertEqual([b], list(self.counter.live))
        self.assertEqual(2, self.counter.opened)

    def test_closed_once(self) -> None:
        """Closing twice, or what was never opened, counts once, or not at all."""
        a = Connection(5, 6)
        self.counter.open(a, 1.0)
        for _ in range(2):
            self.counter.close(a, 3.0)
        self.counter.close(Connection(7, 8), 3.0)
        self.assertEqual({"": 1}, self.counter.closed)
        self.assertEqual((5, 6), self.counter.totals())
        self.assertEqual((1, 2.0), (sum(self.counter.duration.counts), self.counter.duration.total))

    def test_mark(self) -> None:
        """It changes with every connection that opens or closes, and an open one holds the counter."""
        seen = [self.counter.mark()]
        connection = Connection()
        for step in (self.counter.open, self.counter.close, self.counter.open, self.counter.close):
            step(connection, 0.0)
            seen.append(self.counter.mark())
            self.assertEqual(step == self.counter.open, self.counter.held())
        self.assertEqual(len(seen), len(set(seen)))

    def test_errno(self) -> None:
        """Closes are told apart by the symbol of their error, which is empty for a clean one."""
        for errno in ("", "ECONNRESET", "", "EPIPE"):
            connection = Connection(errno=errno)
            self.counter.open(connection, 0.0)
            self.counter.close(connection, 0.0)
        self.assertEqual({"": 2, "ECONNRESET": 1, "EPIPE": 1}, self.counter.closed)


class OtherCounterTests(SynchronousTestCase):
    """Results, outcomes and reasons by name."""

    def test_detect(self) -> None:
        """Every detection counts once, with its duration."""
        counter = DetectCounter()
        for result in ("http", "tcp", "http"):
            counter.done(result, 0.5)
        self.assertEqual({"http": 2, "tcp": 1}, counter.results)
        self.assertEqual((3, 1.5), (sum(counter.duration.counts), counter.duration.total))

    def test_acquire(self) -> None:
        """Each outcome has a histogram of its own; ready ones are an integer."""
        counter = AcquireCounter()
        counter.done("waited", 0.25)
        counter.done("timed_out", 3.0)
        counter.done("waited", 0.25)
        self.assertEqual(0, counter.ready)
        self.assertEqual(
            {"waited": (2, 0.5), "timed_out": (1, 3.0)},
            {outcome: (sum(h.counts), h.total) for outcome, h in counter.durations.items()},
        )

    def test_slotted(self) -> None:
        """No counter has a dictionary for attributes: there are many."""
        for counter in (
            Histogram((1.0,)),
            TransportCounter(),
            DetectCounter(),
            AcquireCounter(),
        ):
            self.assertFalse(hasattr(counter, "__dict__"), counter)
