# -*- test-case-name: tests.protocols.http.test_listener -*-
"""
L{lproxy.protocols.http.listener}: what a listener's clients share.
"""

from __future__ import annotations

from lproxy.protocols.http.destination import Destination
from lproxy.protocols.http.listener import DESTINATIONS
from lproxy.protocols.http.message import Rejected, Request
from lproxy.protocols.http.route import NoAuthority
from lproxy.target import Authority, OriginalDst, ServiceName
from lproxy.transport.stream import Conn
from tests.protocols.http.harness import HttpTestCase


class RouteTests(HttpTestCase):
    """Where requests go is remembered."""

    def route(self, authority: bytes = b"Web.Test:81", original: tuple[str, int] | None = None) -> Destination:
        """Where a request for C{authority} goes, on a connection that was redirected, or was not."""
        conn = Conn(("10.0.0.1", 1), ("10.0.0.2", 2), original)
        return self.factory.listener.destination(Request(b"GET", b"/", [], 0, authority, False), conn)

    def test_by_authority(self) -> None:
        """Where requests choose, they go to their authority, which is remembered and counted by what it says."""
        self.start(listen={"target": "authority"})
        route = self.route()
        self.assertEqual(Authority("web.test", 81), route.target)
        self.assertIs(route, self.route())
        other = self.route(b"web.test")
        self.assertEqual(Authority("web.test", 80), other.target)
        self.assertIs(self.factory.metrics.route("web.test"), other.counter)

    def test_nowhere(self) -> None:
        """A request that names nothing goes nowhere, unless its connection does."""
        self.start(listen={"target": "authority"})
        self.assertRaises(NoAuthority, self.route, b"")
        route = self.route(b"", ("10.9.9.9", 99))
        self.assertEqual(OriginalDst("10.9.9.9", 99), route.target)
        self.assertIs(self.factory.metrics.route("10.9.9.9:99"), route.counter)

    def test_empty_host(self) -> None:
        """An empty Host is bad input where an address is needed, and none where the connection has one."""
        listener = self.factory.listener
        empty = Request(b"GET", b"/", [(b"Host", b"")], 0, b"", False)
        conn = Conn(("10.0.0.1", 1), ("10.0.0.2", 2))
        self.assertEqual(Authority("upstream.test", 9000), listener.destination(empty, conn).target)
        self.start(listen={"target": "authority"})
        error = self.assertRaises(Rejected, self.factory.listener.destination, empty, conn)
        self.assertEqual((400, "host"), (error.status, error.reason))
        redirected = conn._replace(original_dst=("10.9.9.9", 99))
        self.assertEqual(OriginalDst("10.9.9.9", 99), self.factory.listener.destination(empty, redirected).target)

    def test_fixed(self) -> None:
        """Where the listener has a target, all go there, counted by what they ask for."""
        self.start(listen={"target": "service:web"})
        route = self.route()
        self.assertEqual(ServiceName("web"), route.target)
        self.assertIs(self.factory.metrics.route("web.test:81"), route.counter)

    def test_original(self) -> None:
        """Connections that were redirected go each to its own, whatever their requests have in common."""
        self.start(listen={"target": "original-dst"})
        targets = [self.route(original=("10.9.9.9", port)).target for port in (1, 2, 1)]
        self.assertEqual([OriginalDst("10.9.9.9", port) for port in (1, 2, 1)], targets)

    def test_no_address(self) -> None:
        """What cannot be an address is bad input."""
        self.start(listen={"target": "authority"})
        for authority in (b"web.test:0", b"web.test:65536"):
            error = self.assertRaises(Rejected, self.route, authority)
            self.assertEqual((400, "host"), (error.status, error.reason))

    def test_bounded(self) -> None:
        """Clients cannot make it remember more than so many: then it begins anew."""
        first = self.route(b"web0.test")
        for n in range(DESTINATIONS + 1):
            self.route(b"web%d.test" % n)
        self.assertIsNot(first, self.route(b"web0.test"))

    def test_forgotten(self) -> None:
        """What is remembered is made anew after a while, so that nobody's metrics are held for ever."""
        route = self.route()
        self.wait(601, 1)
        self.assertIsNot(route, self.route())


class IdleTests(HttpTestCase):
    """How long clients may be idle."""

    def test_idle(self) -> None:
        """As long as is configured; a moment where the proxy ends; where another configuration goes on, as before."""
        listener = self.factory.listener
        self.assertEqual(60.0, listener.idle())
        listener.draining = True
        self.assertEqual(1.0, listener.idle())
        self.start(superseded=lambda: True)
        self.factory.listener.draining = True
        self.assertEqual(60.0, self.factory.listener.idle())
