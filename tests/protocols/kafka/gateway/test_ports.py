# -*- test-case-name: tests.protocols.kafka.gateway.test_ports -*-
"""
Tests for L{lproxy.protocols.kafka.gateway.ports}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import CannotExpose
from lproxy.protocols.kafka.gateway.ports import AGAIN, NoPort, Ports
from lproxy.protocols.kafka.settings import read


class PortsTests(SynchronousTestCase):
    """Which port a broker gets."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.taken: set[int] = set()
        self.tried: list[int] = []

    def ports(self, **table: Any) -> Ports:
        return Ports(read({"mode": "gateway", **table}), self.clock.seconds)

    def bind(self, port: int) -> None:
        self.tried.append(port)
        if port in self.taken:
            raise CannotExpose(f"{port} is taken")

    def test_own(self) -> None:
        """base_port + id, where that is a port, and one of the range if there is one."""
        for table, node, port in (
            ({"base_port": 9100}, 0, 9100),
            ({"base_port": 9100}, 1001, 10_101),
            ({"base_port": 9100}, 56_435, 65_535),
            ({"base_port": 9100}, 56_436, None),
            ({"base_port": 9100, "advertised_base_port": 65_000}, 535, 9635),
            ({"base_port": 9100, "advertised_base_port": 65_000}, 536, None),
            ({"base_port": 9100, "ports": "9101-9102"}, 2, 9102),
            ({"base_port": 9100, "ports": "9101-9102"}, 3, None),
            ({"ports": "9101-9102"}, 1, None),
        ):
            self.assertEqual(port, self.ports(**table).own(node))

    def test_bound(self) -> None:
        """Each its own, where it has one; else the lowest that is free."""
        ports = self.ports(ports="9101-9103", base_port=9100)
        self.assertEqual(9102, ports.bind_own(2, self.bind))
        for node in (2, 4):
            self.assertRaises(NoPort, ports.bind_own, node, self.bind)
        self.assertEqual([9101, 9103], [ports.bind_any(4, self.bind) for _ in range(2)])
        self.assertEqual("all are in use by brokers", str(self.assertRaises(NoPort, ports.bind_any, 4, self.bind)))
        ports.used.discard(9103)
        self.assertEqual(9103, ports.bind_any(4, self.bind))

    def test_tried_again(self) -> None:
        """A port that was taken is not tried at every turn."""
        ports = self.ports(ports="9101-9101")
        self.taken.add(9101)
        for wait in (0, AGAIN - 1, 1):
            self.clock.advance(wait)
            self.assertEqual("9101 is taken", str(self.assertRaises(NoPort, ports.bind_any, 4, self.bind)))
        self.assertEqual([9101, 9101], self.tried)
