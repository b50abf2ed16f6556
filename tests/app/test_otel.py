# -*- test-case-name: tests.app.test_otel -*-
"""
L{lproxy.app.otel}: spans as a collector gets them.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Tracing
from lproxy.metrics.tracing import OUTCOMES, SpanCounts
from lproxy.protocols.tracing import Parent
from tests.app.collector import Collector, attributes
from tests.components import require

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
DAY = 1_764_000_000.0


class OtelTests(SynchronousTestCase):
    """What was traced is what the collector has."""

    def setUp(self) -> None:
        require(packages=("opentelemetry.sdk", "opentelemetry.exporter"))
        self.counts = SpanCounts()
        self.errors: list[str] = []

    def tracer(self, endpoint: str, **more: Any) -> Any:
        from lproxy.app.otel import Otel

        tracer = Otel(Tracing(endpoint=endpoint, **more), self.counts, self.errors.append)
        self.addCleanup(tracer.close)
        return tracer

    def counted(self) -> tuple[int, ...]:
        return tuple(self.counts[outcome] for outcome in OUTCOMES)

    def test_sent(self) -> None:
        """Ids, times, kinds, attributes and failures; whose they are."""
        collector = Collector(self)
        tracer = self.tracer(collector.url, service="edge")
        server = tracer.span("GET", "server", DAY, Parent(TRACE, SPAN))
        call = tracer.span("call", "client", DAY + 1, Parent(TRACE, server.span_id))
        call.end(DAY + 2, {"server.port": 80}, "timeout")
        server.end(DAY + 3, {"url.path": "/a"})
        root = tracer.span("HEAD", "server", DAY, Parent("f" * 32))
        root.end(DAY, {})
        tracer.close()
        tracer.join()
        self.assertEqual((3, 0, 0), self.counted())
        self.assertEqual((["/v1/traces"], "edge"), (collector.paths, collector.resources[0]["service.name"]))
        first, second, third = collector.spans
        self.assertEqual((TRACE, TRACE, "f" * 32), tuple(span.trace_id.hex() for span in collector.spans))
        self.assertEqual((server.span_id, SPAN, ""), tuple(span.parent_span_id.hex() for span in collector.spans))
        self.assertEqual((call.span_id, server.span_id), (first.span_id.hex(), second.span_id.hex()))
        self.assertEqual((3, 2, 2), (first.kind, second.kind, third.kind), "client, server, server")
        self.assertEqual((DAY + 1, DAY + 2), (first.start_time_unix_nano / 1e9, first.end_time_unix_nano / 1e9))
        self.assertEqual(({"server.port": 80}, {"url.path": "/a"}), (attributes(first), attributes(second)))
        self.assertEqual((2, 0), (first.status.code, second.status.code), "error, unset")
        remote = tuple(span.flags >> 8 for span in collector.spans)
        self.assertEqual((1, 3, 1), remote, "whose parent is known to be remote: the server's, which has one")

    def test_one_resource(self) -> None:
        """What is told of the process is told once for all spans sent together, which keep their order."""
        collector = Collector(self)
        tracer = self.tracer(collector.url)
        for n in range(100):
            tracer.span("GET", "internal", DAY + n, Parent(TRACE)).end(DAY + n, {"lproxy.try": n})
        tracer.close()
        tracer.join()
        self.assertEqual(len(collector.paths), len(collector.resources))
        self.assertEqual([{"lproxy.try": n} for n in range(100)], [attributes(span) for span in collector.spans])
        self.assertEqual({1}, {span.kind for span in collector.spans}, "internal")

    def test_refused(self) -> None:
        """A collector that does not take them is told of, once for a batch, and nothing goes to another log."""
        collector = Collector(self)
        collector.status = 400
        tracer = self.tracer(collector.url)
        tracer.span("GET", "server", DAY, Parent(TRACE)).end(DAY, {})
        tracer.close()
        tracer.join()
        self.assertEqual((0, 1, 0), self.counted())
        self.assertEqual(["the collector answers 400 Bad Request"], self.errors)
        self.assertFalse(logging.getLogger("opentelemetry.exporter").propagate)

    def test_not_there(self) -> None:
        """One that leads elsewhere has taken nothing; nor has one that wants to be asked again later than we wait."""
        for status, fields, why in (
            (301, {"location": "https://otel.test/"}, "the collector answers 301 Moved Permanently"),
            (429, {"retry-after": "60"}, "the collector answers 429 Too Many Requests"),
        ):
            self.setUp()
            collector = Collector(self)
            collector.status, collector.fields = status, fields
            tracer = self.tracer(collector.url)
            tracer.span("GET", "server", DAY, Parent(TRACE)).end(DAY, {})
            tracer.close()
            tracer.join()
            self.assertEqual(((0, 1, 0), [why], 1), (self.counted(), self.errors, len(collector.paths)))

    def test_down(self) -> None:
        """One that is not there costs spans, and the end no more than seconds."""
        collector = Collector(self)
        tracer = self.tracer(collector.url)
        collector.close()
        tracer.span("GET", "server", DAY, Parent(TRACE)).end(DAY, {})
        began = time.monotonic()
        tracer.close()
        tracer.join()
        self.assertLess(time.monotonic() - began, 6)
        self.assertEqual((0, 1, 0), self.counted())
        (why,) = self.errors
        self.assertRegex(why, "^the collector does not answer: .*refused")

    def test_url(self) -> None:
        """A collector's URL may have the path, or not."""
        from lproxy.app.otel import traces_url

        for url, wanted in (
            ("http://a:4318", "http://a:4318/v1/traces"),
            ("http://a:4318/", "http://a:4318/v1/traces"),
            ("https://a/x/v1/traces", "https://a/x/v1/traces"),
        ):
            self.assertEqual(wanted, traces_url(url))

    def test_threshold(self) -> None:
        """Of all trace ids, the part that is wanted is less."""
        from lproxy.app.otel import threshold

        for sample, last, sampled in (
            (0.0, "0" * 16, False),
            (1.0, "f" * 16, True),
            (0.5, "7" + "f" * 15, True),
            (0.5, "8" + "0" * 15, False),
            (0.01, "028f5c28f5c28f00", True),
            (0.01, "028f5c28f5c29000", False),
        ):
            self.assertEqual(sampled, last < threshold(sample), (sample, last))
