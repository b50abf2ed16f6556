# -*- test-case-name: tests.protocols.kafka.gateway.test_seeds -*-
"""
Tests for L{lproxy.protocols.kafka.gateway.seeds}: who the brokers are is known before any client asks.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import API_VERSIONS, METADATA
from lproxy.protocols.kafka.gateway.question import TIMEOUT, asked
from lproxy.protocols.kafka.gateway.seeds import INTERVAL, RETRY, SELDOM
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.testing import Peer, ScriptedProxy
from lproxy.transport.connect import ConnectFailed
from tests.protocols.kafka.gateway.test_rewrite import Node, metadata
from tests.protocols.kafka.scene import answer, beat, heartbeat, versions

BROKERS: list[Node] = [(7, "kafka-7", 9092, None), (2, "kafka-2", 9092, None)]
WHO = asked(METADATA, 1, bytes(4))


def known(nodes: list[Node]) -> bytes:
    """The response to that."""
    return answer(METADATA, 1, 0, metadata(1, nodes, 0))


class SeedsTests(SynchronousTestCase):
    """A gateway that starts, and goes on."""

    def setUp(self) -> None:
        self.start()

    def start(self, mode: Any = "accept", target: str = "upstream.test:9000", **table: Any) -> None:
        """A gateway, whose seed is there or not."""
        settings = {"mode": "gateway", "ports": "9101-9199", **table}
        self.proxy = ScriptedProxy(KafkaPlugin(), settings, target=target)
        self.proxy.connector.mode = mode
        self.proxy.factory.start()
        self.proxy.settle()

    def tearDown(self) -> None:
        self.proxy.factory.stop()
        self.proxy.factory.stop()
        self.proxy.settle()
        self.assertEqual([], self.proxy.left())

    @property
    def seeds(self) -> list[Peer]:
        return self.proxy.connector.upstreams

    def why(self) -> str | None:
        """Why it is not ready."""
        (source,) = self.proxy.unready
        return source()

    def say(self, data: bytes) -> None:
        """The seed that was asked last says so."""
        self.seeds[-1].say(data)
        self.proxy.settle()

    def test_start(self) -> None:
        """A seed is asked; with its response every broker's port is bound, and then the gateway is ready."""
        self.assertEqual("listener scripted: no seed has been asked yet who the brokers are", self.why())
        self.assertEqual(WHO, self.seeds[0].heard)
        self.say(known(BROKERS)[:-1])
        self.assertIsNotNone(self.why())
        self.assertEqual({}, self.proxy.exposed)
        self.say(known(BROKERS)[-1:])
        self.assertIsNone(self.why())
        self.assertEqual([9101, 9102], sorted(self.proxy.exposed))
        self.assertTrue(self.seeds[0].ended)
        client = self.proxy.client(heartbeat(1), port=9101)
        self.proxy.settle()
        self.assertEqual("kafka-2:9092", str(self.proxy.targets[-1]))
        self.say(beat(1))
        self.assertEqual(beat(1), client.heard)
        asked = self.proxy.factory.metrics.version(METADATA, 1, "seed")
        self.assertEqual((1, 1), (asked.requests, asked.responses))
        client.reset()

    def test_every_minute(self) -> None:
        """It is asked again, and what has changed is known without any client."""
        self.say(known(BROKERS))
        self.proxy.settle(INTERVAL - 1)
        self.assertEqual(1, len(self.seeds))
        for minute in range(12):
            self.proxy.settle(1 if not minute else INTERVAL)
            self.say(known(BROKERS[:1]))
        self.assertEqual(([9102], 13), (sorted(self.proxy.exposed), len(self.seeds)))

    def test_unreachable(self) -> None:
        """While no seed is there, the gateway says so and tries; once it is ready, that is its clients' trouble."""
        self.proxy.factory.stop()
        self.start("refuse")
        for _ in range(3):
            self.assertIn("the brokers are not known yet: ", str(self.why()))
            self.assertIn("10.0.0.9:9000", str(self.why()))
            self.proxy.settle(RETRY)
        self.assertIn("asked again", self.proxy.warnings[0])
        self.proxy.connector.mode = "accept"
        self.proxy.settle(RETRY)
        self.say(known(BROKERS))
        self.assertIsNone(self.why())
        self.proxy.connector.mode = "refuse"
        self.proxy.warnings.clear()
        self.proxy.settle(INTERVAL)
        self.proxy.settle(INTERVAL - 1)
        self.assertEqual((None, 1), (self.why(), len(self.proxy.warnings)))

    def test_nonsense(self) -> None:
        """What is no response to it, or names nobody, is no reason to be ready."""
        for body, words in (
            (metadata(1, [], 0), "a seed knows of no broker yet"),
            (b"\0\0\0\1", "a seed responds to Metadata with what is none: "),
            (b"\xff\xff\xff\xff", "a seed responds to Metadata with what is none: "),
        ):
            self.say(answer(METADATA, 1, 0, body))
            self.assertIn(words, str(self.why()))
            self.proxy.settle(RETRY)

    def test_login(self) -> None:
        """Brokers that close without a login, and have told their versions, are not waited for; it is said."""
        self.seeds[-1].hang_up()
        self.proxy.settle()
        self.assertEqual(asked(API_VERSIONS, 0), self.seeds[-1].heard)
        self.say(versions(0, 0, [(3, 0, 13)]))
        self.assertIsNone(self.why())
        self.assertIn("brokers tell nobody without a login who they are", self.proxy.warnings[-1])
        self.proxy.settle(SELDOM - 1)
        self.assertEqual(asked(API_VERSIONS, 0), self.seeds[-1].heard)
        self.proxy.settle(1)
        self.assertEqual(WHO, self.seeds[-1].heard)
        asks = self.proxy.factory.metrics.version(METADATA, 1, "seed")
        self.assertEqual((2, 0, 1), (asks.requests, asks.responses, asks.api.incomplete))

    def test_closes(self) -> None:
        """One that closes whatever it is asked, or is silent, is waited for."""
        for _ in range(2):
            self.seeds[-1].hang_up()
            self.proxy.settle()
            self.proxy.settle(TIMEOUT)
            self.assertIn("seeds close the connection when they are asked for Metadata", str(self.why()))
            self.proxy.settle(RETRY)
            self.assertEqual(WHO, self.seeds[-1].heard)

    def test_crash(self) -> None:
        """What goes wrong with what was learnt is told, and it is asked again."""

        def broken(*args: Any) -> Any:
            raise SystemExit(1)

        object.__setattr__(self.proxy.runtime, "expose", broken)
        self.say(known(BROKERS))
        (crash,) = self.proxy.crashes
        self.proxy.crashes.clear()
        self.assertIs(SystemExit, crash.type)
        self.proxy.settle(INTERVAL)
        self.assertEqual((WHO, 2), (self.seeds[-1].heard, len(self.seeds)))

    def test_drain(self) -> None:
        """A gateway that ends asks no more, whether it waits for a connection, a response or the next time."""
        self.proxy.factory.drain()
        self.assertEqual([], self.proxy.left())
        self.start()
        self.say(known(BROKERS))
        self.proxy.factory.drain()
        self.assertEqual([], self.proxy.left())
        self.start("wait")
        self.proxy.factory.drain()
        self.assertEqual(([], 1), (self.proxy.left(), self.proxy.connector.cancelled))

    def test_no_seed(self) -> None:
        """Where each connection has a destination of its own, there is nobody to ask."""
        self.proxy.factory.stop()
        self.start(target="original-dst")
        self.assertEqual(([], []), (self.proxy.unready, self.seeds))

    def test_failed_acquisition(self) -> None:
        """Why there is none is said in the words of the stack."""
        self.proxy.factory.stop()
        self.start("wait")
        self.proxy.connector.refuse()
        self.proxy.settle()
        self.assertIn(str(ConnectFailed.layer), str(self.why()))
