# -*- test-case-name: tests.protocols.kafka.test_factory -*-
"""
Tests for L{lproxy.protocols.kafka.factory}: what a listener's connections have in common.
"""

from __future__ import annotations

from lproxy.interfaces import Match, NoMatch
from lproxy.protocols.kafka.factory import LOOKS
from lproxy.protocols.kafka.gateway import GatewayRules
from lproxy.protocols.kafka.kinds import Rules
from lproxy.testing import Peer
from lproxy.testing.proxy import OURS
from tests.protocols.kafka.scene import KafkaTestCase, ask_versions, heartbeat, raw_request


class FactoryTests(KafkaTestCase):
    """One listener."""

    def test_rules(self) -> None:
        """A listener that looks has plain rules and no cluster; a gateway has its own, and one."""
        self.assertIs(Rules, type(self.factory.rules))
        self.assertEqual(("", None), (self.factory.rules.node, self.factory.cluster))
        self.start(mode="gateway", base_port=9100)
        self.assertIsInstance(self.factory.rules, GatewayRules)
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

    def test_one_timer(self) -> None:
        """However many connections there are, one timer looks at them; without any, none does."""
        self.assertEqual([], self.proxy.reactor.getDelayedCalls())
        clients = [self.client(heartbeat()) for _ in range(5)]
        (timer,) = self.proxy.reactor.getDelayedCalls()
        self.assertEqual(self.factory.config.frame_progress / LOOKS, timer.getTime())
        self.wait(20)
        self.assertEqual(1, len(self.proxy.reactor.getDelayedCalls()))
        for client in clients:
            client.reset()
        self.settle()
        self.assertEqual([], self.proxy.reactor.getDelayedCalls())

    def test_refused_alone(self) -> None:
        """One that is refused when nobody else is left leaves no timer either."""
        self.start(max_connections=1)
        first = self.client()
        self.proxy.client()
        self.clients.append(first)
        first.reset()
        self.settle()
        self.assertEqual([], self.proxy.reactor.getDelayedCalls())


class LimitTests(KafkaTestCase):
    """Connections beyond their number are closed at once."""

    def test_max_connections(self) -> None:
        """The next is refused, counted and logged, asks for no broker, and leaves room when it is gone."""
        self.start(max_connections=2)
        first = self.client(heartbeat())
        self.client()
        third = self.client(heartbeat())
        self.assertEqual("reset", third.ended)
        self.warned("kafka connection from 10.0.0.1 closed: kafka.max_connections are open")
        self.assertEqual(({"max_connections": 1}, 3), (self.account.refused, self.account.connections))
        self.assertEqual((2, 1), (self.account.open(), self.account.in_flight()))
        self.assertEqual((1, "UO"), (len(self.connector.upstreams), self.proxy.records[-1]["flags"]))
        first.reset()
        self.settle()
        self.assertEqual("", self.client(heartbeat()).ended)

    def test_with_a_word(self) -> None:
        """Also where detection has read its request already: that is nobody's."""
        self.start(max_connections=1)
        self.client()
        client = self.proxy.client(heartbeat())
        self.clients.append(client)
        self.settle()
        self.assertEqual(("reset", [], {}), (client.ended, self.connector.upstreams, self.account.apis))

    def test_per_address(self) -> None:
        """An address has its own number, whatever others have, and room again when one is gone."""
        self.start(max_connections_per_address=1)
        first = self.client()
        self.assertEqual("reset", self.client().ended)
        self.warned("kafka.max_connections_per_address are open")
        peer = Peer()
        stream = self.proxy.reactor.stream(peer, ("10.0.0.3", 1), OURS)
        stream.startReading()
        stream.attach(self.factory.buildProtocol(None), b"")
        self.settle()
        self.clients.append(peer)
        self.assertEqual("", peer.ended)
        self.assertEqual({"max_connections_per_address": 1}, self.account.refused)
        first.reset()
        self.settle()
        self.assertEqual("", self.client().ended)
        self.assertEqual(2, len(self.factory._addresses))
