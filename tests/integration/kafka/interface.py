# -*- test-case-name: tests.integration.kafka.test_clients -*-
"""
What the tests want of a Kafka client, whichever it is: one file C{with_NAME.py} for each.
"""

from __future__ import annotations

import contextlib
import os
import queue
from abc import ABC, abstractmethod
from collections.abc import Iterable

#: seconds for what should take one or two, on a busy machine
PATIENCE = 40.0


def drain(values: queue.SimpleQueue[bytes], seconds: float) -> list[bytes]:
    """What a thread has put into a queue, all of it; wait for the first."""
    found = []
    with contextlib.suppress(queue.Empty):
        found.append(values.get(timeout=seconds))
        while True:
            found.append(values.get_nowait())
    return found


class Reader(ABC):
    """A member of a consumer group."""

    @abstractmethod
    def poll(self, seconds: float) -> list[bytes]:
        """What has come; may be nothing."""

    @abstractmethod
    def assigned(self) -> int:
        """How many partitions it has."""

    @abstractmethod
    def close(self) -> None:
        """Leave."""


class Client(ABC):
    """One of the clients. All that it produces it has been told to be stored, but for acks=0."""

    #: what it has
    transactions = True
    admin = True
    codecs: tuple[str, ...] = ("none", "gzip", "lz4", "zstd")

    def __init__(self, bootstrap: str, sasl: str, more: dict[str, str]) -> None:
        self.bootstrap = bootstrap
        self.sasl = sasl
        self.more = more
        self.user, self.password = os.environ.get("KAFKA_USER", ""), os.environ.get("KAFKA_PASSWORD", "")

    @abstractmethod
    def produce(
        self, topic: str, values: Iterable[bytes], acks: int = -1, codec: str = "none", once: bool = False
    ) -> None:
        """With an idempotent producer if C{once}."""

    @abstractmethod
    def reader(self, topic: str, group: str, committed: bool = False) -> Reader:
        """One that begins at the beginning and reads only what was committed if C{committed}."""

    @abstractmethod
    def addresses(self) -> list[str]:
        """Where brokers are, as it was told."""

    def create(self, topic: str) -> None:  # noqa: B027 - brokers make topics as well
        """Make a topic."""

    def transaction(self, topic: str, values: Iterable[bytes], name: str, commit: bool) -> None:
        """Produce C{values} in a transaction, and commit or abort it."""
        raise NotImplementedError

    def topics(self) -> list[str]:
        """Names of all topics."""
        raise NotImplementedError

    def group(self, group: str) -> tuple[str, int]:
        """A group's state, and how many members it has."""
        raise NotImplementedError

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        raise NotImplementedError

    def flood(self, topic: str) -> Flood:
        """A producer that goes on whatever happens."""
        raise NotImplementedError

    def log(self, topic: str) -> list[tuple[int, int, str]]:
        """Partition, offset and value of all that is stored."""
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027 - there may be nothing to do
        """At the end."""


class Flood(ABC):
    """
    An idempotent producer in a cluster whose brokers come and go.

    @ivar acked: the values that are stored, as it was told
    @ivar failed: those that are not, and why
    """

    def __init__(self) -> None:
        self.acked: list[int] = []
        self.failed: dict[int, str] = {}

    @abstractmethod
    def send(self, n: int) -> None:
        """Begin to."""

    @abstractmethod
    def flush(self) -> None:
        """Wait for all."""
