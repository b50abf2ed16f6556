# -*- test-case-name: tests.app.test_otlp -*-
"""
Spans as OpenTelemetry's protocol has them (OTLP, protobuf).

The SDK has an encoder, too, which takes longer for the spans of a request than the whole request does: it makes every
attribute anew, and serialises the resource for each span, to find out whether it is another. Here, attributes that were
met before are kept, and there is one resource.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Encoded

from lproxy.protocols.tracing import Attributes, Kind

KINDS = {
    "internal": Encoded.SpanKind.SPAN_KIND_INTERNAL,
    "server": Encoded.SpanKind.SPAN_KIND_SERVER,
    "client": Encoded.SpanKind.SPAN_KIND_CLIENT,
}
#: sampled (of W3C), and that it is known whether the parent is another process's; that it is
FLAGS = 1 | 0x100
REMOTE = 0x200
#: attributes that are kept
KEPT = 4_096
FAILED = Status(code=Status.StatusCode.STATUS_CODE_ERROR)


class Ended(NamedTuple):
    """
    A span that is over.

    @ivar parent_id: 16 digits of the span above it, or none
    @ivar began: nanoseconds of the epoch, and C{ended}
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: Kind
    began: int
    ended: int
    attributes: Attributes
    failed: bool


class Encoder:
    """Of spans that are all of one resource and one scope."""

    def __init__(self, resource: Attributes, name: str, version: str) -> None:
        """
        @param name: of whoever makes the spans, and its version
        """
        self._resource = Resource(attributes=[attribute(*pair) for pair in resource.items()])
        self._scope = InstrumentationScope(name=name, version=version)

    def __call__(self, spans: Iterable[Ended]) -> bytes:
        """The body of a request that exports C{spans}."""
        scope = ScopeSpans(scope=self._scope, spans=map(encoded, spans))
        request = ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=self._resource, scope_spans=[scope])]
        )
        body: bytes = request.SerializeToString()
        return body


def encoded(span: Ended) -> Encoded:
    """One of them."""
    return Encoded(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id),
        flags=FLAGS | REMOTE if span.kind == "server" and span.parent_id else FLAGS,
        name=span.name,
        kind=KINDS[span.kind],
        start_time_unix_nano=span.began,
        end_time_unix_nano=span.ended,
        attributes=[attribute(*pair) for pair in span.attributes.items()],
        status=FAILED if span.failed else None,
    )


@lru_cache(KEPT)
def attribute(key: str, value: str | int) -> KeyValue:
    """One of a span's attributes."""
    known = AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value)
    return KeyValue(key=key, value=known)
