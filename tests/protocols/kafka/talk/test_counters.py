# -*- test-case-name: tests.protocols.kafka.talk.test_counters -*-
"""
Tests for L{lproxy.protocols.kafka.talk.counters}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.talk.counters import SIZES, ApiCounter, VersionCounter
from tests.protocols.kafka.talk.scripted import Talk, answer, ask


class CounterTests(SynchronousTestCase):
    """What one frame adds."""

    def test_versions(self) -> None:
        """Versions of an API have their own counts of requests, and share its bytes."""
        api = ApiCounter()
        one, other = VersionCounter(api), VersionCounter(api)
        one.requests += 1
        other.api.request_bytes += 5
        self.assertEqual((1, 0, 5), (one.requests, other.requests, one.api.request_bytes))

    def test_sizes(self) -> None:
        """A request falls into the bucket of its size, from a heartbeat to the largest that a broker takes."""
        self.assertEqual((64.0, float(128 << 20)), (SIZES[0], SIZES[-1]))
        talk = Talk()
        for size in (20, 100, 200, 4096, 5000):
            talk.client(ask(12, 4, size, bytes(size - 15)))
            talk.broker(answer(12, 4, size))
        self.assertEqual([1, 1, 1, 0, 1, 1], talk.metrics.apis["Heartbeat"].sizes.counts[:6])
