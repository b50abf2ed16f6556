# -*- test-case-name: tests.protocols.http.test_carried -*-
"""
L{lproxy.protocols.http.carried}: requests from proxy to proxy say what they were.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Service
from lproxy.protocols.http.carried import HTTP1, HTTP2, ORIGINAL, carry, unpack
from lproxy.protocols.http.h2.fields import request_head
from lproxy.protocols.http.h2.requests import make_request
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.upstreams import native
from lproxy.target import Metadata, Secure
from lproxy.transport.stream import Secured
from tests.protocols.http.h2.upstream import Http2Peer
from tests.protocols.http.harness import GET, HttpTestCase

HEAD = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"web.test"), (b":path", b"/")]


class CarriedTests(SynchronousTestCase):
    """What is said, and what is made of it."""

    def test_said(self) -> None:
        """The version in which a request came to us."""
        request = Request(b"GET", b"/", [], 0, b"web.test", False)
        self.assertEqual([(b"a", b"b"), HTTP1], carry([(b"a", b"b")], request))
        request.stream_id = 3
        self.assertEqual([HTTP2], carry([], request))

    def test_heard(self) -> None:
        """What a verified peer says is what the request goes on in; it is never passed on."""
        for value, original in ((b"HTTP/1.1", 1), (b"HTTP/1.1; absolute-form", 1), (b"HTTP/1.0", 1), (b"HTTP/2", 2)):
            request = make_request(1, request_head([*HEAD, (ORIGINAL, value)], 9, False), True, meshed=True)
            self.assertEqual((original, []), (request.original, request.headers))
            agreed = Secured(alpn="h2", remote_identity="web.mesh")
            self.assertEqual(original == 2, native(request, agreed))

    def test_not_believed(self) -> None:
        """Nobody else is believed, nor is it passed on."""
        request = make_request(1, request_head([*HEAD, HTTP1], 9, False), True)
        self.assertEqual((0, []), (request.original, request.headers))

    def test_nothing(self) -> None:
        """A peer that says nothing has said nothing."""
        request = Request(b"GET", b"/", [], 0, b"web.test", False)
        unpack([(b"l5d-client-id", b"x")], request)
        self.assertEqual(0, request.original)


class OutboundTests(HttpTestCase):
    """What is sent to a service with an identity."""

    metadata = Metadata(Secure("web.mesh", identity=True))

    def start(self, **changes: Any) -> None:
        """Begin anew."""
        service = Service("upstream.test:9000", identity="web.mesh")
        super().start(service=lambda target: service, **changes)
        self.proxy.connector.agreed = "h2"

    def test_http1(self) -> None:
        """A request of HTTP/1 travels in HTTP/2, and says so; many have one connection."""
        clients = [self.client(GET) for _ in range(3)]
        server = Http2Peer(self.up)
        self.settle()
        server.read()
        self.settle()
        server.read()
        self.assertEqual((1, [b"HTTP/1.1"] * 3), (len(self.ups), [one[ORIGINAL] for one in server.requests.values()]))
        for stream in server.requests:
            server.answer(stream, b"ok", ((":status", "200"), ("content-length", "2"), ("l5d-orig-proto", "x")))
        for client in clients:
            self.assertEqual(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", self.heard(client))

    def test_nobody_else(self) -> None:
        """A server without an identity of the mesh is told nothing of it."""
        self.metadata = Metadata(Secure("web.test"))  # type: ignore[misc]
        self.start()
        self.client(GET)
        server = Http2Peer(self.up)
        self.settle()
        server.read()
        self.settle()
        server.read()
        self.assertNotIn(ORIGINAL, server.requests[1])
