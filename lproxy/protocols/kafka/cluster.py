# -*- test-case-name: tests.protocols.kafka.test_cluster -*-
"""
The brokers behind a gateway: where each really is, and where clients find it.

A broker that is heard of for the first time is given a listener of its own, on C{base_port} plus its node id, before
the answer that names it goes on. One that has moved keeps it: further connections go to the new address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lproxy.protocols.kafka.kinds import Rules
from lproxy.protocols.kafka.settings import KafkaConfig
from lproxy.protocols.runtime import CannotExpose, Runtime
from lproxy.target import Authority, join_host_port

#: beyond any port
PORTS = 1 << 16


class Unmapped(ValueError):
    """Clients cannot be told where a broker is."""


@dataclass(slots=True)
class Broker:
    """
    One broker.

    @ivar address: where it says it is
    @ivar target: where connections to it go: the configured address, or what it says
    @ivar rules: what is made of requests to it
    """

    node: int
    address: tuple[str, int]
    target: Authority
    rules: Rules


class Cluster:
    """
    All brokers of one gateway.

    @ivar session: makes the session of a connection to a broker
    """

    def __init__(
        self,
        runtime: Runtime,
        config: KafkaConfig,
        name: str,
        rules: Callable[[str], Rules],
        session: Callable[[Broker], Any],
    ) -> None:
        self._runtime = runtime
        self._config = config
        self._name = name
        self._rules = rules
        self._session = session
        self.brokers: dict[int, Broker] = {}

    def start(self) -> None:
        """Listen for the brokers that are configured; raises L{Unmapped}."""
        for node, address in self._config.brokers.items():
            self._broker(node, *address)

    def locate(self, node: int, host: str, port: int, ours: str) -> tuple[str, int]:
        """
        Where a client finds the broker C{node}, which says that it is at C{host} and C{port}.

        @param ours: the address by which that client has found us
        @raise Unmapped: there is no place for it
        """
        broker = self._broker(node, host, port)
        if (host, port) != broker.address:
            broker.address = (host, port)
            if node not in self._config.brokers:
                broker.target = self._target(node, host, port)
                self._say(f"broker {node} is at {broker.target} now")
        told = self._config.advertised_host or ours
        base = self._config.advertised_base_port or self._config.base_port or 0
        if not told or base + node >= PORTS:
            raise Unmapped(f"broker {node} has no address that clients could be told")
        return told, base + node

    def _broker(self, node: int, host: str, port: int) -> Broker:
        broker = self.brokers.get(node)
        return broker if broker is not None else self._bind(node, host, port)

    def _bind(self, node: int, host: str, port: int) -> Broker:
        config = self._config
        ours = (config.base_port or 0) + node
        if node < 0 or ours >= PORTS:
            raise Unmapped(f"broker {node} would be on port {ours}: kafka.base_port leaves no room for it")
        if len(self.brokers) >= config.max_brokers:
            raise Unmapped(f"broker {node} is one more than kafka.max_brokers")
        target = self._target(node, *config.brokers.get(node, (host, port)))
        broker = Broker(node, (host, port), target, self._rules(str(node)))
        try:
            where = self._runtime.expose(ours, self._name, lambda: self._session(broker))
        except CannotExpose as e:
            raise Unmapped(f"broker {node}: {e}") from e
        self.brokers[node] = broker
        self._say(f"broker {node} at {target} is served on {join_host_port(*where)}")
        return broker

    def _target(self, node: int, host: str, port: int) -> Authority:
        if not host or not 0 < port < PORTS:
            raise Unmapped(f"broker {node} says that it is at {host!r}, port {port}")
        return Authority(host, port)

    def _say(self, text: str) -> None:
        self._runtime.say(f"listener {self._runtime.listen.name}: {text}")
