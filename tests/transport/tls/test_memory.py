# -*- test-case-name: tests.transport.tls.test_memory -*-
"""
Tests for L{lproxy.transport.tls.memory}: who is served, in memory.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Identity
from lproxy.configfile.collector import at_once
from lproxy.identity.store import Store
from lproxy.testing.certificates import CLIENT, Leaf, authority
from lproxy.transport.tls.memory import Handshakes, over_tls


class Hello(Protocol):
    """Says it, whatever it is asked."""

    def dataReceived(self, data: bytes) -> None:
        """It was asked."""
        assert self.transport is not None
        self.transport.write(b"hello")


class MemoryTests(SynchronousTestCase):
    """Who is served, and by which certificate."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.shop = authority()
        self.trust, self.certificate, self.key = self.shop.issue("admin.shop.test").write(self.folder)
        self.now = datetime.now(UTC)
        self.store = Store(Identity(), lambda: self.now)
        self.clock = Clock()

    def serve(self, client_ca: str = "") -> None:
        site = Factory.forProtocol(Hello)
        self.handshakes = Handshakes(self.store.server(self.certificate, self.key, client_ca))
        self.factory = over_tls(site, self.handshakes, self.clock)

    def ask(self, shown: Leaf | None = None, anchor: bytes = b"") -> tuple[bytes, str]:
        """
        What a client hears that shows C{shown}, and the serial number of the server's certificate.

        @raise SSL.Error: it is not served
        """
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if shown is not None:
            _, certificate, key = shown.write(self.folder, "client")
            context.use_certificate_file(certificate)
            context.use_privatekey_file(key)
        client = SSL.Connection(context, None)
        client.set_connect_state()
        transport = StringTransport()
        protocol = self.factory.buildProtocol(None)
        assert isinstance(protocol, Protocol)
        protocol.makeConnection(transport)
        heard = b""
        try:
            for _ in range(10):
                try:
                    client.do_handshake()
                    client.send(b"?")
                except SSL.WantReadError:
                    pass
                try:
                    protocol.dataReceived(client.bio_read(1 << 16))
                except SSL.WantReadError:
                    pass
                self.clock.advance(0)
                if transport.value():
                    client.bio_write(transport.value())
                    transport.clear()
                try:
                    heard += client.recv(1 << 16)
                except (SSL.WantReadError, SSL.ZeroReturnError):
                    pass
            certificate = client.get_peer_certificate()
            return heard[:5], f"{certificate.get_serial_number():x}" if certificate else ""
        finally:
            protocol.connectionLost(connectionDone)  # type: ignore[arg-type]

    def test_served(self) -> None:
        """By the certificate of the moment."""
        self.serve()
        heard, first = self.ask()
        self.assertEqual(b"hello", heard)
        self.shop.issue("admin.shop.test").write(self.folder)
        self.assertEqual([None], [change.error for change in at_once(self.store.look())])
        heard, second = self.ask()
        self.assertEqual(b"hello", heard)
        self.assertNotEqual(first, second)

    def test_client_certificates(self) -> None:
        """Where they are asked for, nobody is served without one, nor with one of others."""
        self.serve(self.trust)
        heard, _ = self.ask(self.shop.issue("ops.shop.test", usage=CLIENT))
        self.assertEqual(b"hello", heard)
        self.assertRaises(SSL.Error, self.ask)
        self.assertRaises(SSL.Error, self.ask, authority("somebody else").issue("ops.shop.test"))

    def test_plain(self) -> None:
        """Who speaks plain HTTP is told in plain HTTP that he should not; whatever else is no TLS is told nothing."""
        self.serve()
        for said, told in ((b"GET / HTTP/1.1\r\n", b"HTTP/1.1 400 Bad Request"), (b"\x00\x01\x02\x03\x04\x05", b"")):
            transport = StringTransport()
            protocol = self.factory.buildProtocol(None)
            assert isinstance(protocol, Protocol)
            protocol.makeConnection(transport)
            for part in (said, b"Host: x\r\n\r\n"):
                protocol.dataReceived(part)
            self.clock.advance(0)
            first, _, rest = transport.value().partition(b"\r\n")
            self.assertEqual((told, bool(told)), (first if told else b"", b"https only" in rest))
            self.assertTrue(transport.disconnecting)
            protocol.connectionLost(connectionDone)  # type: ignore[arg-type]
