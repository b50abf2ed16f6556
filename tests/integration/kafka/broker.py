# -*- test-case-name: tests.integration.kafka.test_broker -*-
"""
Kafka brokers as processes of the test's own.

A broker has a listener for each way that tests take to it, because it is by the listener that it decides what address
it tells clients. What it accepts and answers on a listener stands in its log, which is kept here in memory: so the
tests know what the broker saw, whoever asked.
"""

from __future__ import annotations

import atexit
import functools
import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lproxy.testing.certificates import authority
from tests.integration.kafka.java import PATIENCE, java
from tests.integration.ports import free_ports

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"

#: listeners for clients, and whether they advertise another address than their own: somebody's in front
LISTENERS = {
    "DIRECT": False,
    "OBSERVE": True,
    "GATEWAY": False,
    "SASL_OBSERVE": True,
    "SASL_GATEWAY": False,
    # which wants a certificate of its clients, and which a login
    "SSL_GATEWAY": False,
    "SASL_SSL_GATEWAY": False,
}
#: whose certificates all have that are there
ISSUER = authority("kafka tests")
USER, PASSWORD = "alice", "alice's secret"
_LISTENER = re.compile(r'"listener":"(\w+)"')


@dataclass
class Broker:
    """
    One broker, which can be killed and started again.

    @ivar ports: where it is bound, by listener
    @ivar fronts: the ports that it advertises, by listener
    @ivar log: its last lines
    """

    node: int
    home: Path
    ports: dict[str, int]
    fronts: dict[str, int]
    log: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    _news: threading.Condition = field(default_factory=threading.Condition)
    _requests: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _accepted: Counter[int] = field(default_factory=Counter)

    @property
    def properties(self) -> Path:
        """Its configuration."""
        return self.home / f"{self.node}.properties"

    def start(self) -> None:
        """Start it, without waiting."""
        levels = {"defaultLogLevel": "warn", "log.kafka.server.KafkaRaftServer": "info"}
        levels |= {"log.kafka.request.logger": "debug", "log.kafka.network.DataPlaneAcceptor": "debug"}
        options = tuple(f"-Dorg.slf4j.simpleLogger.{key}={level}" for key, level in levels.items())
        command = java("kafka.Kafka", str(self.properties), memory="320m", options=options)
        del self.log[:]
        self.process = subprocess.Popen(
            command,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Runs in a thread: keep what it writes."""
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with self._news:
                    if "Completed request:" in line:
                        # of what brokers ask each other there is much
                        if (listener := _LISTENER.findall(line)[-1]) != "INTERNAL":
                            self._requests[listener].append(line)
                    elif found := re.search(r"Accepted connection from \S+ on \S+:(\d+)", line):
                        self._accepted[int(found[1])] += 1
                    else:
                        self.log.append(line)
                        del self.log[:-2000]
                    self._news.notify_all()
        process.wait()
        with self._news:
            self._news.notify_all()

    def up(self, seconds: float = PATIENCE) -> None:
        """Wait until it says that it has started."""
        process = self.process
        assert process is not None

        def done() -> bool:
            return process.poll() is not None or any("Kafka Server started" in line for line in self.log)

        with self._news:
            self._news.wait_for(done, seconds)
            if process.poll() is not None or not done():
                raise AssertionError(f"broker {self.node} has not started: {process.poll()}\n{''.join(self.log[-50:])}")

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, seconds: float = 20.0) -> None:
        """SIGTERM, so that it hands over what it leads; SIGKILL if that takes too long."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def accepted(self, listener: str) -> int:
        """Connections that it has accepted on a listener so far."""
        with self._news:
            return self._accepted[self.ports[listener]]

    def requests(self, listener: str, since: int = 0) -> list[dict[str, Any]]:
        """The requests that it has answered on a listener so far, but for the first C{since}."""
        with self._news:
            lines = self._requests[listener][since:]
        return [json.loads(line.partition("Completed request:")[2]) for line in lines]

    def answered(self, listener: str) -> int:
        """How many these are."""
        with self._news:
            return len(self._requests[listener])


class Cluster:
    """
    Brokers that know each other; the first is the controller as well, and is not to be killed.

    @ivar brokers: them, by node id
    """

    def __init__(self, count: int = 3) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="lproxy-kafka-"))
        atexit.register(self.end)
        self.controller = free_ports()
        leaf = ISSUER.issue("127.0.0.1", "localhost")
        #: of the brokers and of whoever connects to them: anchor, certificate, key
        self.trust, self.certificate, self.key = leaf.write(self.home)
        (self.home / "keystore.pem").write_bytes(leaf.key_pem + leaf.chain_pem)
        self.brokers: dict[int, Broker] = {}
        for node in range(1, count + 1):
            ports = {name: free_ports() for name in ("INTERNAL", *LISTENERS)}
            fronts = {name: free_ports() if front else ports[name] for name, front in LISTENERS.items()}
            self.brokers[node] = broker = Broker(node, self.home, ports, fronts)
            broker.properties.write_text(self._properties(broker, count))
        self._each([java("kafka.tools.StorageTool", *self._format(broker)) for broker in self.brokers.values()])
        for broker in self.brokers.values():
            broker.start()
        for broker in self.brokers.values():
            broker.up()

    def _each(self, commands: list[list[str]]) -> None:
        """Run them side by side."""
        for process in [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for c in commands]:
            said, _ = process.communicate(timeout=PATIENCE)
            if process.returncode:
                raise AssertionError(said.decode())

    def _format(self, broker: Broker) -> list[str]:
        words = ["format", "-t", CLUSTER_ID, "-c", str(broker.properties)]
        if "controller" in broker.properties.read_text().splitlines()[0]:
            words += ["--add-scram", f'SCRAM-SHA-256=[name="{USER}",password="{PASSWORD}"]']
        return words

    def _properties(self, broker: Broker, count: int) -> str:
        """A broker's configuration. Its waits are those of a cluster in which something happens every second."""
        first = broker.node == 1
        listeners = {**broker.ports, **({"CONTROLLER": self.controller} if first else {})}
        security = {
            name: ("SASL_" if name.startswith("SASL") else "") + ("SSL" if "SSL" in name else "PLAINTEXT")
            for name in (*broker.ports, "CONTROLLER")
        }
        advertised = {**broker.ports, **broker.fronts}
        copies = min(count, 3)
        lines = [
            "process.roles=" + ("broker,controller" if first else "broker"),
            f"node.id={broker.node}",
            f"controller.quorum.voters=1@127.0.0.1:{self.controller}",
            "controller.listener.names=CONTROLLER",
            "inter.broker.listener.name=INTERNAL",
            "listeners=" + ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
            "advertised.listeners=" + ",".join(f"{name}://127.0.0.1:{port}" for name, port in advertised.items()),
            "listener.security.protocol.map=" + ",".join(f"{name}:{kind}" for name, kind in security.items()),
            f"log.dirs={broker.home}/{broker.node}",
            "num.network.threads=2",
            "num.io.threads=4",
            f"default.replication.factor={copies}",
            f"min.insync.replicas={max(1, copies - 1)}",
            "num.partitions=3",
            f"offsets.topic.replication.factor={copies}",
            "offsets.topic.num.partitions=6",
            f"transaction.state.log.replication.factor={copies}",
            f"transaction.state.log.min.isr={max(1, copies - 1)}",
            "transaction.state.log.num.partitions=6",
            "group.initial.rebalance.delay.ms=0",
            "group.consumer.heartbeat.interval.ms=500",
            "group.consumer.min.heartbeat.interval.ms=500",
            # a broker that is killed is missed after two seconds
            "broker.heartbeat.interval.ms=500",
            "broker.session.timeout.ms=2000",
            "replica.lag.time.max.ms=3000",
            # and leads again what it used to lead a moment after it is back, while others still lead it
            "leader.imbalance.check.interval.seconds=1",
            "message.max.bytes=12000000",
            "replica.fetch.max.bytes=12000000",
            "log.segment.bytes=50000000",
            "log.index.size.max.bytes=1000000",
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self.home}/keystore.pem",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self.trust}",
            "listener.name.ssl_gateway.ssl.client.auth=required",
        ]
        jaas = "org.apache.kafka.common.security.{}LoginModule required{};"
        for name in LISTENERS:
            if name.startswith("SASL"):
                prefix = f"listener.name.{name.lower()}"
                user = f' user_{USER}="{PASSWORD}"'
                lines.append(f"{prefix}.plain.sasl.jaas.config={jaas.format('plain.Plain', user)}")
                lines.append(f"{prefix}.scram-sha-256.sasl.jaas.config={jaas.format('scram.Scram', '')}")
        return "\n".join(lines)

    def addresses(self, listener: str, fronts: bool = False) -> list[str]:
        """Where brokers are bound, or what they advertise."""
        ports = [(broker.fronts if fronts else broker.ports)[listener] for broker in self.brokers.values()]
        return sorted(f"127.0.0.1:{port}" for port in ports)

    def accepted(self, listener: str) -> int:
        """Connections that brokers have accepted on a listener so far."""
        return sum(broker.accepted(listener) for broker in self.brokers.values())

    def end(self) -> None:
        """All of it is gone."""
        for broker in self.brokers.values():
            broker.kill()
        shutil.rmtree(self.home, ignore_errors=True)


@functools.cache
def cluster() -> Cluster:
    """The one that all tests of a run share: three brokers, until Python ends."""
    return Cluster()
