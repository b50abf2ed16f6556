# -*- test-case-name: tests.app.test_otlp -*-
"""
L{lproxy.app.otlp}: spans on the wire, held against the SDK's own encoder.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.tracing import Attributes, Kind, Parent
from tests.components import require

TRACE, SPAN, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
DAY = 1_764_000_000.25
ATTRIBUTES: Attributes = {"url.path": "/a" * 100, "server.port": 0, "http.response.status_code": 503, "x": "\u00e9"}


class EncoderTests(SynchronousTestCase):
    """What a collector reads is what it would read of the SDK's."""

    def setUp(self) -> None:
        require(packages=("opentelemetry.sdk", "opentelemetry.exporter"))
        from opentelemetry.sdk.resources import Resource

        from lproxy.app.otel import SCOPE
        from lproxy.app.otlp import Encoder

        self.resource, self.scope = Resource.create({"service.name": "edge"}), SCOPE
        self.encoder = Encoder(self.resource, SCOPE)

    def theirs(self, kind: Kind, above: str, attributes: Attributes, failed: bool) -> Any:
        """A span as the SDK has it."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

        trace_id = int(TRACE, 16)
        return ReadableSpan(
            "GET",
            SpanContext(trace_id, int(SPAN, 16), False),
            SpanContext(trace_id, int(above, 16), kind == "server") if above else None,
            self.resource,
            attributes,
            kind=SpanKind[kind.upper()],
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=int(DAY * 1e9),
            end_time=int((DAY + 2) * 1e9),
            instrumentation_scope=self.scope,
        )

    def test_same(self) -> None:
        """All kinds, with parents and without, failed or not, with attributes and without."""
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        from lproxy.app.otlp import Ended

        kinds: tuple[Kind, ...] = ("internal", "server", "client")
        cases = [
            (kind, above, attributes, failed)
            for kind in kinds
            for above in ("", ABOVE)
            for attributes in (ATTRIBUTES, {})
            for failed in (False, True)
        ]
        ours = [
            Ended("GET", kind, SPAN, Parent(TRACE, above), DAY, DAY + 2, attributes, failed)
            for kind, above, attributes, failed in cases
        ]
        wanted = encode_spans([self.theirs(*case) for case in cases])
        found = ExportTraceServiceRequest.FromString(self.encoder.encode(ours))
        for span in wanted.resource_spans[0].scope_spans[0].spans:
            # as good as none
            if not span.status.code:
                span.ClearField("status")
        self.assertEqual(wanted, found)
        self.assertEqual(found, ExportTraceServiceRequest.FromString(self.encoder.encode(ours)), "once more")

    def test_bounded(self) -> None:
        """Clients choose values, and cannot fill memory with long ones, nor with many."""
        from lproxy.app import otlp

        for n in range(otlp.MEMO + 10):
            otlp._attribute("url.path", f"/{n}")
        before = otlp._made.cache_info()
        self.assertEqual(otlp.MEMO, before.currsize)
        self.assertEqual("/" * 5_000, otlp._attribute("url.path", "/" * 5_000).value.string_value)
        self.assertEqual(before, otlp._made.cache_info())
