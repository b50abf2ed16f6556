# -*- test-case-name: tests.metrics.test_detection -*-
"""
L{lproxy.metrics.detection}: the families of listeners.
"""

from __future__ import annotations

from lproxy.metrics.counters import SECONDS
from tests.metrics.case import MetricsCase


class DetectionTests(MetricsCase):
    """By listener."""

    def test_values(self) -> None:
        """What was counted is what is shown."""
        detect = self.metrics.detect("in")
        self.assertIs(detect, self.metrics.detect("in"))
        detect.done("http", 0.5)
        detect.refused["limit"] = 1
        detect.headers["v2"] = 1
        detect.denied["plain"] = 1
        self.metrics.detect("out").done("http", 0.5)
        for name, labels in (
            ("detect_total", {"result": "http"}),
            ("detect_duration_seconds_count", {}),
            ("accept_refused_total", {"reason": "limit"}),
            ("policy_denied_total", {"reason": "plain"}),
            ("proxy_protocol_total", {"result": "v2"}),
        ):
            self.assertEqual([1], self.values(name, listener="in", **labels), name)

    def test_for_good(self) -> None:
        """Listeners keep their series."""
        self.metrics.detect("in").done("http", 0.0)
        for _ in range(3):
            self.clock.advance(100_000)
            self.text()
        self.assertEqual([1], self.values("detect_total"))

    def test_bounds(self) -> None:
        """Bounds are written as numbers that Prometheus compares as text: always the same."""
        self.metrics.detect("a")
        found = [s.labels["le"] for s in self.samples("detect_duration_seconds_bucket")]
        self.assertEqual([f"{bound:g}" for bound in SECONDS] + ["+Inf"], found)
