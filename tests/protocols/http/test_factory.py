# -*- test-case-name: tests.protocols.http.test_factory -*-
"""
L{lproxy.protocols.http.factory}: what a listener's sessions share.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lproxy.config import Timeouts
from lproxy.protocols.http.detect import detect
from lproxy.protocols.http.factory import ROUTES, HttpFactory
from lproxy.protocols.http.message import Rejected, Request
from lproxy.protocols.http.recognise import NoAuthority
from lproxy.target import Authority, OriginalDst, ServiceName
from lproxy.testing import Peer
from tests.protocols.http.harness import GET, OK, HttpTestCase


class FactoryTests(HttpTestCase):
    """Routes and the sweep."""

    def request(self, authority: bytes = b"Web.Test:81") -> Request:
        """One."""
        return Request(b"GET", b"/", 11, [], 0, authority, True, False)

    def stream(self, original: tuple[str, int] | None = None) -> Any:
        """A connection."""
        stream = self.proxy.reactor.stream(Peer(), ("10.0.0.1", 1), ("10.0.0.2", 2))
        stream.original_dst = original
        return stream

    def test_detector(self) -> None:
        """It carries its own."""
        self.assertIs(detect, HttpFactory.detector)

    def test_by_authority(self) -> None:
        """Where requests choose, they go to their authority, which is remembered and counted by what it says."""
        self.start(listen={"target": "authority"})
        route = self.factory.route(self.request(), self.stream())
        self.assertEqual(Authority("web.test", 81), route.target)
        self.assertIs(route, self.factory.route(self.request(), self.stream()))
        other = self.factory.route(self.request(b"web.test"), self.stream())
        self.assertEqual(Authority("web.test", 80), other.target)
        self.assertIs(self.factory.metrics.route("web.test"), other.counter)

    def test_nowhere(self) -> None:
        """A request that names nothing goes nowhere, unless its connection does."""
        self.start(listen={"target": "authority"})
        self.assertRaises(NoAuthority, self.factory.route, self.request(b""), self.stream())
        route = self.factory.route(self.request(b""), self.stream(("10.9.9.9", 99)))
        self.assertEqual(OriginalDst("10.9.9.9", 99), route.target)
        self.assertIs(self.factory.metrics.route("10.9.9.9:99"), route.counter)

    def test_fixed(self) -> None:
        """Where the listener has a target, all go there, counted by what they ask for."""
        self.start(listen={"target": "service:web"})
        route = self.factory.route(self.request(), self.stream())
        self.assertEqual(ServiceName("web"), route.target)
        self.assertIs(self.factory.metrics.route("web.test:81"), route.counter)

    def test_original(self) -> None:
        """Connections that were redirected go each to its own, whatever their requests have in common."""
        self.start(listen={"target": "original-dst"})
        targets = [self.factory.route(self.request(), self.stream(("10.9.9.9", port))).target for port in (1, 2, 1)]
        self.assertEqual([OriginalDst("10.9.9.9", port) for port in (1, 2, 1)], targets)

    def test_no_address(self) -> None:
        """What cannot be an address is bad input."""
        self.start(listen={"target": "authority"})
        for authority in (b"web.test:0", b"web.test:65536"):
            error = self.assertRaises(Rejected, self.factory.route, self.request(authority), self.stream())
            self.assertEqual((400, "host"), (error.status, error.reason))

    def test_bounded(self) -> None:
        """Clients cannot make it remember more than so many."""
        for n in range(3 * ROUTES):
            self.factory.route(self.request(b"web%d.test" % n), self.stream())
            self.assertLessEqual(len(self.factory._routes), ROUTES)

    def test_sweep(self) -> None:
        """One timer for all sessions, shorter where the limits are; none when it has stopped."""
        for timeouts, tick in ((self.timeouts, 1.0), (Timeouts(header_read=0.4), 0.1)):
            self.factory.doStop()
            self.start(timeouts=timeouts)
            for _ in range(5):
                self.client(GET[:5])
            (call,) = self.proxy.reactor.getDelayedCalls()
            self.assertAlmostEqual(tick, call.getTime() - self.proxy.reactor.seconds())
            for client in self.clients:
                client.reset()
            self.settle()
        self.factory.doStart()
        self.factory.doStop()
        self.assertEqual([], self.proxy.reactor.getDelayedCalls())
        self.factory.doStop()
        self.factory.drain()

    def test_clocks(self) -> None:
        """A warm request makes no timer, whatever it is that the listener's clients are given time for."""
        client = self.client(GET)
        self.say(self.up, OK)
        before = self.proxy.reactor.getDelayedCalls()
        for _ in range(3):
            self.say(client, GET)
            self.assertEqual(before, self.proxy.reactor.getDelayedCalls())
            self.say(self.up, OK)
        self.assertFalse(self.factory.has_clocks)
        self.start(timeouts=replace(self.timeouts, stream=1.0))
        self.assertTrue(self.factory.has_clocks)
