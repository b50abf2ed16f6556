# -*- test-case-name: tests.transport.proxy_protocol.test_announce -*-
"""
Tests for L{lproxy.transport.proxy_protocol.announce}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.proxy_protocol.announce import announcement
from lproxy.transport.proxy_protocol.header import AUTHORITY, Header
from lproxy.transport.proxy_protocol.parse import parse
from lproxy.transport.stream import Conn, Secured

PEER, LOCAL, ORIGINAL = ("192.0.2.1", 56324), ("198.51.100.2", 443), ("203.0.113.3", 80)


class AnnouncementTests(SynchronousTestCase):
    """Whom a connection is for."""

    def header(self, version: str, client: Conn | None) -> Header:
        """What an upstream reads."""
        header = parse(announcement(version, client))
        assert isinstance(header, Header)
        self.assertEqual(version, f"v{header.version}")
        return header

    def test_addresses(self) -> None:
        """The client's, and what it had connected to."""
        for version in ("v1", "v2"):
            header = self.header(version, Conn(PEER, LOCAL))
            self.assertEqual((PEER, LOCAL, False), (header.source, header.destination, header.local))

    def test_redirected(self) -> None:
        """A client that was redirected here had connected to somebody else."""
        for version in ("v1", "v2"):
            self.assertEqual(ORIGINAL, self.header(version, Conn(PEER, LOCAL, ORIGINAL)).destination)

    def test_tls(self) -> None:
        """Version 2 tells of the client's TLS; version 1 cannot."""
        client = Conn(PEER, LOCAL, tls=Secured(sni="web.shop.test"))
        self.assertEqual(b"web.shop.test", self.header("v2", client).told[AUTHORITY])
        self.assertEqual({}, self.header("v1", client).told)

    def test_nobody(self) -> None:
        """What is for nobody in particular is told as the proxy's own."""
        self.assertTrue(self.header("v2", None).local)
        self.assertIsNone(self.header("v1", None).source)

    def test_unix(self) -> None:
        """A client on a UNIX socket has no address, and is a client all the same."""
        header = self.header("v2", Conn(("", 0), ("", 0)))
        self.assertEqual((None, False), (header.source, header.local))
