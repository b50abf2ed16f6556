# -*- test-case-name: tests.protocols.kafka.test_client -*-
"""
Tests for L{lproxy.protocols.kafka.client}: a lease is a connection to a broker, for one client alone.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.client import SHOWN, KafkaClient
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.stack.report import Report
from lproxy.target import UNKNOWN
from lproxy.testing.proxy import ScriptedProxy
from lproxy.testing.upstream import UPSTREAM
from lproxy.transport.connect import ConnectFailed


class Talk:
    """A client's connection, as a lease sees it."""

    def __init__(self, client_id: str | None = None, node: str = "", in_flight: int = 0) -> None:
        self._names = (client_id, node)
        self._in_flight = in_flight

    def in_flight(self) -> int:
        return self._in_flight

    def names(self) -> tuple[str | None, str]:
        return self._names


class ClientTests(SynchronousTestCase):
    """The service of one broker."""

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(KafkaPlugin())
        self.client = KafkaClient(self.proxy.runtime.outward, UPSTREAM, UNKNOWN, "kafka")

    def described(self) -> dict[str, Any]:
        """What it shows of itself."""
        report = Report(rows=True)
        self.client.report(report)
        return report.row()

    def test_never_ready(self) -> None:
        """There is never a connection to be had at once: each belongs to one client."""
        self.assertIsNone(self.client.try_acquire())

    def test_load(self) -> None:
        """Connections count from the attempt to the end of the lease, and are not evicted meanwhile."""
        self.proxy.connector.mode = "wait"
        d = self.client.acquire()
        self.assertEqual(1, self.client.load)
        self.proxy.connector.accept()
        lease = self.successResultOf(d)
        self.client.close()
        self.assertEqual("", self.proxy.connector.upstreams[0].ended)
        lease.close()
        self.assertEqual(0, self.client.load)
        self.proxy.settle()
        self.assertEqual("reset", self.proxy.connector.upstreams[0].ended)

    def test_failed(self) -> None:
        """A failed attempt counts no longer, nor does one that was cancelled."""
        self.proxy.connector.mode = "refuse"
        self.failureResultOf(self.client.acquire(), ConnectFailed)
        self.assertEqual(0, self.client.load)
        self.proxy.connector.mode = "wait"
        d = self.client.acquire()
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual((0, 1), (self.client.load, self.proxy.connector.cancelled))

    def test_call(self) -> None:
        """Who calls has the connection, and is shown as long as it has; a connection that has ended is let alone."""
        lease = self.successResultOf(self.client.acquire())
        talk = Talk("shop", "2", 3)
        upstream = lease.call(talk, None)
        self.assertEqual(UPSTREAM, upstream.endpoint)
        self.assertEqual({"connections": 1, "in_flight": 3, "node": "2", "client_ids": ["shop"]}, self.described())
        upstream.stream.close()
        self.proxy.settle()
        lease.close()
        self.assertEqual({"connections": 0, "in_flight": 0, "node": None, "client_ids": []}, self.described())
        self.assertEqual("closed", self.proxy.connector.upstreams[0].ended)

    def test_shown(self) -> None:
        """Client ids are shown once each, in order, and not without end; who has none is not named."""
        talks = [Talk("b"), Talk(None), Talk("a"), Talk("b", "", 1), *(Talk(f"c{n:02}") for n in range(30))]
        # kept: a lease that is dropped is ended
        leases = [self.successResultOf(self.client.acquire()) for _ in talks]
        for lease, talk in zip(leases, talks, strict=True):
            lease.call(talk, None)
        shown = self.described()
        self.assertEqual(["a", "b", *(f"c{n:02}" for n in range(SHOWN - 2))], shown["client_ids"])
        self.assertEqual((34, 1, None), (shown["connections"], shown["in_flight"], shown["node"]))

    def test_counted(self) -> None:
        """Its connections are counted as outgoing ones of the protocol, and what breaks in them as its crash."""
        lease = self.successResultOf(self.client.acquire())
        upstream = lease.call(Talk(), None)
        counter = self.proxy.counted["outbound", "dst", "10.0.0.2", "10.0.0.9:9000", "kafka"]
        self.assertEqual(1, len(counter.live))
        self.assertIsNotNone(upstream.stream.on_crash)
        lease.close()
        self.proxy.settle()
        self.assertEqual(0, len(counter.live))
