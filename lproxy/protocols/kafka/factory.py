# -*- test-case-name: tests.protocols.kafka.test_factory -*-
"""
One listener's Kafka: what its connections share.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import protocol
from twisted.internet.interfaces import IAddress

from lproxy.interfaces import Detector
from lproxy.protocols.kafka.client import KafkaClient
from lproxy.protocols.kafka.detect import detector
from lproxy.protocols.kafka.gateway.cluster import Broker, Cluster
from lproxy.protocols.kafka.gateway.policy import GatewayPolicy
from lproxy.protocols.kafka.live import Live
from lproxy.protocols.kafka.metrics import Metrics
from lproxy.protocols.kafka.session import KafkaSession
from lproxy.protocols.kafka.settings import KafkaConfig
from lproxy.protocols.kafka.talk.quota import Quotas
from lproxy.protocols.kafka.talk.rules import Policy, Rules
from lproxy.protocols.runtime import Runtime
from lproxy.target import Target


class KafkaFactory(protocol.Factory):
    """Carries its detector and its Acquire."""

    noisy = False
    name = "kafka"

    def __init__(self, runtime: Runtime, config: KafkaConfig) -> None:
        self.runtime = runtime
        self.config = config
        self.detector: Detector = detector(config.extra_api_keys)
        self.acquire = runtime.acquire(self.name, lambda endpoint, _: KafkaClient(runtime, endpoint, self.name))
        self.live = Live(config, runtime.reactor)
        self.metrics = Metrics(
            runtime.direction, runtime.listen.name, self.live.in_flight, self.live.__len__, config.topic_cap
        )
        self._quotas = Quotas(config.quotas)
        self._policy: Policy | None = None
        self.cluster: Cluster | None = None
        if config.gateway:
            self.cluster = Cluster(runtime, config, self.name, self._rules_of, self._session_of)
            self._policy = GatewayPolicy(config, self.metrics, self.cluster).decide
        self.rules = self._rules_of("bootstrap" if config.gateway else "")
        runtime.counters.families(self.metrics.families)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A session for one connection."""
        return self._session(self.rules, None)

    def doStart(self) -> None:
        """Listen for the brokers that are known beforehand."""
        if self.cluster is not None:
            self.cluster.start()

    def _rules_of(self, node: str) -> Rules:
        return Rules(self.config, self.metrics, self._quotas, node, self._policy)

    def _session_of(self, broker: Broker) -> KafkaSession:
        return self._session(broker.rules, broker.target)

    def _session(self, rules: Rules, target: Target | None) -> KafkaSession:
        return KafkaSession(self.runtime, self.acquire, self.live, rules, target)
