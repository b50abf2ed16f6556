# -*- test-case-name: tests.protocols.kafka.test_client -*-
"""
The bottom of Kafka's stack: each lease is a connection to a broker, opened for one client's connection.

Kafka's logins, quotas and transactions belong to connections, so none is ever shared.
"""

from __future__ import annotations

from typing import Protocol

from lproxy.protocols.connection import ConnectionClient
from lproxy.protocols.runtime import Runtime
from lproxy.stack.lease import FREE, Hold, ended
from lproxy.stack.report import Report
from lproxy.target import Endpoint
from lproxy.transport.socket import Stream


class Conversing(Protocol):
    """The request of a lease: a client's connection."""

    def join(self, upstream: Stream, address: str) -> None:
        """Talk to the broker by C{upstream}."""

    def in_flight(self) -> int:
        """Requests that are unanswered."""

    def names(self) -> tuple[str | None, str]:
        """What the client calls itself, and the broker's node id, empty where it is not known."""


#: client ids that are shown of one broker
SHOWN = 20


class KafkaClient(ConnectionClient["KafkaLease"]):
    """The service of one broker."""

    def __init__(self, runtime: Runtime, endpoint: Endpoint, name: str) -> None:
        super().__init__(runtime, endpoint, name)
        self.talks: dict[Conversing, None] = {}

    def lease(self, stream: Stream) -> KafkaLease:
        """For one client's connection."""
        return KafkaLease(self, stream)

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


class KafkaLease:
    """An open connection to a broker, for one client's."""

    __slots__ = ("_client", "_stream", "_talk", "hold")

    def __init__(self, client: KafkaClient, stream: Stream) -> None:
        self.hold: Hold = FREE
        self._client = client
        self._stream = stream
        self._talk: Conversing | None = None

    def call(self, request: Conversing) -> None:
        """Let C{request} have the connection."""
        self._talk = request
        self._client.talks[request] = None
        request.join(self._stream, str(self._client.endpoint))

    def close(self) -> None:
        """The connection is not needed any more."""
        if not ended(self):
            return
        if self._talk is not None:
            self._client.talks.pop(self._talk, None)
        self._client.released(self._stream)
