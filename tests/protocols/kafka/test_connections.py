# -*- test-case-name: tests.protocols.kafka.test_connections -*-
"""
Tests for L{lproxy.protocols.kafka.connections}: how many connections a listener has, and when they are looked at.
"""

from __future__ import annotations

from lproxy.api import Accepted
from lproxy.protocols.kafka.connections import LOOKS
from lproxy.testing import Peer
from lproxy.testing.upstream import OURS
from tests.protocols.kafka.scene import KafkaTestCase, heartbeat


class TimerTests(KafkaTestCase):
    """When connections are looked at."""

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
        self.assertEqual(({"max_connections": 1}, 3), (self.metrics.refused, self.metrics.connections))
        self.assertEqual((2, 1), (self.metrics.open(), self.metrics.in_flight()))
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
        self.assertEqual(("reset", [], {}), (client.ended, self.connector.upstreams, self.metrics.apis))

    def test_per_address(self) -> None:
        """An address has its own number, whatever others have, and room again when one is gone."""
        self.start(max_connections_per_address=1)
        first = self.client()
        self.assertEqual("reset", self.client().ended)
        self.warned("kafka.max_connections_per_address are open")
        peer = Peer()
        stream = self.proxy.reactor.stream(peer, ("10.0.0.3", 1), OURS)
        session = self.factory.session(Accepted(stream, "kafka"))
        self.proxy.sessions.append(session)
        session.start()
        self.settle()
        self.clients.append(peer)
        self.assertEqual("", peer.ended)
        self.assertEqual({"max_connections_per_address": 1}, self.metrics.refused)
        first.reset()
        self.settle()
        self.assertEqual("", self.client().ended)
        self.assertEqual(2, len(self.factory.connections._addresses))
