# -*- test-case-name: tests.app.test_spans -*-
"""
L{lproxy.app.spans}: spans on their way, in a thread of their own.
"""

from __future__ import annotations

import threading
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import spans
from lproxy.app.spans import BATCH, LAST, QUEUE, Sender
from lproxy.metrics.tracing import DROPPED, EXPORTED, FAILED, OUTCOMES, SpanCounts


class SenderTests(SynchronousTestCase):
    """Sent, failed or dropped, each span is counted once."""

    def setUp(self) -> None:
        self.patch(spans, "INTERVAL", 0.01)
        self.counts = SpanCounts()
        self.sent: list[list[Any]] = []
        self.errors: list[str] = []
        self.why = ""
        self.now = 0.0
        #: set: the collector answers
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        self.sender = Sender(self.export, self.counts, self.errors.append, lambda: self.now)
        self.addCleanup(self.end)

    def end(self) -> None:
        self.answers.set()
        self.sender.close()
        self.sender.join()

    def export(self, batch: list[Any]) -> str:
        self.asked.set()
        self.answers.wait(10)
        self.sent.append(batch)
        if self.why == "raise":
            raise KeyError("odd")
        return self.why

    def counted(self) -> tuple[int, ...]:
        return tuple(self.counts[outcome] for outcome in OUTCOMES)

    def test_sent(self) -> None:
        """In order, by another thread, which begins with the first."""
        before = threading.active_count()
        self.sender.close()
        self.sender.join()
        self.assertEqual(before, threading.active_count())
        self.sender = Sender(self.export, self.counts, self.errors.append, lambda: self.now)
        for n in range(BATCH + 10):
            self.sender.put(n)
        self.end()
        self.assertEqual(list(range(BATCH + 10)), [n for batch in self.sent for n in batch])
        self.assertTrue(all(len(batch) <= BATCH for batch in self.sent))
        self.assertEqual((BATCH + 10, 0, 0), self.counted())
        self.assertEqual(before, threading.active_count())

    def test_soon(self) -> None:
        """It does not wait for the end."""
        self.sender.put(1)
        self.assertTrue(self.asked.wait(5))

    def test_done(self) -> None:
        """The end is told once, whether there was anything to be sent or not."""
        for spans_put in (0, 1):
            ended: list[int] = []
            sender = Sender(self.export, self.counts, self.errors.append, lambda: self.now, lambda: ended.append(1))  # noqa: B023
            for n in range(spans_put):
                sender.put(n)
            self.assertEqual([], ended)
            sender.close()
            sender.close()
            sender.join()
            self.assertEqual([1], ended)

    def test_failed(self) -> None:
        """What the collector does not take is counted, and told why; what raises is, too."""
        self.why = "connection refused"
        self.sender.put(1)
        self.end()
        self.assertEqual(((0, 1, 0), ["connection refused"]), (self.counted(), self.errors))

    def test_raised(self) -> None:
        """An exporter that raises costs its spans, not the thread."""
        self.why = "raise"
        self.sender.put(1)
        self.end()
        self.assertEqual(((0, 1, 0), ["KeyError: 'odd'"]), (self.counted(), self.errors))

    def test_slow(self) -> None:
        """A collector that does not answer costs spans beyond a queue, and nobody's time."""
        self.answers.clear()
        self.sender.put(0)
        self.assertTrue(self.asked.wait(5))
        for n in range(QUEUE + 5):
            self.sender.put(n)
        self.assertEqual(5, self.counts[DROPPED])
        self.end()
        self.assertEqual((QUEUE + 1, 0, 5), self.counted())

    def test_end_is_bounded(self) -> None:
        """At the end there are seconds for what waits, no more; nothing is taken after it."""
        self.answers.clear()
        for n in range(3 * BATCH):
            self.sender.put(n)
        self.assertTrue(self.asked.wait(5))
        self.sender.close()
        self.now = LAST
        self.answers.set()
        self.sender.join()
        self.assertEqual(3 * BATCH, sum(self.counted()))
        self.assertGreaterEqual(self.counts[DROPPED], 2 * BATCH)
        self.assertGreater(self.counts[EXPORTED], 0)
        self.sender.put(1)
        self.assertEqual((3 * BATCH + 1, 0), (sum(self.counted()), self.counts[FAILED]))
