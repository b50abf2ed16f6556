# -*- test-case-name: tests.transport.proxy_protocol.test_v2 -*-
"""
Tests for L{lproxy.transport.proxy_protocol.v2}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.proxy_protocol import tlv
from lproxy.transport.proxy_protocol.header import ALPN, AUTHORITY, Header, Malformed
from lproxy.transport.proxy_protocol.v2 import HEAD, LONGEST, MOST, SIGNATURE, build, build_local, parse
from lproxy.verdict import NeedMore

SOURCE, DESTINATION = ("192.0.2.1", 56324), ("198.51.100.2", 443)
#: their bytes
INET = bytes([192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 0x04, 0x01, 0xBB])


def head(command: int, family: int, rest: bytes) -> bytes:
    """A header's bytes, as they are told."""
    return SIGNATURE + bytes([command, family, len(rest) >> 8, len(rest) & 0xFF]) + rest


class ParseTests(SynchronousTestCase):
    """What a header says."""

    def header(self, data: bytes) -> Header:
        """C{data} fed whole, byte by byte, and with more behind it, which makes no difference."""
        whole = parse(data)
        assert isinstance(whole, Header)
        for n in range(len(SIGNATURE), len(data)):
            more = parse(data[:n])
            assert isinstance(more, NeedMore), data[:n]
            self.assertEqual(HEAD if n < HEAD else len(data), more.at_least)
        self.assertEqual(whole, parse(data + b"\x16\x03\x01 and more"))
        self.assertEqual(len(data), whole.size)
        return whole

    def test_inet(self) -> None:
        """IPv4, of streams and of datagrams."""
        for family in (0x11, 0x12):
            self.assertEqual(
                Header(28, 2, False, SOURCE, DESTINATION, {}), self.header(head(0x21, family, INET)), family
            )

    def test_inet6(self) -> None:
        """IPv6; one that has IPv4 in it is shown as that."""
        rest = bytes.fromhex("20010db800000000000000000000000100000000000000000000ffffc00002010001ffff")
        for family in (0x21, 0x22):
            header = self.header(head(0x21, family, rest))
            self.assertEqual((("2001:db8::1", 1), ("192.0.2.1", 65535)), (header.source, header.destination))

    def test_vectors(self) -> None:
        """What is told besides, by type, whatever the type."""
        rest = INET + tlv.write(ALPN, b"h2") + tlv.write(0xEA, b"") + tlv.write(AUTHORITY, b"web.shop.test")
        self.assertEqual(
            {ALPN: b"h2", 0xEA: b"", AUTHORITY: b"web.shop.test"}, dict(self.header(head(0x21, 0x11, rest)).told)
        )

    def test_local(self) -> None:
        """A health checker speaks for itself; whatever it says besides is passed over, in any family."""
        for family, rest in ((0x00, b""), (0x11, INET), (0x11, b"short"), (0xFF, b"\x03\xff\xff"), (0x00, bytes(MOST))):
            header = self.header(head(0x20, family, rest))
            self.assertEqual((True, None, None), (header.local, header.source, header.destination))

    def test_no_address(self) -> None:
        """A client on a UNIX socket, and one that nothing is said of."""
        for family, rest in ((0x00, b""), (0x00, b"anything"), (0x31, bytes(216)), (0x32, bytes(216))):
            header = self.header(head(0x21, family, rest))
            self.assertEqual((False, None, None), (header.local, header.source, header.destination))

    def test_refused(self) -> None:
        """Versions, commands and families that there are not; too short for its addresses; vectors that overrun."""
        for data in (
            head(0x11, 0x11, INET),
            head(0x31, 0x11, INET),
            head(0x22, 0x11, INET),
            head(0x2F, 0x11, INET),
            head(0x00, 0x11, INET),
            head(0x21, 0x01, INET),
            head(0x21, 0x10, INET),
            head(0x21, 0x13, INET),
            head(0x21, 0x41, INET),
            head(0x21, 0x11, INET[:-1]),
            head(0x21, 0x11, b""),
            head(0x21, 0x21, INET),
            head(0x21, 0x11, INET + b"\x01"),
            head(0x21, 0x11, INET + b"\x01\x00"),
            head(0x21, 0x11, INET + b"\x01\x00\x02h"),
            head(0x21, 0x11, INET + b"\x01\xff\xff"),
        ):
            self.assertRaises(Malformed, parse, data)

    def test_early(self) -> None:
        """A wrong command is known from its byte, and a length over the bound from its two: nothing is waited for."""
        self.assertRaises(Malformed, parse, SIGNATURE + b"\x22")
        self.assertEqual(NeedMore(LONGEST), parse(SIGNATURE + b"\x21\x11\x10\x00"))
        self.assertRaises(Malformed, parse, SIGNATURE + b"\x21\x11\x10\x01")
        self.assertRaises(Malformed, parse, SIGNATURE + b"\x20\x00\xff\xff")


class BuildTests(SynchronousTestCase):
    """What is sent."""

    def test_there_and_back(self) -> None:
        """What was built says what it was built from."""
        for source, destination in (
            (SOURCE, DESTINATION),
            (("2001:db8::1", 1), ("2001:db8::2", 65535)),
            (("192.0.2.1", 1), ("2001:db8::2", 2)),
        ):
            header = build(source, destination, tlv.write(ALPN, b"h2"))
            self.assertEqual(Header(len(header), 2, False, source, destination, {ALPN: b"h2"}), parse(header))

    def test_bytes(self) -> None:
        """As the specification has it."""
        self.assertEqual(head(0x21, 0x11, INET), build(SOURCE, DESTINATION))
        self.assertEqual(head(0x20, 0x00, b""), build_local())

    def test_no_address(self) -> None:
        """Of a client on a UNIX socket no address is told, and what else is known all the same."""
        alpn = tlv.write(ALPN, b"h2")
        for source, destination in ((("", 0), ("", 0)), (None, None), (SOURCE, None)):
            self.assertEqual(head(0x21, 0x00, alpn), build(source, destination, alpn))
