# -*- test-case-name: tests.protocols.kafka.test_factory -*-
"""
One listener's Kafka: what its connections share.
"""

from __future__ import annotations

from functools import partial

from lproxy.api import Accepted, Detector, Runtime, Target
from lproxy.protocols.kafka.client import KafkaClient
from lproxy.protocols.kafka.connections import Connections
from lproxy.protocols.kafka.detect import detector
from lproxy.protocols.kafka.gateway.cluster import Broker, Cluster
from lproxy.protocols.kafka.gateway.policy import GatewayPolicy
from lproxy.protocols.kafka.gateway.seeds import Seeds
from lproxy.protocols.kafka.metrics import NO_BROKERS, Brokers, KafkaMetrics
from lproxy.protocols.kafka.session import NAME, KafkaSession
from lproxy.protocols.kafka.settings import KafkaConfig
from lproxy.protocols.kafka.talk.quota import Quotas
from lproxy.protocols.kafka.talk.rules import Policy, Rules


class KafkaFactory:
    """A L{SessionFactory<lproxy.api.SessionFactory>}."""

    def __init__(self, runtime: Runtime, config: KafkaConfig) -> None:
        self.runtime = runtime
        self.config = config
        self.detector: Detector | None = detector(config.extra_api_keys)
        outward = runtime.outward
        self.acquire = runtime.acquire(
            NAME, lambda endpoint, metadata, health: KafkaClient(outward, endpoint, metadata, NAME, health)
        )
        self.connections = Connections(config, runtime.clock)
        self.metrics = KafkaMetrics(
            runtime.direction,
            runtime.listen.name,
            self.connections.in_flight,
            self.connections.__len__,
            config.topic_cap,
            self._brokers,
            config.client_id_cap if config.client_ids else 0,
        )
        self._quotas = Quotas(config.quotas)
        self._policy: Policy | None = None
        self.cluster: Cluster | None = None
        self.seeds: Seeds | None = None
        if config.gateway:
            self.cluster = Cluster(runtime, config, NAME, self._rules, self._to_broker, self.connections.nodes)
            self._policy = GatewayPolicy(config, self.metrics, self.cluster).decide
            if runtime.fixed is not None:
                learn = partial(self.cluster.learn, all_there_are=True)
                self.seeds = Seeds(runtime, NAME, self.acquire, runtime.fixed, self.metrics, learn)
                runtime.not_ready(self.seeds.not_ready)
        self.rules = self._rules("bootstrap" if config.gateway else "")
        runtime.counters.families(self.metrics.families)

    def session(self, accepted: Accepted) -> KafkaSession:
        """A session for one connection."""
        return self._session(self.rules, accepted, None)

    def start(self) -> None:
        """Listen for the brokers that are known beforehand, and find out who else there is."""
        for target in self.runtime.checked():
            self.acquire.keep(target)
        known = self.cluster is not None and self.cluster.start()
        if self.seeds is not None:
            self.seeds.start(known)

    def drain(self) -> None:
        """Sessions are drained by themselves; nobody else is told of brokers any more."""
        if self.seeds is not None:
            self.seeds.stop()

    def stop(self) -> None:
        """The last session is over, and its timer with it."""
        self.drain()
        # what refers to us, as well, is not left to the collector of cycles
        if self.cluster is not None:
            self.cluster.forget()
        self.cluster = self.seeds = self._policy = None
        self.rules = self._rules("")
        self.metrics.brokers = lambda: NO_BROKERS

    def _brokers(self) -> Brokers:
        cluster = self.cluster
        if cluster is None:
            return NO_BROKERS
        return Brokers(len(cluster.brokers), self.config.most_brokers, len(cluster.left_out))

    def _rules(self, node: str) -> Rules:
        return Rules(self.config, self.metrics, self._quotas, node, self._policy)

    def _to_broker(self, broker: Broker, accepted: Accepted) -> KafkaSession:
        return self._session(broker.rules, accepted, broker.target)

    def _session(self, rules: Rules, accepted: Accepted, target: Target | None) -> KafkaSession:
        return KafkaSession(self.runtime, self.acquire, self.connections, rules, accepted, target)
