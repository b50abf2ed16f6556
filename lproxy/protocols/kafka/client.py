# -*- test-case-name: tests.protocols.kafka.test_client -*-
"""
The bottom of Kafka's stack: each lease is a connection to a broker, opened for one client's connection.

Kafka's logins, quotas and transactions belong to connections, so none is ever shared.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from lproxy.api import (
    FREE,
    Conn,
    ConnectionClient,
    ConnectionLease,
    Endpoint,
    Health,
    HealthCheck,
    Hold,
    Metadata,
    Outward,
    Report,
    Upstream,
    ended,
)


class Conversing(Protocol):
    """A client's connection, for which a lease was acquired."""

    def in_flight(self) -> int:
        """Requests that await their response."""

    def names(self) -> tuple[str | None, str]:
        """What the client calls itself, and the broker's node id, empty where it is not known."""


#: client ids that are shown of one broker
SHOWN = 20


class KafkaClient:
    """The service of one broker: connections, of which it knows whose they are."""

    def __init__(
        self, outward: Outward, endpoint: Endpoint, metadata: Metadata, name: str, health: Health | None = None
    ) -> None:
        self._connections = ConnectionClient(outward, endpoint, metadata, name, health)
        self.talks: dict[Conversing, None] = {}

    @property
    def load(self) -> int:
        """Connections that are open, or being opened."""
        return self._connections.load

    @load.setter
    def load(self, load: int) -> None:
        self._connections.load = load

    def try_acquire(self) -> KafkaLease | None:
        """A new connection, where the last one stood at once."""
        lease = self._connections.try_acquire()
        return KafkaLease(self, lease) if lease is not None else None

    def acquire(self) -> Deferred[KafkaLease]:
        """Open a connection."""
        return self._connections.acquire().addCallback(self._lease)

    def check(self, check: HealthCheck) -> Deferred[None]:
        """Connect."""
        return self._connections.check(check)

    def close(self) -> None:
        """Nothing is kept."""

    def report(self, report: Report) -> None:
        """Connections that are open, and who has them."""
        if not report.rows:
            return
        names = [talk.names() for talk in self.talks]
        report.show(
            connections=self.load,
            in_flight=sum(talk.in_flight() for talk in self.talks),
            node=next((node for _, node in names if node), None),
            client_ids=sorted({client for client, _ in names if client is not None})[:SHOWN],
        )

    def _lease(self, lease: ConnectionLease) -> KafkaLease:
        return KafkaLease(self, lease)


class KafkaLease:
    """An open connection to a broker, for one client's."""

    __slots__ = ("_client", "_connection", "_talk", "hold")

    def __init__(self, client: KafkaClient, connection: ConnectionLease) -> None:
        self.hold: Hold = FREE
        self._client = client
        self._connection = connection
        self._talk: Conversing | None = None

    def call(self, talk: Conversing, client: Conn | None) -> Upstream:
        """The connection, which nobody reads yet; it is C{talk}'s from now on, for C{client} or for nobody."""
        self._talk = talk
        self._client.talks[talk] = None
        return self._connection.call(client)

    def close(self) -> None:
        """The connection is not needed any more."""
        if not ended(self):
            return
        if self._talk is not None:
            self._client.talks.pop(self._talk, None)
        self._connection.close()
