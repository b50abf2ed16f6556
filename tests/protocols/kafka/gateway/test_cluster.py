# -*- test-case-name: tests.protocols.kafka.gateway.test_cluster -*-
"""
Tests for L{lproxy.protocols.kafka.gateway.cluster} alone; what clients see of it is in
L{tests.protocols.kafka.gateway.test_policy}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.gateway.cluster import Cluster, Unmapped
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.protocols.kafka.settings import read
from lproxy.target import Authority
from lproxy.testing import ScriptedProxy

OURS = "10.0.0.2"


class ClusterTests(SynchronousTestCase):
    """Where brokers are, and where clients find them."""

    def setUp(self) -> None:
        self.start()

    def start(self, **table: Any) -> None:
        """Begin anew."""
        self.proxy = ScriptedProxy(KafkaPlugin())
        config = read({"mode": "gateway", "base_port": 9100, **table})
        self.ruled: list[str] = []

        def rules(node: str) -> Any:
            self.ruled.append(node)

        self.cluster = Cluster(self.proxy.runtime, config, "kafka", rules, lambda broker, accepted: broker)

    def test_located(self) -> None:
        """A new broker is bound, once, with rules for its node id."""
        for _ in range(2):
            self.assertEqual((OURS, 9107), self.cluster.locate(7, "kafka-7", 9092, OURS))
        self.assertEqual((["7"], [9107]), (self.ruled, list(self.proxy.exposed)))
        broker: Any = self.proxy.exposed[9107](None)
        self.assertEqual((7, Authority("kafka-7", 9092)), (broker.node, broker.target))

    def test_ours(self) -> None:
        """Each client is told the address by which it has found us; or what the configuration says."""
        self.assertEqual(("10.9.9.9", 9101), self.cluster.locate(1, "a", 1, "10.9.9.9"))
        self.assertEqual(("2001:db8::1", 9101), self.cluster.locate(1, "a", 1, "2001:db8::1"))
        self.start(advertised_host="kafka.example", advertised_base_port=100)
        self.assertEqual(("kafka.example", 101), self.cluster.locate(1, "a", 1, "10.9.9.9"))
        self.assertEqual([9101], list(self.proxy.exposed))

    def test_moved(self) -> None:
        """One that is elsewhere is there for all who come; it is said once."""
        self.cluster.locate(1, "a", 1, OURS)
        for _ in range(2):
            self.cluster.locate(1, "b", 2, OURS)
        made: Any = self.proxy.exposed[9101](None)
        self.assertEqual(Authority("b", 2), made.target)
        self.assertEqual(2, len(self.proxy.said))

    def test_moved_nowhere(self) -> None:
        """One that says it is nowhere is where it was, and that is no place to send clients to, time and again."""
        self.cluster.locate(1, "a", 1, OURS)
        for _ in range(2):
            self.assertRaises(Unmapped, self.cluster.locate, 1, "b", 0, OURS)
        made: Any = self.proxy.exposed[9101](None)
        self.assertEqual(Authority("a", 1), made.target)

    def test_taken(self) -> None:
        """A port that is taken is said; when it is free again, so is the broker."""
        self.proxy.exposed[9101] = lambda: None
        error = self.assertRaises(Unmapped, self.cluster.locate, 1, "a", 1, OURS)
        self.assertEqual("broker 1: cannot listen on 9101: Address already in use", str(error))
        self.assertEqual({}, self.cluster.brokers)
        del self.proxy.exposed[9101]
        self.assertEqual((OURS, 9101), self.cluster.locate(1, "a", 1, OURS))

    def test_checked(self) -> None:
        """All that an answer names is looked at before anybody is bound."""
        self.start(max_brokers=2)
        good = [(1, "a", 1), (2, "b", 1), (1, "a", 1)]
        self.cluster.check(good, OURS)
        self.cluster.check([], "")
        for wrong in ((3, "c", 1), (-1, "c", 1), (60_000, "c", 1), (2, "b", 0), (2, "b", 65_536), (2, "", 1)):
            self.assertRaises(Unmapped, self.cluster.check, [*good, wrong], OURS)
        self.assertRaises(Unmapped, self.cluster.check, good, "")
        self.assertEqual({}, self.proxy.exposed)

    def test_started(self) -> None:
        """Configured brokers are bound at the start, where the configuration has them, whatever they say later."""
        self.start(brokers={"1": "inside:1", "2": "inside:2"})
        self.cluster.start()
        self.cluster.locate(1, "outside", 9, OURS)
        made: Any = self.proxy.exposed[9101](None)
        self.assertEqual(([9101, 9102], Authority("inside", 1)), (sorted(self.proxy.exposed), made.target))

    def test_not_started(self) -> None:
        """Where that cannot be, the start fails."""
        self.start(brokers={"1": "inside:1"})
        self.proxy.exposed[9101] = lambda: None
        self.assertRaises(Unmapped, self.cluster.start)
