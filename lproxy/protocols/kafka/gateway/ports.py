# -*- test-case-name: tests.protocols.kafka.gateway.test_ports -*-
"""
The ports on which a gateway serves its brokers: which a new one gets, and which are taken by others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lproxy.api import CannotExpose
from lproxy.protocols.kafka.settings import PORTS, KafkaConfig

#: seconds after which a port that another program had is tried again
AGAIN = 5.0


class NoPort(Exception):
    """There is none left for a broker."""


class Ports:
    """
    The ports of one gateway, which do not depend on the order in which brokers are heard of where node ids fit.

    @ivar used: those that brokers have
    """

    def __init__(self, config: KafkaConfig, seconds: Callable[[], float]) -> None:
        self._config = config
        self._seconds = seconds
        self._range = config.broker_ports
        #: since when another program has a port, as far as is known, and what was said
        self._taken: dict[int, tuple[float, str]] = {}
        self.used: set[int] = set()

    def own(self, node: int) -> int | None:
        """The port that is C{node}'s whoever else is there, C{None} where it has none: C{base_port} + C{node}."""
        config = self._config
        if config.base_port is None:
            return None
        port = config.base_port + node
        if config.ports:
            return port if port in self._range else None
        return port if 0 < port <= min(PORTS, PORTS - config.advertised_offset) else None

    def bind_own(self, node: int, bind: Callable[[int], object]) -> int:
        """As L{bind_any}, on the port that is C{node}'s own, if it has one."""
        own = self.own(node)
        return self._bind((own,) if own is not None else (), bind)

    def bind_again(self, port: int, node: int, bind: Callable[[int], object]) -> int:
        """As L{bind_any}, on C{port}, which C{node} had before, if it is one that it may have."""
        return self._bind((port,) if port == self.own(node) or port in self._range else (), bind)

    def bind_any(self, node: int, bind: Callable[[int], object]) -> int:
        """
        Have C{bind} listen for C{node}, or whoever it is, on the first port of the range that it can.

        @param bind: raises L{CannotExpose} where it cannot
        @raise NoPort: on none of them, and why
        """
        return self._bind(self._range, bind)

    def _bind(self, ports: Iterable[int], bind: Callable[[int], object]) -> int:
        now = self._seconds()
        why = "all are in use by brokers"
        for port in ports:
            if port in self.used:
                continue
            since, said = self._taken.get(port, (-AGAIN, ""))
            if said and now - since < AGAIN:
                why = said
                continue
            try:
                bind(port)
            except CannotExpose as e:
                why = str(e)
                if e.instead is not None and e.instead not in self.used:
                    # another worker has given it a port
                    return self._bind((e.instead,), bind)
                self._taken[port] = now, why
                continue
            self._taken.pop(port, None)
            self.used.add(port)
            return port
        raise NoPort(why)
