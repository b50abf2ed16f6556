# -*- test-case-name: tests.app.test_otel -*-
"""
Traces by OpenTelemetry's SDK, which is an extra, C{lproxy[otel]}: imported where traces are configured, nowhere else.

The SDK knows what is told of the process (the resource) and how a collector is asked: OTLP over HTTP, its retries and
its environment variables. Which traces are sampled is decided before there is a span; spans are plain values until they
are sent, in a thread of their own (L{lproxy.app.spans}).
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource

import lproxy
from lproxy.app.otlp import Encoder, Ended
from lproxy.app.spans import Sender
from lproxy.config import Tracing
from lproxy.metrics.tracing import SpanCounts
from lproxy.protocols.tracing import Attributes, Kind, Parent, Span

#: seconds for one batch, all tries included
TIMEOUT = 3.0
#: where a collector takes traces, if its URL names no other place (OTLP specification)
PATH = "/v1/traces"
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


#: one for all: of two configurations, one is about to end
SAID = Said()
_logger = logging.getLogger("opentelemetry.exporter")
_logger.addHandler(SAID)
_logger.propagate = False


class Exporter(OTLPSpanExporter):
    """The SDK's, for what is encoded already."""

    def send(self, body: bytes) -> bool:
        """Whether the collector has taken it, within L{TIMEOUT}."""
        return self._client.export(body).success


class OtelSpan:
    """A L{Span<lproxy.protocols.tracing.Span>}."""

    __slots__ = ("_at", "_kind", "_name", "_parent", "_put", "span_id")

    def __init__(self, put: Callable[[Ended], None], name: str, kind: Kind, at: float, parent: Parent) -> None:
        self._put = put
        self._name = name
        self._kind = kind
        self._at = at
        self._parent = parent
        self.span_id = f"{random.getrandbits(64) or 1:016x}"

    def end(self, at: float, attributes: Attributes, error: str = "") -> None:
        """It is over."""
        trace_id, parent_id = self._parent
        began, ended = _nanoseconds(self._at), _nanoseconds(at)
        span = Ended(trace_id, self.span_id, parent_id, self._name, self._kind, began, ended, attributes, bool(error))
        self._put(span)


class Otel:
    """A L{Tracer<lproxy.protocols.tracing.Tracer>}, which sends what it has made until it is closed."""

    def __init__(self, config: Tracing, counts: SpanCounts, failed: Callable[[str], None]) -> None:
        """
        @param failed: told why spans could not be sent, in a thread of its own
        """
        self.propagation: tuple[str, ...] = config.propagation
        self.threshold = threshold(config.sample)
        self._exporter = Exporter(traces_url(config.endpoint), timeout=TIMEOUT)
        resource = Resource.create({"service.name": config.service}).attributes
        known = {key: value for key, value in resource.items() if isinstance(value, str | int)}
        self._encode = Encoder(known, "lproxy", lproxy.__version__)
        self._sender = Sender(self._export, counts, failed, time.monotonic, self._exporter.shutdown)

    def __repr__(self) -> str:
        return f"<Otel {self._sender!r}>"

    def now(self) -> float:
        """Seconds of the epoch."""
        return time.time()

    def span(self, name: str, kind: Kind, at: float, parent: Parent) -> Span:
        """One that has begun."""
        return OtelSpan(self._sender.put, name, kind, at, parent)

    def close(self) -> None:
        """Nothing more is traced; what waits is sent, within seconds."""
        self._sender.close()

    def join(self) -> None:
        """Wait until it is."""
        self._sender.join()

    def _export(self, spans: list[Any]) -> str:
        SAID.last = ""
        if self._exporter.send(self._encode(spans)):
            return ""
        return SAID.last or "the collector does not take them"


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
