# -*- test-case-name: tests.protocols.http.test_trace -*-
"""
A tracer that remembers what it was told.
"""

from __future__ import annotations

from typing import Any

from lproxy.protocols.tracing import Attributes, Kind, Parent


class ScriptedSpan:
    """One that began at C{at}."""

    def __init__(self, name: str, kind: Kind, at: float, parent: Parent, span_id: str) -> None:
        self.name, self.kind, self.at, self.parent, self.span_id = name, kind, at, parent, span_id
        self.ended: list[float] = []
        self.attributes: dict[str, Any] = {}
        self.error = ""

    def end(self, at: float, attributes: Attributes, error: str = "") -> None:
        """As a span's."""
        self.ended.append(at)
        self.attributes, self.error = dict(attributes), error


class ScriptedTracer:
    """
    A L{Tracer<lproxy.protocols.tracing.Tracer>}.

    @ivar spans: in the order of their beginnings
    """

    def __init__(self, threshold: str = "g", propagation: tuple[str, ...] = ("tracecontext",)) -> None:
        self.threshold, self.propagation = threshold, propagation
        self.spans: list[ScriptedSpan] = []

    def now(self) -> float:
        """Some day."""
        return 1_764_000_000.0

    def span(self, name: str, kind: Kind, at: float, parent: Parent) -> ScriptedSpan:
        """The ids are numbers."""
        span = ScriptedSpan(name, kind, at, parent, f"{len(self.spans) + 1:016x}")
        self.spans.append(span)
        return span
