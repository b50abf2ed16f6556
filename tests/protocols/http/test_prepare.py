# -*- test-case-name: tests.protocols.http.test_prepare -*-
"""
L{lproxy.protocols.http.prepare}: requests, before a service is acquired for them.
"""

from __future__ import annotations

from lproxy.config import Service
from lproxy.protocols.http.message import Request, Response
from lproxy.protocols.http.prepare import prepare
from lproxy.transport.stream import Conn
from tests.protocols.http.harness import HttpTestCase

CONN = Conn(("10.0.0.1", 1), ("10.0.0.2", 2))


class PrepareTests(HttpTestCase):
    """What a request says to whoever gets it."""

    def prepare(self, request: Request) -> tuple[Response, bytes] | None:
        """Have C{request} ready for where it goes."""
        listener = self.factory.listener
        return prepare(request, listener.destination(request, CONN), None, listener, CONN)

    def test_plain(self) -> None:
        """The most are as they were."""
        request = Request(b"GET", b"/", [(b"Host", b"web.test")], 0, b"web.test", False)
        self.assertIsNone(self.prepare(request))
        self.assertEqual([(b"Host", b"web.test")], request.headers)
        self.assertEqual((False, False), (request.private, request.lenient))

    def test_service(self) -> None:
        """A service's settings are its requests' as well."""
        self.start(service=lambda target: Service(lenient=True, proxy_protocol="v1"))
        request = Request(b"GET", b"/", [(b"Host", b"web.test")], 0, b"web.test", False)
        self.assertIsNone(self.prepare(request))
        self.assertEqual((True, True), (request.private, request.lenient))

    def test_no_host(self) -> None:
        """A request that names no host, and gets somewhere all the same, names that."""
        request = Request(b"GET", b"/", [], 0, b"", False)
        self.assertIsNone(self.prepare(request))
        self.assertEqual([(b"Host", b"upstream.test:9000")], request.headers)

    def test_last_hop(self) -> None:
        """One that is to go no further is answered."""
        request = Request(b"OPTIONS", b"*", [(b"Max-Forwards", b"0")], 0, b"web.test", False)
        request.special = request.hops = True
        ours = self.prepare(request)
        assert ours is not None
        self.assertEqual(200, ours[0].status)
