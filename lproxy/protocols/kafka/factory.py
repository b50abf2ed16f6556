# -*- test-case-name: tests.protocols.kafka.test_factory -*-
"""
One listener's Kafka connections: their limits, their rules, and a look now and then at whether they move.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet import protocol
from twisted.internet.interfaces import IAddress

from lproxy.interfaces import Detector
from lproxy.protocols.kafka.account import Account
from lproxy.protocols.kafka.client import KafkaClient
from lproxy.protocols.kafka.cluster import Broker, Cluster
from lproxy.protocols.kafka.detect import detector
from lproxy.protocols.kafka.gateway import GatewayRules
from lproxy.protocols.kafka.kinds import Rules
from lproxy.protocols.kafka.quota import Quotas
from lproxy.protocols.kafka.session import KafkaSession
from lproxy.protocols.kafka.settings import KafkaConfig
from lproxy.protocols.runtime import Runtime

#: looks at every connection in the shortest time that one may stand still
LOOKS = 4


class KafkaFactory(protocol.Factory):
    """Carries its detector and its Acquire."""

    noisy = False
    name = "kafka"

    def __init__(self, runtime: Runtime, config: KafkaConfig) -> None:
        self.runtime = runtime
        self.config = config
        self.detector: Detector = detector(config.extra_api_keys)
        self.acquire = runtime.acquire(self.name, lambda endpoint: KafkaClient(runtime, endpoint, self.name))
        self.account = Account(
            runtime.direction, runtime.listen.name, self._in_flight, lambda: len(self._live), config.topic_cap
        )
        self._quotas = Quotas(config.quotas)
        self.cluster = Cluster(runtime, config, self.name, self._rules_of, self._session_of) if config.gateway else None
        self.rules = self._rules_of("bootstrap" if config.gateway else "")
        self._live: dict[KafkaSession, None] = {}
        self._addresses: Counter[str] = Counter()
        self._looking: Any = None
        runtime.counters.families(self.account.families)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A session for one connection."""
        return KafkaSession(self, self.rules, None)

    def doStart(self) -> None:
        """Listen for the brokers that are known beforehand."""
        if self.cluster is not None:
            self.cluster.start()

    def begin(self, session: KafkaSession, address: str) -> str:
        """C{session}, of a client at C{address}, begins. Returns the limit that is reached, if one is."""
        config, account = self.config, self.account
        reached = ""
        if config.max_connections is not None and len(self._live) >= config.max_connections:
            reached = "max_connections"
        elif (most := config.max_connections_per_address) is not None and self._addresses[address] >= most:
            reached = "max_connections_per_address"
        self._live[session] = None
        self._addresses[address] += 1
        account.connections += 1
        if reached:
            account.refused[reached] = account.refused.get(reached, 0) + 1
            return f"kafka.{reached}"
        if self._looking is None:
            self._look_later()
        return ""

    def end(self, session: KafkaSession, address: str) -> None:
        """It is over."""
        del self._live[session]
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
        if not self._live and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _rules_of(self, node: str) -> Rules:
        if self.cluster is None:
            return Rules(self.config, self.account, self._quotas, node)
        return GatewayRules(self.config, self.account, self._quotas, self.cluster, node)

    def _session_of(self, broker: Broker) -> KafkaSession:
        return KafkaSession(self, broker.rules, broker.target)

    def _look_later(self) -> None:
        seconds = min(self.config.frame_progress, self.config.idle) / LOOKS
        self._looking = self.runtime.reactor.callLater(seconds, self._look)

    def _look(self) -> None:
        self._look_later()
        now = self.runtime.reactor.seconds()
        for session in list(self._live):
            session.look(now)

    def _in_flight(self) -> int:
        return sum(session.in_flight() for session in self._live)
