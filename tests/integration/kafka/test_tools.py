# -*- test-case-name: tests.integration.kafka.test_tools -*-
"""
Kafka's own client, by way of Kafka's command line tools.
"""

from __future__ import annotations

import re

from tests.integration.kafka.case import Gateway, Observed, Proxied
from tests.integration.kafka.java import tool

RECORDS = 20_000


class ToolTests(Proxied):
    """The Java client, which is the one that the others are measured by."""

    def test_tools(self) -> None:
        """
        A topic is made; thousands of records are produced and consumed as fast as it goes, by a group that is then
        described; brokers are asked for their versions and their cluster.
        """
        topic, at = self.topic(), ("--bootstrap-server", self.bootstrap)
        tool("TopicCommand", *at, "--create", "--topic", topic, "--partitions", "6", "--replication-factor", "3")
        described = tool("TopicCommand", *at, "--describe", "--topic", topic)
        self.assertEqual({"1", "2", "3"}, set(re.findall(r"Leader: (\d)", described)))
        said = tool(
            "ProducerPerformance",
            *("--topic", topic, "--num-records", str(RECORDS), "--record-size", "500", "--throughput", "-1"),
            *("--producer-props", f"bootstrap.servers={self.bootstrap}", "compression.type=lz4"),
        )
        self.assertIn(f"{RECORDS} records sent", said)
        said = tool(
            "ConsumerPerformance",
            *at,
            *("--topic", topic, "--messages", str(RECORDS), "--group", topic, "--timeout", "30000", "--hide-header"),
        )
        self.assertEqual(str(RECORDS), said.splitlines()[-1].split(", ")[4])
        said = tool("consumer.group.ConsumerGroupCommand", *at, "--describe", "--group", topic)
        rows = re.findall(rf"^{topic} +{topic} +\d +(\d+) +(\d+) +(\d+) ", said, re.MULTILINE)
        self.assertEqual(
            [6, RECORDS, 0], [len(rows), sum(int(row[1]) for row in rows), sum(int(row[2]) for row in rows)]
        )
        said = tool("BrokerApiVersionsCommand", *at)
        self.assertEqual(
            self.told, sorted(re.findall(r"^(\S+) \(id: \d rack: null isFenced: false\) -> \(", said, re.M))
        )
        self.all_through()
        self.well_ended()


class ObservedToolTests(Observed, ToolTests):
    """Observed."""


class GatewayToolTests(Gateway, ToolTests):
    """Through a gateway."""


del ToolTests
