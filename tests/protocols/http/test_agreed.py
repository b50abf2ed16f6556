# -*- test-case-name: tests.protocols.http.test_agreed -*-
"""
L{lproxy.protocols.http.agreed}: the version of HTTP that is agreed upon in the TLS handshake.
"""

from __future__ import annotations

from typing import Any

from lproxy.config import Service
from lproxy.protocols.http.agreed import Agreed
from lproxy.target import Metadata, Secure
from lproxy.testing import Peer, shown
from tests.protocols.http.h2.upstream import Http2Peer
from tests.protocols.http.harness import GET, OK, HttpTestCase, get


class AgreedTests(HttpTestCase):
    """An upstream that says what it speaks."""

    metadata = Metadata(Secure("web.test"))

    def start(self, **changes: Any) -> None:
        """Begin anew."""
        service = Service("upstream.test:9000", tls=True)
        super().start(service=lambda target: service, **changes)

    @property
    def agreed(self) -> Agreed:
        """The service of the endpoint."""
        service = self.proxy.acquires["http/2"].service
        assert isinstance(service, Agreed)
        return service

    def ask(self, alpn: str, request: bytes = GET) -> Peer:
        """A client with a request, while connections are agreed to speak that."""
        self.proxy.connector.agreed = alpn
        return self.client(request)

    def serve_h2(self, peer: Peer) -> Http2Peer:
        """Have C{peer} speak HTTP/2, and read what there is."""
        server = Http2Peer(peer)
        self.settle()
        server.read()
        self.settle()
        server.read()
        return server

    def test_http2(self) -> None:
        """Where that is agreed upon, HTTP/2 is spoken, by the client's HTTP/1 as well, and as to an https server."""
        client = self.ask("h2")
        server = self.serve_h2(self.up)
        self.assertEqual((b"https", b"web.test"), (server.requests[1][b":scheme"], server.requests[1][b":authority"]))
        server.answer(1)
        self.assertIn(b"200 OK", self.heard(client))
        self.ask("h2")
        self.assertEqual(1, len(self.ups))

    def test_http1(self) -> None:
        """Where it is not, the very connection is used for HTTP/1.1, and so are others from then on."""
        for alpn in ("http/1.1", ""):
            self.start()
            client = self.ask(alpn)
            self.assertEqual((GET, 1), (self.heard(self.up), len(self.ups)))
            self.say(self.up, OK)
            self.assertEqual(OK, self.heard(client))
            self.say(client, GET)
            self.assertEqual((GET, 1), (self.heard(self.up), len(self.ups)))
            other = self.ask(alpn)
            self.assertEqual((2, {"in_flight": 2, "idle": 0}), (len(self.ups), shown(self.agreed)))
            for up in self.ups:
                self.say(up, OK)
            self.assertEqual((OK, 0), (self.heard(other), self.agreed.load))
            self.assertEqual([], self.proxy.acquires["http/2"].failures)

    def test_many_wait(self) -> None:
        """All who wait for the first connection are served, whatever it turns out to speak; each once."""
        self.proxy.connector.mode = "wait"
        clients = [self.ask("http/1.1", get(f"/{n}")) for n in range(5)]
        self.assertEqual(1, len(self.proxy.connector.waiting))
        self.proxy.connector.mode = "accept"
        self.proxy.connector.accept()
        self.settle()
        self.assertEqual(5, len(self.ups))
        self.assertEqual([get(f"/{n}") for n in range(5)], sorted(up.heard for up in self.ups))
        for up in self.ups:
            self.say(up, OK)
        self.assertEqual([OK] * 5, [client.heard for client in clients])

    def test_changes_its_mind(self) -> None:
        """A server that speaks another version after a restart is spoken to in that, both ways."""
        self.ask("http/1.1")
        self.say(self.up, OK)
        self.up.hang_up()
        self.settle()
        client = self.ask("h2")
        server = self.serve_h2(self.ups[1])
        server.answer(1)
        self.assertIn(b"200 OK", self.heard(client))
        server.go_away(1)
        self.settle()
        client = self.ask("http/1.1")
        self.assertEqual(GET, self.heard(self.ups[2]))
        self.say(self.ups[2], OK)
        self.assertEqual((OK, 0), (self.heard(client), self.agreed.load))

    def test_what_was_before(self) -> None:
        """A call on a connection of the version before goes on, and counts."""
        self.ask("h2")
        first = self.serve_h2(self.up)
        first.go_away(1)
        self.settle()
        self.ask("http/1.1")
        self.assertEqual(2, self.agreed.load)
        self.say(self.ups[1], OK)
        self.assertEqual(1, self.agreed.load)
        first.answer(1)
        self.settle()
        self.assertEqual((0, "closed"), (self.agreed.load, self.ups[0].ended))

    def test_refused(self) -> None:
        """What cannot be connected to is an error as always."""
        self.proxy.connector.mode = "refuse"
        self.assertIn(b"502 Bad Gateway", self.heard(self.ask("h2")))

    def test_closed(self) -> None:
        """Once closed, nothing is kept of a connection that still comes."""
        self.proxy.connector.mode = "wait"
        self.ask("http/1.1")
        self.agreed.close()
        self.proxy.connector.mode = "accept"
        self.proxy.connector.accept()
        self.settle()
        for up in self.ups:
            self.say(up, OK)
        self.settle()
        self.assertEqual({"closed"}, {up.ended for up in self.ups})

    def test_websocket(self) -> None:
        """What wants a connection to itself has one of HTTP/1.1, which is all that is offered for that."""
        client = self.ask("http/1.1", get("/", "Connection: Upgrade", "Upgrade: websocket"))
        self.say(self.up, b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
        self.assertTrue(self.heard(client).endswith(b"\r\n\r\nhi"))
        self.assertEqual(1, self.proxy.acquires["http"].service.load)
