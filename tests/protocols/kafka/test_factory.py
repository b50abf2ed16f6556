# -*- test-case-name: tests.protocols.kafka.test_factory -*-
"""
Tests for L{lproxy.protocols.kafka.factory}: what a listener's connections have in common.
"""

from __future__ import annotations

from lproxy.protocols.kafka.gateway.cluster import Cluster
from lproxy.verdict import Match, NoMatch
from tests.protocols.kafka.scene import KafkaTestCase, ask_versions, raw_request


class FactoryTests(KafkaTestCase):
    """One listener."""

    def test_rules(self) -> None:
        """A listener that observes has no cluster; a gateway has one, and its first port is nobody's own."""
        self.assertEqual(("", None), (self.factory.rules.node, self.factory.cluster))
        self.start(mode="gateway", base_port=9100)
        self.assertIsInstance(self.factory.cluster, Cluster)
        self.assertEqual("bootstrap", self.factory.rules.node)

    def test_detector(self) -> None:
        """Its detector is Kafka's, and knows the keys that the configuration adds."""
        self.assertIsInstance(self.factory.detector(ask_versions()), Match)
        self.assertIsInstance(self.factory.detector(b"GET / HTTP/1.1\r\n"), NoMatch)
        vendor = raw_request(20_000, 0, body=bytes(20))
        self.assertIsInstance(self.factory.detector(vendor), NoMatch)
        self.start(extra_api_keys=[20_000])
        self.assertIsInstance(self.factory.detector(vendor), Match)

    def test_metrics(self) -> None:
        """Its families are shown once it is made."""
        (source,) = self.proxy.metrics
        names = [family.name for family in source()]
        self.assertEqual(len(names), len(set(names)))
        self.assertTrue(all(name.startswith("kafka_") for name in names))
