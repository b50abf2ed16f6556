# -*- test-case-name: tests.integration.test_workers_kafka -*-
"""
Kafka's gateway in two workers: a port that one of them has announced is served by both.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.components import require
from tests.integration.ports import free_ports
from tests.integration.test_kafka_mock import MOCK, PRODUCER
from tests.integration.test_twistd import eventually
from tests.integration.test_workers import WORKERS, WorkersTestCase

GATEWAY = """
[[listen]]
name = "kafka"
address = "127.0.0.1:0"
target = "service:mock"
protocol = "kafka"
[listen.kafka]
mode = "gateway"
base_port = {base}
[services.mock]
endpoints = [{endpoints}]
"""


class GatewayTests(WorkersTestCase):
    """Three brokers."""

    def setUp(self) -> None:
        require(packages=("confluent_kafka",))
        super().setUp()
        self.mock = self.spawn(str(MOCK), "3")
        assert self.mock.stdout is not None
        self.addresses = self.mock.stdout.readline().strip().split(",")
        for line in ("topic t 1", "leader t 0 1"):
            self.tell(self.mock, line)

    def spawn(self, *command: str) -> subprocess.Popen[str]:
        """A Python of its own."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, *command], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()

    def tell(self, process: subprocess.Popen[str], line: str) -> str:
        """One line there, and one back."""
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    def test_ports(self) -> None:
        """
        Brokers that one worker has heard of the other serves, on the same ports; so does a successor that no client
        has told anything yet, and another lproxy that takes the place. Records go through all the time.
        """
        base = free_ports(3) - 1
        endpoints = ", ".join(f'"{address}"' for address in self.addresses)
        proxy = self.start(GATEWAY.format(base=base, endpoints=endpoints))
        producer = self.spawn("-c", PRODUCER, f"127.0.0.1:{proxy.ports['kafka']}", "{}")
        self.assertEqual("None", self.tell(producer, "one"))

        def served(times: int) -> bool:
            """Each broker is served so many times, by as many processes."""
            return all(proxy.out.count(f"is served on 127.0.0.1:{base + node}\n") >= times for node in (1, 2, 3))

        eventually(lambda: served(2), "both workers to serve all brokers")
        first = sorted(self.workers(proxy))
        for number, victim in enumerate(first):
            os.kill(victim, signal.SIGKILL)
            eventually(lambda n=number: served(3 + n), "a successor to serve all brokers")
            self.assertEqual("None", self.tell(producer, f"after {number}"))
        path = Path(self.home) / "lproxy.toml"
        self.assertTrue(path.read_text().startswith(WORKERS))
        proxy.signal(signal.SIGUSR2)
        eventually(lambda: "we have taken over" in proxy.out, "a takeover")
        pid = int(proxy.out.rpartition("process ")[2].split()[0])
        self.addCleanup(os.kill, pid, signal.SIGTERM)
        eventually(lambda: served(6), "two others to serve all brokers")
        self.assertEqual(0, proxy.status(60))
        self.assertEqual("None", self.tell(producer, "two"))
        self.assertNotIn("left out", proxy.out)
