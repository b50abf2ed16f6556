# -*- test-case-name: tests.metrics.test_endpoints -*-
"""
L{lproxy.metrics.endpoints}: which endpoint fails, and how slow it is.
"""

from __future__ import annotations

from typing import Any

from lproxy.metrics.caps import OTHER
from lproxy.metrics.endpoints import ENDPOINT_CAP
from tests.metrics.case import MetricsCase


class At:
    """A balancer's service at an endpoint."""

    def __init__(self, load: int = 0) -> None:
        self.load = load


class EndpointTests(MetricsCase):
    """Families of endpoints."""

    def each(self, name: str, *labels: str) -> dict[Any, float]:
        """The samples of a family, by the values of labels."""
        return {
            tuple(sample.labels[label] for label in labels): sample.value
            for sample in self.samples(name)
            if sample.name == name
        }

    def test_values(self) -> None:
        """What was counted is what is shown."""
        counter = self.metrics.endpoints.counter("web", "10.0.0.1:80")
        counter.live[At(2)] = counter.live[At(3)] = None
        counter.connected = 7
        counter.not_opened("connect")
        counter.not_opened("connect")
        counter.succeeded, counter.failed = 5, 4
        counter.latency.observe(30.0)
        counter.eject("server_errors")
        where = ("web", "10.0.0.1:80")
        both = ("service", "endpoint")
        self.assertEqual({where: 1}, self.each("endpoint_up", *both))
        self.assertEqual({where: 5}, self.each("endpoint_in_flight", *both))
        self.assertEqual({("ok",): 7, ("connect",): 2}, self.each("endpoint_connect_total", "outcome"))
        wanted = {("success",): 5, ("failure",): 4}
        self.assertEqual(wanted, self.each("endpoint_request_total", "classification"))
        self.assertEqual({(*where, "server_errors"): 1}, self.each("endpoint_ejected_total", *both, "reason"))
        self.assertEqual({where: 30}, self.each("endpoint_latency_ms_sum", *both))
        counter.down = 1
        self.assertEqual({where: 0}, self.each("endpoint_up", *both))

    def test_gone(self) -> None:
        """One that is gone is neither up nor down; ten minutes later nothing is left of it. Others stay."""
        for n in range(2):
            counter = self.metrics.endpoints.counter("web", f"10.0.0.{n}:80")
            at = At()
            counter.live[at] = None
            counter.connected = 1
        self.text()
        del counter.live[at]
        self.assertEqual({("10.0.0.0:80",): 1}, self.each("endpoint_up", "endpoint"))
        self.assertEqual(2, len(self.each("endpoint_connect_total", "endpoint")))
        self.clock.advance(599.0)
        self.assertEqual(2, len(self.each("endpoint_connect_total", "endpoint")))
        self.clock.advance(2.0)
        self.assertEqual({("10.0.0.0:80",): 1}, self.each("endpoint_connect_total", "endpoint"))

    def test_capped(self) -> None:
        """However many services and endpoints there are, the series are few, and nothing goes uncounted."""
        for n in range(300):
            for m in range(10):
                counter = self.metrics.endpoints.counter(f"web{n}", f"10.{n}.0.{m}:80")
                counter.connected += 1
        found = self.each("endpoint_connect_total", "service", "endpoint")
        self.assertEqual(3_000, sum(found.values()))
        self.assertLessEqual(len(found), ENDPOINT_CAP + 201)
        self.assertEqual(201, len({service for service, _ in found}))
        self.assertLessEqual(len({endpoint for _, endpoint in found}), ENDPOINT_CAP + 1)
        self.assertIn((OTHER, OTHER), found)

    def test_same(self) -> None:
        """An endpoint of two services is two; of one service, whoever asks, it is one."""
        counter = self.metrics.endpoints.counter
        self.assertIs(counter("a", "10.0.0.1:80"), counter("a", "10.0.0.1:80"))
        self.assertIsNot(counter("a", "10.0.0.1:80"), counter("b", "10.0.0.1:80"))
