# -*- test-case-name: tests.app.test_otel -*-
"""
Traces by OpenTelemetry's SDK, which is an extra, C{lproxy[otel]}: imported where traces are configured, nowhere else.

The SDK makes the spans. Which traces are sampled is decided before, so that those which are not cost no span; and they
are sent by L{lproxy.app.spans}, as the SDK's own batches are neither counted nor bounded at the end.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as ApiSpan

import lproxy
from lproxy.app.spans import Sender
from lproxy.config import Tracing
from lproxy.metrics.tracing import SpanCounts
from lproxy.protocols.tracing import Attributes, Kind, Parent, Span

#: seconds for one batch, all tries included
TIMEOUT = 3.0
#: where a collector takes traces, if its URL names no other place (OTLP specification)
PATH = "/v1/traces"
KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
#: more than any 16 digits: all are sampled
ALL = "g"


class Said(logging.Handler):
    """
    What the exporter says, which goes to no other log.

    @ivar last: the last of it
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Called with all of it."""
        self.last = record.getMessage()


class Ids(IdGenerator):
    """
    Span ids at random, and the trace id that was chosen already.

    @ivar chosen: of the next span that has no parent
    """

    def __init__(self) -> None:
        self.chosen = ""

    def generate_trace_id(self) -> int:
        """Called for the first span of a trace."""
        return int(self.chosen, 16)

    def generate_span_id(self) -> int:
        """Called for each span."""
        return random.getrandbits(64) or 1


class Ended(SpanProcessor):
    """Hands over each span that is over."""

    def __init__(self, put: Callable[[ReadableSpan], None]) -> None:
        self._put = put

    def on_end(self, span: ReadableSpan) -> None:
        """Called by the SDK."""
        self._put(span)


class OtelSpan:
    """A L{Span<lproxy.protocols.tracing.Span>}."""

    def __init__(self, span: ApiSpan) -> None:
        self._span = span
        self.span_id = f"{span.get_span_context().span_id:016x}"

    def end(self, at: float, attributes: Attributes, error: str = "") -> None:
        """It is over."""
        self._span.set_attributes(attributes)
        if error:
            self._span.set_status(StatusCode.ERROR)
        self._span.end(_nanoseconds(at))


class Otel:
    """A L{Tracer<lproxy.protocols.tracing.Tracer>}, which sends what it has made until it is closed."""

    def __init__(self, config: Tracing, counts: SpanCounts, failed: Callable[[str], None]) -> None:
        """
        @param failed: told why spans could not be sent, in a thread of its own
        """
        self.propagation: tuple[str, ...] = config.propagation
        self.threshold = threshold(config.sample)
        self._said = Said()
        logger = logging.getLogger("opentelemetry.exporter")
        logger.addHandler(self._said)
        logger.propagate = False
        self._exporter = OTLPSpanExporter(traces_url(config.endpoint), timeout=TIMEOUT, compression=Compression.Gzip)
        self._sender = Sender(self._export, counts, failed, time.monotonic)
        self._ids = Ids()
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": config.service}),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        provider.add_span_processor(Ended(self._sender.put))
        self._tracer = provider.get_tracer("lproxy", lproxy.__version__)

    def __repr__(self) -> str:
        return f"<Otel {self._sender!r}>"

    def now(self) -> float:
        """Seconds of the epoch."""
        return time.time()

    def span(self, name: str, kind: Kind, at: float, parent: Parent) -> Span:
        """One that has begun."""
        context: Any = None
        if parent.span_id:
            above = SpanContext(
                int(parent.trace_id, 16), int(parent.span_id, 16), kind == "server", trace_flags=TraceFlags(1)
            )
            context = set_span_in_context(NonRecordingSpan(above))
        else:
            self._ids.chosen = parent.trace_id
        return OtelSpan(self._tracer.start_span(name, context, KINDS[kind], start_time=_nanoseconds(at)))

    def close(self) -> None:
        """Nothing more is traced; what waits is sent, within seconds."""
        self._sender.close()

    def join(self) -> None:
        """Wait until it is."""
        self._sender.join()

    def _export(self, spans: list[Any]) -> str:
        self._said.last = ""
        if self._exporter.export(spans) is SpanExportResult.SUCCESS:
            return ""
        return self._said.last or "the collector does not take them"


def threshold(sample: float) -> str:
    """What the last 16 digits of a trace's id are less than, as text, where a part C{sample} of all is sampled."""
    bound = round(sample * (1 << 64))
    return ALL if bound >= 1 << 64 else f"{bound:016x}"


def traces_url(endpoint: str) -> str:
    """Where spans go: C{endpoint} itself, where it has a path."""
    parts = urlsplit(endpoint)
    return endpoint if parts.path.strip("/") else parts._replace(path=PATH).geturl()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
