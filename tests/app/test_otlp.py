# -*- test-case-name: tests.app.test_otlp -*-
"""
L{lproxy.app.otlp}: held against the SDK's own encoder, and decoded by opentelemetry-proto.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.components import require

TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"


class EncoderTests(SynchronousTestCase):
    """The same bytes, in less time."""

    def setUp(self) -> None:
        require(packages=("opentelemetry.proto", "opentelemetry.sdk"))

    def ended(self, **more: Any) -> Any:
        from lproxy.app.otlp import Ended

        values = {"url.path": "/a", "server.port": 80}
        return Ended(TRACE, SPAN, PARENT, "GET", "server", 1, 2, values, False)._replace(**more)

    def decoded(self, *spans: Any) -> Any:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        from lproxy.app.otlp import Encoder

        request = ExportTraceServiceRequest()
        request.ParseFromString(Encoder({"service.name": "edge"}, "lproxy", "1")(spans))
        return request

    def test_as_the_sdk(self) -> None:
        """What the SDK makes of such a span, but for flags that it leaves out."""
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

        for failed, kind in ((False, "server"), (True, "client"), (False, "internal")):
            mine = self.decoded(self.ended(failed=failed, kind=kind))
            theirs = encode_spans(
                [
                    ReadableSpan(
                        "GET",
                        SpanContext(int(TRACE, 16), int(SPAN, 16), False),
                        SpanContext(int(TRACE, 16), int(PARENT, 16), kind == "server"),
                        Resource({"service.name": "edge"}),
                        {"url.path": "/a", "server.port": 80},
                        kind=SpanKind[kind.upper()],
                        start_time=1,
                        end_time=2,
                        status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
                        instrumentation_scope=InstrumentationScope("lproxy", "1"),
                    )
                ]
            )
            for request in (mine, theirs):
                for span in request.resource_spans[0].scope_spans[0].spans:
                    span.flags &= ~1
                    if not failed:
                        span.ClearField("status")
            self.assertEqual(str(theirs), str(mine))

    def test_root(self) -> None:
        """The first span of a trace has none above it."""
        (span,) = self.decoded(self.ended(parent_id="")).resource_spans[0].scope_spans[0].spans
        self.assertEqual((b"", 0x101), (span.parent_span_id, span.flags))

    def test_many(self) -> None:
        """All of one resource, in their order."""
        (resource,) = self.decoded(*(self.ended(began=n) for n in range(100))).resource_spans
        self.assertEqual(list(range(100)), [span.start_time_unix_nano for span in resource.scope_spans[0].spans])

    def test_kept(self) -> None:
        """Attributes that were met are kept, and not without bound: clients choose them."""
        from lproxy.app.otlp import KEPT, attribute

        self.assertIs(attribute("a", "b"), attribute("a", "b"))
        for n in range(2 * KEPT):
            attribute("url.path", f"/{n}")
        self.assertLessEqual(attribute.cache_info().currsize, KEPT)
