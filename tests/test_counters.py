# -*- test-case-name: tests.test_counters -*-
"""
L{lproxy.counters}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.counters import (
    LATENCY_MS,
    OVERHEAD_SECONDS,
    SECONDS,
    AcquireCounter,
    DetectCounter,
    Histogram,
    HttpCounter,
    HttpFaults,
    TransportCounter,
)


class Connection:
    """What L{TransportCounter} needs of one."""

    def __init__(self, bytes_in: int = 0, bytes_out: int = 0, errno: str = "") -> None:
        self.bytes_in = bytes_in
        self.bytes_out = bytes_out
        self.errno = errno


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
        """All bounds rise; latency has linkerd's, 1 ms to 50 s."""
        for bounds in (SECONDS, OVERHEAD_SECONDS, LATENCY_MS):
            self.assertEqual(sorted(set(bounds)), list(bounds))
        self.assertEqual((1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100), LATENCY_MS[:11])
        self.assertEqual(50_000, LATENCY_MS[-1])


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

    def test_http(self) -> None:
        """A route begins with nothing, and every reason counts by itself."""
        self.assertEqual((0, {}), (HttpCounter().requests, HttpCounter().responses))
        faults = HttpFaults()
        for reason in ("timeout", "timeout", "refused"):
            faults.error(reason)
        faults.reject("slow")
        self.assertEqual(({"timeout": 2, "refused": 1}, {"slow": 1}), (faults.errors, faults.rejected))

    def test_slotted(self) -> None:
        """No counter has a dictionary for attributes: there are many."""
        for counter in (
            Histogram((1.0,)),
            TransportCounter(),
            DetectCounter(),
            AcquireCounter(),
            HttpCounter(),
            HttpFaults(),
        ):
            self.assertFalse(hasattr(counter, "__dict__"), counter)
