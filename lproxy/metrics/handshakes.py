# -*- test-case-name: tests.metrics.test_handshakes -*-
"""
The families of TLS handshakes: those with clients (peer C{src}), and those with upstreams (peer C{dst}).
"""

from __future__ import annotations

from collections.abc import Iterator

from lproxy.metrics.counters import HandshakeCounter
from lproxy.metrics.family import Family, Labels


class Handshakes:
    """A counter for each side of each direction. They stay."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, str], HandshakeCounter] = {}

    def counter(self, direction: str, peer: str) -> HandshakeCounter:
        """Where the handshakes with clients (C{src}) or upstreams (C{dst}) of C{direction} are counted."""
        counter = self._counters.get((direction, peer))
        if counter is None:
            counter = self._counters[direction, peer] = HandshakeCounter()
        return counter

    def families(self) -> Iterator[Family]:
        """As of now."""
        # most proxies have TLS on one side, if at all
        each: list[tuple[Labels, HandshakeCounter]] = [
            ((("direction", direction), ("peer", peer)), c)
            for (direction, peer), c in self._counters.items()
            if c.done or c.resumed or c.failed
        ]
        yield Family(
            "tls_handshake_total",
            "counter",
            "TLS handshakes, with clients (peer=src) and upstreams (peer=dst), by outcome: ok, resumed (ok, with an "
            "earlier session), or failed, and for what reason.",
            (((*labels, *outcome), n) for labels, c in each for outcome, n in _outcomes(c)),
        )
        yield Family(
            "tls_handshake_duration_seconds",
            "histogram",
            "How long TLS handshakes took that came to a good end.",
            ((labels, c.duration) for labels, c in each),
        )


def _outcomes(counter: HandshakeCounter) -> Iterator[tuple[Labels, int]]:
    for outcome, n in (("ok", counter.done), ("resumed", counter.resumed)):
        yield (("outcome", outcome), ("reason", "")), n
    for reason, n in list(counter.failed.items()):
        yield (("outcome", "failed"), ("reason", reason)), n
