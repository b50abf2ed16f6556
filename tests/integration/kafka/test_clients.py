# -*- test-case-name: tests.integration.kafka.test_clients -*-
"""
What people use with Kafka, against real brokers, on every way there is.
"""

from __future__ import annotations

from typing import Any

from tests.integration.kafka.case import Gateway, Observed, Proxied


class ClientTests(Proxied):
    """What every client can do without a proxy, it can with one."""

    def toured(self, client: str, told: dict[str, Any]) -> None:
        """All went well."""
        self.assertEqual({}, told["read"], "everything sent, with acks=0 as well, is read, once")
        self.assertEqual([1, 2], told["joined"], "a second member takes over some of the partitions")
        self.assertEqual([], told["shared"], "what comes then is read by one or the other")
        self.assertEqual(3, told["left"], "it leaves and the first has all of them again")
        self.assertEqual([], told["alone"], "what comes then is read as well")
        self.assertEqual(sorted(self.told), told["addresses"], "brokers are where the way leads")
        if client != "kcat":
            self.assertEqual(["stable", 2], told["group"], "the group is described")
            self.assertEqual({}, told["committed"], "what was committed is read, what was aborted is not")
            self.assertEqual((True, True), (told["listed"], told["deleted"]), "topics come and go")

    def tour(self, client: str, *options: str) -> None:
        """Have it do all that it can."""
        self.toured(client, self.run_client(client, "tour", *options))
        self.all_through()
        self.assertTrue(self.samples("kafka_no_response_total")[()], "acks=0")
        self.well_ended()

    def test_kafka_python(self) -> None:
        """kafka-python."""
        self.tour("kafka_python")

    def test_confluent(self) -> None:
        """confluent-kafka."""
        self.tour("confluent")

    def test_consumer_protocol(self) -> None:
        """confluent-kafka, with groups whose partitions are assigned by brokers (KIP-848)."""
        self.tour("confluent", "--set", "group.protocol=consumer")

    def test_aiokafka(self) -> None:
        """aiokafka."""
        self.tour("aiokafka")

    def test_kcat(self) -> None:
        """kcat."""
        self.tour("kcat")

    def test_large(self) -> None:
        """A message of 10 MB, far more than the proxy keeps of anything, goes there and back."""
        for client, told in self.run_all("big").items():
            self.assertEqual({"different": 0, "addresses": self.told}, told, client)
        self.all_through()
        self.well_ended()

    def test_group(self) -> None:
        """Three members share a topic that is spread over three brokers: each message is read, once, by one of them."""
        for client, told in self.run_all("group").items():
            self.assertEqual({"assigned": [1, 1, 1], "read": {}, "idle": 0}, told, client)
        self.all_through()
        self.well_ended()

    def test_old(self) -> None:
        """A client that does not ask for versions, as none did before Kafka 0.10, is told where brokers are."""
        old = ("--set", "api.version.request=false", "--set", "broker.version.fallback=0.9.0.1")
        self.assertEqual({"addresses": self.told}, self.run_client("kcat", "where", *old))
        asked = self.samples("kafka_requests_total", "api", "version", "node")
        self.assertEqual({("Metadata", "0")}, {(api, version) for api, version, node in asked if node != "seed"})
        self.all_through()
        self.well_ended()


class ObservedClientTests(Observed, ClientTests):
    """Observed."""


class GatewayClientTests(Gateway, ClientTests):
    """Through a gateway."""


del ClientTests
