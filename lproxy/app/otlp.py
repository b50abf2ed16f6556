# -*- test-case-name: tests.app.test_otlp -*-
"""
Spans as OTLP has them on the wire (opentelemetry-proto, C{trace.proto}), by OpenTelemetry's own messages.

The SDK would encode spans, too, and takes six times as long: it looks at the resource anew for each of them, and makes
a message of each attribute, most of which were there before.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from lproxy.protocols.tracing import Attributes, Kind, Parent

#: attributes that are kept, and characters of a value that is
MEMO: Final = 4096
LONG: Final = 64
KINDS: Final[dict[Kind, int]] = {
    "internal": Span.SPAN_KIND_INTERNAL,
    "server": Span.SPAN_KIND_SERVER,
    "client": Span.SPAN_KIND_CLIENT,
}
#: what is known of a parent: whether it is another process's
LOCAL: Final = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
REMOTE: Final = LOCAL | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
FAILED: Final = Status(code=Status.STATUS_CODE_ERROR)


class Ended(NamedTuple):
    """
    A span that is over.

    @ivar began: seconds of the epoch, as C{ended}
    """

    name: str
    kind: Kind
    span_id: str
    parent: Parent
    began: float
    ended: float
    attributes: Attributes
    failed: bool


class Encoder:
    """Of the spans of one process, told as C{resource}, and of one C{scope} in it."""

    def __init__(self, resource: Resource, scope: InstrumentationScope) -> None:
        # what is around the spans, as the SDK has it
        one = ReadableSpan("", SpanContext(1, 1, False), resource=resource, instrumentation_scope=scope)
        self._around = encode_spans([one])
        del self._around.resource_spans[0].scope_spans[0].spans[:]

    def encode(self, spans: Iterable[Ended]) -> bytes:
        """The body of one request."""
        request = ExportTraceServiceRequest()
        request.CopyFrom(self._around)
        add = request.resource_spans[0].scope_spans[0].spans.add
        for name, kind, span_id, parent, began, ended, attributes, failed in spans:
            add(
                trace_id=bytes.fromhex(parent.trace_id),
                span_id=bytes.fromhex(span_id),
                parent_span_id=bytes.fromhex(parent.span_id),
                name=name,
                kind=KINDS[kind],
                start_time_unix_nano=_nanoseconds(began),
                end_time_unix_nano=_nanoseconds(ended),
                attributes=[_attribute(key, value) for key, value in attributes.items()],
                status=FAILED if failed else None,
                # what asked the server is another process; the spans of one request are ours
                flags=REMOTE if kind == "server" and parent.span_id else LOCAL,
            )
        encoded: bytes = request.SerializeToString()
        return encoded


def _attribute(key: str, value: str | int) -> KeyValue:
    """One, perhaps of those that there were before; what is long is no longer kept than it is needed."""
    return _made(key, value) if isinstance(value, int) or len(value) <= LONG else _make(key, value)


def _make(key: str, value: str | int) -> KeyValue:
    return KeyValue(
        key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
    )


_made = lru_cache(MEMO)(_make)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
