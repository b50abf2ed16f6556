# -*- test-case-name: tests.integration.kafka.test_failover -*-
"""
A broker is killed in mid-traffic, others take over, it comes back and leads again: nothing acknowledged is lost.

What idempotent producers were told is stored stands in the log exactly once, whatever they had to send again. Members
of groups read all of it at least once: what they had not committed they read again.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from typing import Any

from tests.integration.kafka.case import Gateway, Observed, Proxied, remote_ports

#: those that can be told when to end
PRODUCERS = ("kafka_python", "confluent", "aiokafka")


class FailoverTests(Proxied):
    """Producers and consumers of all kinds, while the brokers change."""

    def test_killed(self) -> None:
        """Killed without a word, missed, started again, and leading again what it used to lead."""
        topics = {client: self.topic() for client in PRODUCERS}
        pipe = subprocess.PIPE
        floods = {client: self.begin(client, "flood", topic, said=pipe) for client, topic in topics.items()}
        for process in floods.values():
            self.going(process)
        follows = {client: self.begin(client, "follow", topic, said=pipe) for client, topic in topics.items()}
        for process in follows.values():
            self.going(process)
        broker = self.cluster.brokers[2]
        broker.kill()
        self.addCleanup(broker.up)
        # longer than it takes to miss it
        time.sleep(4.0)
        broker.start()
        broker.up()
        # and to have it lead again; where clients are told so by a broker that does not any more
        time.sleep(3.0)
        ours = {int(address.rpartition(":")[2]) for address in (*self.told, *self.bootstrap.split(","))}
        for client, process in (*floods.items(), *follows.items()):
            self.assertLessEqual(remote_ports(process.pid), ours, f"{client} has left the way")
        for process in floods.values():
            process.stdin.write("end\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        sent = {}
        for client, process in floods.items():
            told = self.end(process)
            sent[client] = told["sent"]
            self.assertEqual((told["sent"], 0, {}), (told["acked"], told["unknown"], told["failed"]), client)
            self.assertEqual([], self.wrong(topics[client], told["sent"]), f"{client}: all of it is in the log, once")
            self.assertEqual(self.told, told["addresses"], client)
        for client, process in follows.items():
            told = self.end(process, f"{sent[client]}\n")
            self.assertEqual([], told["missing"], f"{client}: all of it is read")

    def wrong(self, topic: str, sent: int) -> list[Any]:
        """What is missing in a topic's log or is there more than once, which is asked past the proxy."""
        self.bootstrap, way = ",".join(self.cluster.addresses("DIRECT")), self.bootstrap
        rows = self.end(self.begin("confluent", "log", topic))["rows"]
        self.bootstrap = way
        stored = Counter(value for _, _, value in rows)
        missing = [n for n in range(sent) if str(n) not in stored]
        return missing + [row for row in rows if stored[row[2]] > 1]


class ObservedFailoverTests(Observed, FailoverTests):
    """Observed."""


class GatewayFailoverTests(Gateway, FailoverTests):
    """Through a gateway."""


del FailoverTests
