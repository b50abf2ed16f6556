# -*- test-case-name: tests.app.test_endpoints -*-
"""
Tests for L{lproxy.app.endpoints}.
"""

from __future__ import annotations

from random import Random

from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.endpoints import Endpoints
from lproxy.app.warn import INTERVAL
from lproxy.balancing import DEFAULT
from lproxy.config import Metrics as Config
from lproxy.metrics.endpoints import ENDPOINT_CAP, EndpointSeries
from lproxy.stack.backoff import Backoff
from lproxy.stack.health import EndpointHealth, ServiceHealth
from lproxy.target import Authority, Endpoint
from lproxy.transport.connect import ConnectFailed

TARGET = Authority("web.local", 80)
ENDPOINT = Endpoint("10.0.0.1", 80)
ERROR = ConnectFailed(ENDPOINT, "ECONNREFUSED")


class EndpointsTests(SynchronousTestCase):
    """What an operator reads of an endpoint that goes and comes."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)
        self.series = EndpointSeries(Config(), self.clock.seconds)
        self.endpoints = Endpoints(self.series, self.clock)
        self.health = self.make(ENDPOINT)

    def make(self, endpoint: Endpoint) -> EndpointHealth:
        """That of another."""
        service = ServiceHealth(TARGET, self.clock, Backoff(0.1, 5.0, Random(1)), DEFAULT, self.endpoints)
        return EndpointHealth(service, endpoint)

    def observe(self, event: dict[str, object]) -> None:
        if event.get("log_namespace") == "lproxy":
            self.lines.append(formatEvent(event))

    def fail(self, seconds: float) -> None:
        """It refuses whenever it is tried, for so long."""
        until = self.clock.seconds() + seconds
        while self.clock.seconds() < until:
            self.health.attempt_failed(ERROR, self.clock.seconds())
            self.clock.advance(0.05)

    def test_lines(self) -> None:
        """One when it goes down, with the cause, and one when it is back, with how long that took."""
        self.fail(60.0)
        self.health.succeeded()
        down, back = self.lines
        self.assertEqual("service web.local:80: endpoint 10.0.0.1:80 is down: connect: 10.0.0.1:80 refused", down)
        self.assertRegex(back, r"^service web.local:80: endpoint 10.0.0.1:80 is back after (59|60)\.\d s$")

    def test_flapping(self) -> None:
        """
        One that goes and comes all the time is a line now and then, and how many more there were; when it stays down,
        the last line says so.
        """
        for _ in range(400):
            self.fail(0.05)
            self.health.succeeded()
            self.clock.advance(0.05)
        self.assertLessEqual(len(self.lines), 2 * (40 / INTERVAL + 1))
        self.assertIn("more like this", "".join(self.lines))
        self.fail(2 * INTERVAL)
        self.assertIn(" is down: ", self.lines[-1])
        self.health.succeeded()
        self.assertIn(" is back after ", self.lines[-1])
        self.assertEqual(["down", "back"] * (len(self.lines) // 2), [line.split(" is ")[1][:4] for line in self.lines])

    def test_many(self) -> None:
        """Each endpoint has its line; a client that asks for ever new ones does not fill the log."""
        for n in range(3_000):
            endpoint = Endpoint(f"10.1.{n // 200}.{n % 200}", 80)
            health = self.make(endpoint)
            health.attempt_failed(ConnectFailed(endpoint, "ECONNREFUSED"), self.clock.seconds())
        self.assertLessEqual(len(self.lines), ENDPOINT_CAP + 1)
        self.assertGreater(len(self.lines), ENDPOINT_CAP - 2)

    def test_counted(self) -> None:
        """And it is counted under the names that the log has."""
        self.fail(0.05)
        counter = self.series.counter("web.local:80", "10.0.0.1:80")
        self.assertEqual((1, {"connect": 1}), (counter.down, counter.ejected))
