# -*- test-case-name: tests.metrics.test_registry -*-
"""
What the tests of metrics have in common: something to scrape, and ways to fill and to read it.
"""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy import config
from lproxy.metrics.registry import Metrics

#: whatever a peer may put into a label's value
HOSTILE = '"\\\n\r\t},x="1" é中\u2028\x85\x00\udc80\\"'


class Connection:
    """What L{TransportCounter<lproxy.metrics.counters.TransportCounter>} needs of one."""

    def __init__(self, bytes_in: int = 0, bytes_out: int = 0, errno: str = "") -> None:
        self.bytes_in = bytes_in
        self.bytes_out = bytes_out
        self.errno = errno


class Number:
    """The smallest counter of a series."""

    def __init__(self) -> None:
        self.value = 0
        self.holders = 0

    def mark(self) -> int:
        return self.value

    def held(self) -> bool:
        return self.holders > 0


class MetricsCase(SynchronousTestCase):
    """
    A L{Metrics} with a clock of its own.

    @ivar failures: what it said of plugins
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.failures: list[tuple[str, Failure]] = []
        self.metrics = self.make()

    def make(self, **settings: Any) -> Metrics:
        """Another one."""
        return Metrics(
            config.Metrics(**settings), self.clock, lambda name, failure: self.failures.append((name, failure))
        )

    def text(self) -> str:
        """A scrape."""
        return b"".join(self.metrics.text()).decode()

    def samples(self, name: str = "") -> list[Any]:
        """The samples of a scrape, or those called C{name}: much less to parse, where there are thousands."""
        text = self.text()
        if name:
            text = "".join(f"{line}\n" for line in text.split("\n") if line.startswith((f"{name}{{", f"{name} ")))
        return [s for family in text_string_to_metric_families(text) for s in family.samples]

    def values(self, name: str, **labels: str) -> list[float]:
        """Of the samples called C{name} that have at least C{labels}."""
        return [s.value for s in self.samples(name) if labels.items() <= s.labels.items()]

    def connect(self, src: str = "10.0.3.9", dst: str = "10.0.3.7:8080", direction: str = "inbound") -> Any:
        """The counter of connections, as sessions get it."""
        return self.metrics.transport(direction, "src" if direction == "inbound" else "dst", src, dst, "http")

    def visit(self, **where: str) -> None:
        """A connection, opened, used and closed."""
        counter, connection = self.connect(**where), Connection(3, 4)
        counter.open(connection, self.clock.seconds())
        counter.close(connection, self.clock.seconds())
