# -*- test-case-name: tests.protocols.kafka.test_plugin -*-
"""
Tests for L{lproxy.protocols.kafka.plugin}: what every plugin promises, in several conversations.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.factory import KafkaFactory
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.testing.plugins import PluginContract
from tests.protocols.kafka.gateway.test_policy import BROKERS, TOLD
from tests.protocols.kafka.gateway.test_rewrite import coordinators, metadata
from tests.protocols.kafka.scene import (
    answer,
    ask_metadata,
    ask_versions,
    beat,
    find_coordinator,
    framed,
    handshake,
    handshaken,
    heartbeat,
    produce,
    versions,
)


class ObserveTests(PluginContract, SynchronousTestCase):
    """A client that asks and produces."""

    plugin = KafkaPlugin()
    table: dict[str, Any] = {"frame_progress": "10s"}
    conversation = ask_versions(1) + heartbeat(2) + produce(3, acks=0) + produce(4)
    answer = versions(1, 3, [(0, 0, 9)]) + beat(2) + answer(0, 9, 4, bytes(6))

    def test_makes_sessions(self) -> None:
        """Its factory is Kafka's, with a detector of its own."""
        factory: Any = self.plugin.factory(self.start().runtime, self.plugin.configure({}))
        self.assertIsInstance(factory, KafkaFactory)
        self.assertEqual("kafka", self.plugin.name)
        self.assertTrue(callable(factory.detector))


class CloseTests(ObserveTests):
    """Where nothing passes unread."""

    table = {"on_invalid": "close", "topics": True, "max_in_flight": 3}


class GatewayTests(ObserveTests):
    """A gateway, with answers that change."""

    table = {"mode": "gateway", "base_port": 9100}
    conversation = ask_metadata(1) + find_coordinator(2) + heartbeat(3)
    answer = answer(3, 12, 1, metadata(12, BROKERS)) + answer(10, 4, 2, coordinators(4, BROKERS)) + beat(3)
    answered = b"".join(
        [
            len(b"\0\0\0\1\0" + metadata(12, TOLD)).to_bytes(4, "big") + b"\0\0\0\1\0" + metadata(12, TOLD),
            framed(b"\0\0\0\2\0" + coordinators(4, TOLD)),
            beat(3),
        ]
    )


class LoginTests(ObserveTests):
    """A SaslHandshake v0, its raw tokens sent all at once."""

    conversation = handshake(1)
    answer = handshaken(1)


class FilteredTests(ObserveTests):
    """With a filter that reads what is produced."""

    table = {"filters": {"tests.protocols.kafka.test_filter:Told": {"requests": ["Produce"], "responses": ["Produce"]}}}
    conversation = heartbeat(1) + produce(2)
    answer = beat(1) + answer(0, 9, 2, b"\1\0\0\0\0\0")
