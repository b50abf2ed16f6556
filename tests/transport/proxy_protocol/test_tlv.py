# -*- test-case-name: tests.transport.proxy_protocol.test_tlv -*-
"""
Tests for L{lproxy.transport.proxy_protocol.tlv}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.proxy_protocol.crc32c import crc32c
from lproxy.transport.proxy_protocol.header import (
    ALPN,
    AUTHORITY,
    CRC32C,
    SSL,
    SSL_CIPHER,
    SSL_CN,
    SSL_VERSION,
    Malformed,
)
from lproxy.transport.proxy_protocol.tlv import about, read, write
from lproxy.transport.stream import Conn, Secured

PEER = ("192.0.2.1", 1)
START = b"whatever the header says before"


def checked(*vectors: bytes, wrong: int = 0) -> bytes:
    """A header with C{vectors}, a checksum in their midst, and one behind it."""
    before, after = START + b"".join(vectors), write(0x04, b"nothing")
    crc = crc32c(before + write(CRC32C, bytes(4)) + after) ^ wrong
    return before + write(CRC32C, crc.to_bytes(4, "big")) + after


class ReadTests(SynchronousTestCase):
    """Vectors up to the header's end."""

    def test_none(self) -> None:
        """There may be none."""
        self.assertEqual({}, read(START, len(START)))

    def test_checksum(self) -> None:
        """It covers all of the header, what follows it too."""
        found = read(checked(write(ALPN, b"h2")), len(START))
        self.assertEqual([ALPN, CRC32C, 0x04], list(found))

    def test_wrong_checksum(self) -> None:
        """One bit is enough, of the checksum or of what it is made over."""
        good = checked(write(ALPN, b"h2"))
        for bit in range(32):
            self.assertRaises(Malformed, read, checked(write(ALPN, b"h2"), wrong=1 << bit), len(START))
        self.assertRaises(Malformed, read, b"W" + good[1:], len(START))
        self.assertRaises(Malformed, read, good[:-1] + b"G", len(START))

    def test_checksum_of_other_length(self) -> None:
        """It has four bytes."""
        for length in (0, 3, 5):
            self.assertRaises(Malformed, read, START + write(CRC32C, bytes(length)), len(START))

    def test_overrun(self) -> None:
        """None is longer than the header, wherever that ends."""
        whole = START + write(ALPN, b"http/1.1")
        for n in range(len(START) + 1, len(whole)):
            self.assertRaises(Malformed, read, whole[:n], len(START))


class AboutTests(SynchronousTestCase):
    """What is told of a client's TLS."""

    def test_plain(self) -> None:
        """Nothing of a client without."""
        self.assertEqual(b"", about(Conn(PEER, PEER)))

    def test_passed_on(self) -> None:
        """Of TLS that nobody has ended here, the name that it is for."""
        self.assertEqual({AUTHORITY: b"web.shop.test"}, read(about(Conn(PEER, PEER, sni="web.shop.test")), 0))

    def test_all(self) -> None:
        """The name it asked for, the protocol that was agreed on, and, verified, who it is."""
        tls = Secured("web.shop.test", "h2", "TLSv1.3", "TLS_AES_128_GCM_SHA256", "", "spiffe://shop/cart")
        found = read(about(Conn(PEER, PEER, tls=tls)), 0)
        self.assertEqual((b"web.shop.test", b"h2"), (found[AUTHORITY], found[ALPN]))
        flags, verify, inner = found[SSL][0], found[SSL][1:5], read(found[SSL], 5)
        self.assertEqual((7, bytes(4)), (flags, verify))
        self.assertEqual(
            {SSL_VERSION: b"TLSv1.3", SSL_CN: b"spiffe://shop/cart", SSL_CIPHER: b"TLS_AES_128_GCM_SHA256"}, inner
        )

    def test_nobody(self) -> None:
        """A client that showed no certificate is not said to be verified, nor to have any name."""
        found = read(about(Conn(PEER, PEER, tls=Secured(version="TLSv1.2", cipher="X"))), 0)
        self.assertEqual([SSL], list(found))
        self.assertEqual((1, b"\0\0\0\1"), (found[SSL][0], found[SSL][1:5]))
        self.assertNotIn(SSL_CN, read(found[SSL], 5))
