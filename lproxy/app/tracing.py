# -*- test-case-name: tests.app.test_tracing -*-
"""
Traces, where the configuration wants some: what that needs is an extra, and imported no sooner.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from lproxy.app.surroundings import Surroundings
from lproxy.config import Tracing
from lproxy.errors import Failed, one_line
from lproxy.protocols.tracing import Tracer


class ClosingTracer(Tracer, Protocol):
    """One that sends what it has made until it is closed."""

    def close(self) -> None:
        """Nothing more is traced; what waits is sent, within seconds, while others go on."""


class NoTraces(Exception):
    """They are configured, and what they need is not installed."""


def tracer(config: Tracing, around: Surroundings) -> ClosingTracer | None:
    """
    What makes spans and sends them; C{None} where nothing is traced.

    @raise NoTraces: it cannot be had
    """
    if not config.endpoint:
        return None
    try:
        from lproxy.app.otel import Otel
    except ImportError as e:
        raise NoTraces(f"tracing.endpoint: needs pip install 'lproxy[otel]': {e}") from e
    return Otel(config, around.metrics.spans, partial(_failed, config.endpoint, around))


def _failed(endpoint: str, around: Surroundings, why: str) -> None:
    """Called in another thread."""
    text = f"tracing: {endpoint}: spans are lost: {one_line(why)}"
    around.reactor.callFromThread(around.warn, "tracing", text, Failed("tracing", endpoint, why, None))
