# -*- test-case-name: tests.protocols.http.test_upstreams -*-
"""
L{lproxy.protocols.http.upstreams}: in which version an upstream is spoken to.
"""

from __future__ import annotations

from lproxy.config import Service
from lproxy.protocols.http.h2.pool import Http2Pool
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.pool import Pool
from lproxy.transport.stream import Conn, Secured
from tests.protocols.http.harness import HttpTestCase


class StackTests(HttpTestCase):
    """Which stack is asked."""

    def test_bottoms(self) -> None:
        """One of connections, and one of streams."""
        acquires = self.proxy.acquires
        self.assertIsInstance(acquires["http"].service, Pool)
        self.assertIsInstance(acquires["http/2"].service, Http2Pool)

    def test_engines(self) -> None:
        """Listeners share streams only where they agree on what reads them: no setting of one is another's."""
        lane = {name for name in self.proxy.acquires if name.startswith("http/2")}
        self.start(listen={"http2_engine": "reference"})
        reference = {name for name in self.proxy.acquires if name.startswith("http/2")}
        self.assertEqual((1, 1, 2), (len(lane), len(reference), len(lane | reference)))

    def test_chosen(self) -> None:
        """
        The service's version, else what is agreed upon where it has TLS, else the client's; but one that is told of
        clients has connections of theirs, and what wants a connection to itself has one, where that is open.
        """
        upstreams = self.factory.listener.upstreams
        h1, h2 = upstreams.http1, upstreams.http2
        for service, client1, client2, websocket1, websocket2 in (
            (Service(), h1, h2, h1, h2),
            (Service(protocol="http1"), h1, h1, h1, h1),
            (Service(protocol="http2"), h2, h2, h2, h2),
            (Service(proxy_protocol="v2"), h1, h1, h1, h1),
            (Service(tls=True), h2, h2, h1, h1),
            (Service(identity="web.mesh"), h2, h2, h1, h1),
        ):
            request = Request(b"GET", b"/", [], 0, b"web.test", False)
            self.assertIs(client1, upstreams.stack(service, request))
            request.upgrade = True
            self.assertIs(websocket1, upstreams.stack(service, request))
            request = Request(b"GET", b"/", [], 0, b"web.test", False)
            request.stream_id = 1
            self.assertIs(client2, upstreams.stack(service, request))
            request.protocol = b"websocket"
            self.assertIs(websocket2, upstreams.stack(service, request))

    def test_offered(self) -> None:
        """
        A client that was offered both versions has said nothing about the upstream by taking HTTP/2: plain ones are
        spoken to in HTTP/1, but for calls of gRPC; those of TLS are asked.
        """
        upstreams = self.factory.listener.upstreams
        h1, h2 = upstreams.http1, upstreams.http2
        offered = Secured(alpn="h2")
        for service, tls, request, call in (
            (Service(), offered, h1, h2),
            (Service(), Secured(), h2, h2),
            (Service(), None, h2, h2),
            (Service(protocol="http2"), offered, h2, h2),
            (Service(protocol="http1"), offered, h1, h1),
            (Service(tls=True), offered, h2, h2),
        ):
            asked = Request(b"POST", b"/", [], 0, b"web.test", False)
            asked.stream_id = 1
            self.assertIs(request, upstreams.stack(service, asked, tls))
            asked.grpc = True
            self.assertIs(call, upstreams.stack(service, asked, tls))
        listener, conn = self.factory.listener, Conn(("10.0.0.1", 1), ("10.0.0.2", 2), tls=offered)
        self.assertIs(h2, listener.destination(asked, conn).acquire)
        asked.grpc = False
        self.assertIs(h1, listener.destination(asked, conn).acquire)

    def test_routes(self) -> None:
        """Routes to the same are remembered by the version that requests come in."""
        conn = Conn(("10.0.0.1", 1), ("10.0.0.2", 2))
        request = Request(b"GET", b"/", [], 0, b"web.test", False)
        first = self.factory.listener.destination(request, conn)
        request.stream_id = 1
        second = self.factory.listener.destination(request, conn)
        self.assertEqual((first.target, first.counter), (second.target, second.counter))
        upstreams = self.factory.listener.upstreams
        self.assertEqual((upstreams.http1, upstreams.http2), (first.acquire, second.acquire))
        self.assertIs(second, self.factory.listener.destination(request, conn))
        request.private = True
        self.assertIsNot(second, self.factory.listener.destination(request, conn))
