# -*- test-case-name: tests.protocols.test_tracing -*-
"""
Traces, as protocols see them: somebody makes spans and sends them away; what goes over the wire is the protocol's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

Kind = Literal["server", "client", "internal"]
#: by names of OpenTelemetry's semantic conventions
Attributes = Mapping[str, str | int]


class Parent(NamedTuple):
    """
    What a span is part of.

    @ivar trace_id: 32 lower case hexadecimal digits
    @ivar span_id: 16 of the span above it; empty: it is the first of its trace
    """

    trace_id: str
    span_id: str = ""


class Span(Protocol):
    """Something that is under way."""

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""

    def end(self, at: float, attributes: Attributes, error: str = "") -> None:
        """
        It is over.

        @param at: seconds of the epoch
        @param error: what went wrong, in one word; empty: nothing
        """


class Tracer(Protocol):
    """
    Makes spans of traces that are sampled.

    @ivar propagation: in which formats upstreams are told of traces, besides those that the request came with
    @ivar threshold: a trace without a parent is sampled where the last 16 digits of its id are less, as text
    """

    propagation: tuple[str, ...]
    threshold: str

    def now(self) -> float:
        """Seconds of the epoch."""

    def span(self, name: str, kind: Kind, at: float, parent: Parent) -> Span:
        """
        One that has begun.

        @param at: when, in seconds of the epoch
        """
