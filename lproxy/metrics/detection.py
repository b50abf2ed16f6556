# -*- test-case-name: tests.metrics.test_detection -*-
"""
The families of listeners: what connections turned out to speak, and those that were not accepted.
"""

from __future__ import annotations

from collections.abc import Iterator

from lproxy.metrics.counters import DetectCounter
from lproxy.metrics.family import Family, Labels


class Detections:
    """A counter for each listener. They stay."""

    def __init__(self) -> None:
        self._counters: dict[str, DetectCounter] = {}

    def counter(self, listener: str) -> DetectCounter:
        """Where the connections of C{listener} are counted."""
        counter = self._counters.get(listener)
        if counter is None:
            counter = self._counters[listener] = DetectCounter()
        return counter

    def families(self) -> Iterator[Family]:
        """As of now."""
        each: list[tuple[Labels, DetectCounter]] = [((("listener", n),), c) for n, c in self._counters.items()]
        yield Family(
            "detect_total",
            "counter",
            "Connections by the protocol that their first bytes showed, or by why they showed none.",
            (((*labels, ("result", r)), n) for labels, c in each for r, n in list(c.results.items())),
        )
        yield Family(
            "detect_duration_seconds",
            "histogram",
            "Time from accepting a connection until its protocol was known.",
            ((labels, c.duration) for labels, c in each),
        )
        yield Family(
            "accept_refused_total",
            "counter",
            "Connections closed as soon as they were accepted: limit (limits.connections), or out of descriptors.",
            (((*labels, ("reason", r)), n) for labels, c in each for r, n in list(c.refused.items())),
        )
        yield Family(
            "policy_denied_total",
            "counter",
            "Requests and connections refused because of who the client is (identity_required, identity_denied, "
            "identity_not_allowed), or because it came without TLS where there is nothing else (plain).",
            (((*labels, ("reason", r)), n) for labels, c in each for r, n in list(c.denied.items())),
        )
        yield Family(
            "proxy_protocol_total",
            "counter",
            "Connections of listeners that require a PROXY protocol header, by its version (local: its sender's, of "
            "health checks), or by why they were closed: eof, missing, malformed, timeout, untrusted.",
            (((*labels, ("result", r)), n) for labels, c in each for r, n in list(c.headers.items())),
        )
