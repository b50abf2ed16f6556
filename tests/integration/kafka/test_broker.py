# -*- test-case-name: tests.integration.kafka.test_broker -*-
"""
The brokers themselves, and clients without a proxy: so that it is known who is to blame.
"""

from __future__ import annotations

import os

from tests.integration.kafka.case import KafkaCase, remote_ports
from tests.integration.kafka.java import jars, tool


class BrokerTests(KafkaCase):
    """What the other tests rely on."""

    def test_clients(self) -> None:
        """Every client produces and consumes, and is told where brokers are."""
        for client, told in self.run_all("short").items():
            self.assertEqual({"read": {}, "addresses": self.told}, told, client)

    def test_seen(self) -> None:
        """A broker tells which connections it has accepted, and what it was asked on them, by listener."""
        names = ("DIRECT", "GATEWAY")
        before = {name: (self.cluster.accepted(name), len(self.asked(name))) for name in names}
        versions = tool("BrokerApiVersionsCommand", "--bootstrap-server", self.told[0])
        self.assertIn("Metadata(3): 0 to 13", versions)
        self.assertGreater(self.cluster.accepted("DIRECT"), before["DIRECT"][0])
        self.assertIn("API_VERSIONS", self.asked("DIRECT")[before["DIRECT"][1] :])
        self.assertEqual(before["GATEWAY"], (self.cluster.accepted("GATEWAY"), len(self.asked("GATEWAY"))))

    def asked(self, listener: str) -> list[str]:
        """Names of the requests on a listener."""
        brokers = self.cluster.brokers.values()
        return [one["requestHeader"]["requestApiKeyName"] for broker in brokers for one in broker.requests(listener)]

    def test_remote_ports(self) -> None:
        """It is known where the connections of a process lead: brokers talk to the controller."""
        process = self.cluster.brokers[2].process
        assert process is not None
        self.assertIn(self.cluster.controller, remote_ports(process.pid))
        self.assertNotIn(self.cluster.controller, remote_ports(os.getpid()))

    def test_jars(self) -> None:
        """The jars are brought once."""
        self.assertTrue((jars() / "kafka-clients-4.1.0.jar").exists())
        self.assertIs(jars(), jars())
