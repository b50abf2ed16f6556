# -*- test-case-name: tests.protocols.kafka.test_connections -*-
"""
The connections of a listener: how many there may be, and a look now and then at whether they move.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lproxy.protocols.kafka.metrics import KafkaMetrics
from lproxy.protocols.kafka.settings import KafkaConfig

#: looks at every connection in the shortest time for which one may stand still
LOOKS = 4


class Connection(Protocol):
    """A client's connection."""

    def look(self, now: float) -> None:
        """Called now and then: does it move?"""

    def in_flight(self) -> int:
        """Requests that await their response."""

    def names(self) -> tuple[str | None, str]:
        """What the client calls itself, and the broker's node id."""


class Connections:
    """All connections of a listener, its brokers' ports included."""

    def __init__(self, config: KafkaConfig, clock: IReactorTime) -> None:
        self._config = config
        self._clock = clock
        self._open: dict[Connection, None] = {}
        self._addresses: Counter[str] = Counter()
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._open)

    def in_flight(self) -> int:
        """Requests of all of them that await their response."""
        return sum(connection.in_flight() for connection in self._open)

    def nodes(self) -> set[str]:
        """The node ids of the brokers to which anybody is connected, as far as they are known."""
        return {connection.names()[1] for connection in self._open}

    def begin(self, connection: Connection, address: str, metrics: KafkaMetrics) -> str:
        """C{connection}, of a client at C{address}, begins. Returns the setting whose limit is reached, if one is."""
        config = self._config
        reached = ""
        if config.max_connections is not None and len(self._open) >= config.max_connections:
            reached = "max_connections"
        elif (most := config.max_connections_per_address) is not None and self._addresses[address] >= most:
            reached = "max_connections_per_address"
        self._open[connection] = None
        self._addresses[address] += 1
        metrics.connections += 1
        if reached:
            metrics.refused[reached] = metrics.refused.get(reached, 0) + 1
        elif self._timer is None:
            self._look_later()
        return reached

    def end(self, connection: Connection, address: str) -> None:
        """It is over."""
        del self._open[connection]
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
        if not self._open and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        seconds = min(self._config.frame_progress, self._config.idle) / LOOKS
        self._timer = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._look_later()
        now = self._clock.seconds()
        for connection in list(self._open):
            connection.look(now)
