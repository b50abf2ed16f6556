# -*- test-case-name: tests.integration.test_kafka_mock -*-
"""
Faults at a test's command, by librdkafka's mock cluster behind a gateway, to a client that is librdkafka itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lproxy.config import Admin, Config, Listen, Service
from lproxy.protocols.kafka.metrics import KafkaMetrics
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.testing.certificates import authority
from tests.components import require
from tests.integration.http_case import HttpCase, threaded
from tests.integration.kafka.listeners import factories
from tests.integration.ports import free_ports

MOCK = Path(__file__).with_name("mock_cluster.py")
PRODUCE, METADATA = 0, 3
#: Kafka's error codes
NOT_LEADER, REQUEST_TIMED_OUT = 6, 7

#: sends a record to partition 0 for each line, and says what became of it
PRODUCER = """
import json, sys
from confluent_kafka import Producer
config = {"bootstrap.servers": sys.argv[1], **json.loads(sys.argv[2])}
config |= {"linger.ms": 0, "retry.backoff.ms": 50, "message.timeout.ms": 20000}
producer = Producer(config | {"reconnect.backoff.max.ms": 300, "topic.metadata.refresh.interval.ms": 500})
for line in sys.stdin:
    told = []
    producer.produce("t", line.strip(), partition=0, on_delivery=lambda error, message: told.append(error))
    producer.flush(25)
    print(told[0] if told else "nothing", flush=True)
"""


class MockTests(HttpCase):
    """What clients do when brokers fail, they do through the gateway."""

    timeout = 90

    def setUp(self) -> None:
        require(packages=("confluent_kafka",))
        self.processes: list[subprocess.Popen[str]] = []
        self.factories = factories(self)
        self.mock = self.spawn(str(MOCK), "3")
        self.addresses = self.line(self.mock)
        super().setUp()
        self.tell("topic t 1")
        self.tell("leader t 0 1")
        address = f"127.0.0.1:{self.ports['kafka']}"
        self.client_process = self.spawn("-c", PRODUCER, address, json.dumps(self.secured()))

    def listen(self) -> dict[str, Any]:
        """What the listener has besides."""
        return {}

    def secured(self) -> dict[str, str]:
        """What the client is told besides."""
        return {}

    def config(self) -> Config:
        """A gateway in front of the mock."""
        plugins = {"kafka": KafkaPlugin().configure({"mode": "gateway", "base_port": free_ports(3) - 1})}
        more: dict[str, Any] = {"target": "service:mock", "protocol": "kafka", "plugins": plugins, **self.listen()}
        listen = Listen(name="kafka", address="127.0.0.1:0", **more)
        services = {"mock": Service("mock", tuple(self.addresses.split(",")))}
        return Config(admin=Admin(address=""), listen=(listen,), services=services)

    async def tearDown(self) -> None:
        """Nobody is left."""
        for process in reversed(self.processes):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()
        await super().tearDown()

    def spawn(self, *command: str) -> subprocess.Popen[str]:
        """A Python of its own."""
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        process = subprocess.Popen([sys.executable, *command], stdin=pipe, stdout=pipe, stderr=null, text=True)
        self.processes.append(process)
        return process

    def line(self, process: subprocess.Popen[str], say: str = "") -> str:
        """What a process says, after it was told something."""
        assert process.stdin is not None and process.stdout is not None
        if say:
            process.stdin.write(f"{say}\n")
            process.stdin.flush()
        return process.stdout.readline().strip()

    def tell(self, command: str) -> int:
        """Have the mock do it."""
        return int(self.line(self.mock, command))

    def send(self, value: str) -> None:
        """A record arrives."""
        self.assertEqual("None", self.line(self.client_process, value))

    @property
    def metrics(self) -> KafkaMetrics:
        """What the gateway counted."""
        return self.factories["kafka"].metrics

    def requests(self, name: str) -> int:
        """How many of an API."""
        return sum(c.requests for (api, _, _), c in self.metrics.versions.items() if api == name)

    def nobody_went_around(self) -> None:
        """
        Every request that the mock remembers came through the gateway, which may have sent more: to a broker that
        was going down, or since the mock was asked.
        """
        for key, name in ((PRODUCE, "Produce"), (METADATA, "Metadata")):
            remembered = self.tell(f"count {key}")
            self.assertGreater(remembered, 0, name)
            self.assertLessEqual(remembered, self.requests(name), name)

    @threaded
    def test_leader_moves(self) -> None:
        """A leader that is none any more names the new one (KIP-951): the client finds it on its gateway's port."""
        self.send("one")
        for broker in (2, 3, 1):
            self.tell(f"leader t 0 {broker}")
            self.send("another")
        self.assertGreater(self.metrics.rewritten.get("Produce", 0), 0)
        self.nobody_went_around()

    @threaded
    def test_errors(self) -> None:
        """Errors are the client's to deal with, and it sends again."""
        self.send("one")
        self.tell(f"errors {PRODUCE} {NOT_LEADER} {REQUEST_TIMED_OUT} {NOT_LEADER}")
        self.send("two")
        self.assertGreaterEqual(self.requests("Produce"), 5)
        self.nobody_went_around()

    @threaded
    def test_down(self) -> None:
        """While a broker is gone the client goes to who leads instead, and back."""
        self.send("one")
        self.tell("down 1")
        self.tell("leader t 0 2")
        self.send("two")
        self.tell("up 1")
        self.tell("down 2")
        self.tell("leader t 0 1")
        self.send("three")
        self.tell("up 2")
        self.nobody_went_around()


class TlsMockTests(MockTests):
    """The same, with clients over TLS: to brokers' own ports as well."""

    def setUp(self) -> None:
        self.trust, self.certificate, _ = authority().issue("127.0.0.1").write(self.mktemp())
        super().setUp()

    def listen(self) -> dict[str, Any]:
        """A certificate."""
        return {"tls": "terminate", "certificates": (self.certificate,)}

    def secured(self) -> dict[str, str]:
        """Whom to trust."""
        return {"security.protocol": "SSL", "ssl.ca.location": self.trust}
