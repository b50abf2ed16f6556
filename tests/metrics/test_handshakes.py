# -*- test-case-name: tests.metrics.test_handshakes -*-
"""
L{lproxy.metrics.handshakes}: the families of TLS handshakes.
"""

from __future__ import annotations

from tests.metrics.case import MetricsCase


class HandshakeTests(MetricsCase):
    """By direction and side."""

    def test_values(self) -> None:
        """What was counted is what is shown, each outcome by itself; only good ones have a duration."""
        counter = self.metrics.handshakes("inbound", "src")
        self.assertIs(counter, self.metrics.handshakes("inbound", "src"))
        counter.succeeded(0.25, False)
        counter.succeeded(0.25, True)
        counter.succeeded(0.25, True)
        for _ in range(3):
            counter.fail("unknown_ca")
        self.metrics.handshakes("inbound", "dst").fail("expired")
        where = {"direction": "inbound", "peer": "src"}
        for outcome, reason, n in (("ok", "", 1), ("resumed", "", 2), ("failed", "unknown_ca", 3)):
            self.assertEqual([n], self.values("tls_handshake_total", outcome=outcome, reason=reason, **where))
        self.assertEqual([3], self.values("tls_handshake_duration_seconds_count", **where))
        self.assertEqual([0.75], self.values("tls_handshake_duration_seconds_sum", **where))
        self.assertEqual([1], self.values("tls_handshake_total", reason="expired", direction="inbound", peer="dst"))
