# -*- test-case-name: tests.protocols.kafka.gateway.test_cluster -*-
"""
The brokers behind a gateway: where each really is, and where clients find it.

A broker that is heard of for the first time is given a listener of its own, on C{base_port} plus its node id, before
the answer that names it goes on. One that has moved keeps it: further connections go to the new address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from lproxy.api import Accepted, Authority, CannotExpose, Runtime, Session, join_host_port
from lproxy.protocols.kafka.settings import KafkaConfig
from lproxy.protocols.kafka.talk.rules import Rules

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
        session: Callable[[Broker, Accepted], Session],
    ) -> None:
        self._runtime = runtime
        self._config = config
        self._name = name
        self._rules = rules
        self._session = session
        self.brokers: dict[int, Broker] = {}

    def start(self) -> None:
        """Listen for the brokers that are configured; raises L{Unmapped}."""
        named = [(node, *address) for node, address in self._config.brokers.items()]
        self._check(named)
        for one in named:
            self._broker(*one)

    def check(self, named: Iterable[tuple[int, str, int]], ours: str) -> None:
        """
        There is a place for all of these, if their ports are free: what L{locate} will be asked. Nobody is bound.

        @raise Unmapped: for one there is none
        """
        named = list(named)
        self._check(named)
        for node, _, _ in named:
            self._place(node, ours)

    def locate(self, node: int, host: str, port: int, ours: str) -> tuple[str, int]:
        """
        Where a client finds the broker C{node}, which says that it is at C{host} and C{port}.

        @param ours: the address by which that client has found us
        @raise Unmapped: it is new, and its port is taken; all else is for L{check} to say
        """
        broker = self._broker(node, host, port)
        if (host, port) != broker.address:
            if node not in self._config.brokers:
                broker.target = self._target(node, host, port)
                self._say(f"broker {node} is at {broker.target} now")
            broker.address = (host, port)
        return self._place(node, ours)

    def _check(self, named: Iterable[tuple[int, str, int]]) -> None:
        room = self._config.max_brokers - len(self.brokers)
        new: set[int] = set()
        for node, host, port in named:
            self._target(node, host, port)
            self._port(node)
            if node not in self.brokers:
                new.add(node)
            if len(new) > room:
                raise Unmapped(f"broker {node} is one more than kafka.max_brokers")

    def _port(self, node: int) -> int:
        ours = (self._config.base_port or 0) + node
        if node < 0 or ours >= PORTS:
            raise Unmapped(f"broker {node} would be on port {ours}: kafka.base_port leaves no room for it")
        return ours

    def _place(self, node: int, ours: str) -> tuple[str, int]:
        told = self._config.advertised_host or ours
        base = self._config.advertised_base_port or self._config.base_port or 0
        if not told or base + node >= PORTS:
            raise Unmapped(f"broker {node} has no address that clients could be told")
        return told, base + node

    def _broker(self, node: int, host: str, port: int) -> Broker:
        broker = self.brokers.get(node)
        return broker if broker is not None else self._bind(node, host, port)

    def _bind(self, node: int, host: str, port: int) -> Broker:
        target = self._target(node, *self._config.brokers.get(node, (host, port)))
        broker = Broker(node, (host, port), target, self._rules(str(node)))
        try:
            where = self._runtime.expose(self._port(node), self._name, partial(self._session, broker))
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
