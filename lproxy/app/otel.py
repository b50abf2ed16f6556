# -*- test-case-name: tests.app.test_otel -*-
"""
Traces by OpenTelemetry's SDK, which is an extra, C{lproxy[otel]}: imported where traces are configured, nowhere else.

The SDK knows what is told of the process (the resource), and how a collector is asked: OTLP over HTTP, its retries and
its environment variables. Which traces are sampled is decided before there is a span, and spans are encoded and sent in
a thread of their own (L{lproxy.app.otlp}, L{lproxy.app.spans}).
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

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
#: who makes the spans
SCOPE: Final = InstrumentationScope("lproxy", lproxy.__version__)


# what the exporter says we are told as well, and tell: in our log, and at our rate
_logger = logging.getLogger("opentelemetry.exporter")
_logger.addHandler(logging.NullHandler())
_logger.propagate = False


class Exporter(OTLPSpanExporter):
    """The SDK's, which sends what is encoded already."""

    def send(self, request: bytes) -> str:
        """Why the collector has not taken it, within L{TIMEOUT}; empty: it has."""
        done = self._client.export(request)
        # the SDK takes a redirection, which it does not follow, for success
        if done.success and (done.status_code is None or done.status_code < 300):
            return ""
        if done.status_code is not None:
            return f"the collector answers {done.status_code} {done.reason or ''}".rstrip()
        return f"the collector does not answer: {done.error or f'not within {TIMEOUT:g} s'}"


class OtelSpan:
    """A L{Span<lproxy.protocols.tracing.Span>}, which is put into the queue once it is over."""

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
        self._put(Ended(self._name, self._kind, self.span_id, self._parent, self._at, at, attributes, error != ""))


class Otel:
    """A L{Tracer<lproxy.protocols.tracing.Tracer>}, which sends what it has made until it is closed."""

    def __init__(self, config: Tracing, counts: SpanCounts, failed: Callable[[str], None]) -> None:
        """
        @param failed: told why spans could not be sent, in a thread of its own
        """
        self.propagation: tuple[str, ...] = config.propagation
        self.threshold = threshold(config.sample)
        self._exporter = Exporter(traces_url(config.endpoint), timeout=TIMEOUT)
        self._encoder = Encoder(Resource.create({"service.name": config.service}), SCOPE)
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

    def _export(self, spans: list[Ended]) -> str:
        return self._exporter.send(self._encoder.encode(spans))


def threshold(sample: float) -> str:
    """What the last 16 digits of a trace's id are less than, as text, where a part C{sample} of all is sampled."""
    bound = round(sample * (1 << 64))
    return ALL if bound >= 1 << 64 else f"{bound:016x}"


def traces_url(endpoint: str) -> str:
    """Where spans go: C{endpoint} itself, where it has a path."""
    parts = urlsplit(endpoint)
    return endpoint if parts.path.strip("/") else parts._replace(path=PATH).geturl()
