# -*- test-case-name: tests.protocols.http.test_route -*-
"""
Tests for L{lproxy.protocols.http.route}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.message import Request
from lproxy.protocols.http.route import NoAuthority, route
from lproxy.target import Authority, OriginalDst, ServiceName


def request(authority: bytes) -> Request:
    """A request for C{authority}."""
    return Request(b"GET", b"/", [], 0, authority, False)


class RouteTests(SynchronousTestCase):
    """Where a request goes."""

    def test_by_authority(self) -> None:
        """By its host and port, 80 where it has none; case and a final dot do not matter."""
        for authority, target in (
            (b"Web.Local", Authority("web.local", 80)),
            (b"web.local.:81", Authority("web.local", 81)),
            (b"[::1]:8080", Authority("::1", 8080)),
            (b"[::1]", Authority("::1", 80)),
            (b"web.local", Authority("web.local", 80)),
            (b"10.0.0.1:80", Authority("10.0.0.1", 80)),
        ):
            self.assertEqual(target, route(request(authority), OriginalDst("1.2.3.4", 80), True))

    def test_port_of_connection(self) -> None:
        """A redirected connection was going to a port, which a Host without one means."""
        connection = OriginalDst("1.2.3.4", 8080)
        for authority, port in ((b"web.local", 8080), (b"[::1]", 8080), (b"web.local:80", 80), (b"web.local:81", 81)):
            self.assertEqual(port, route(request(authority), connection, True).port)
        self.assertEqual(80, route(request(b"web.local"), None, True).port)

    def test_by_connection(self) -> None:
        """Where the listener says so, all requests go where their connection goes."""
        for target in (ServiceName("web"), OriginalDst("1.2.3.4", 80)):
            self.assertIs(target, route(request(b"elsewhere"), target, False))

    def test_without_host(self) -> None:
        """A request without a host goes where its connection was going, and nowhere if that is unknown."""
        self.assertEqual(OriginalDst("1.2.3.4", 80), route(request(b""), OriginalDst("1.2.3.4", 80), True))
        self.assertIn("names no host", str(self.assertRaises(NoAuthority, route, request(b""), None, True)))

    def test_connection_of_no_destination(self) -> None:
        """Where requests do not choose, it is the connection that says too little, whatever their host is."""
        asked = Request(b"GET", b"/", [(b"Host", b"web.local")], 0, b"web.local", False)
        for one in (asked, request(b"web.local"), request(b"")):
            said = str(self.assertRaises(NoAuthority, route, one, None, False))
            self.assertIn("neither redirected nor asks for a name in TLS", said)
