# -*- test-case-name: tests.transport.proxy_protocol.test_v1 -*-
"""
Tests for L{lproxy.transport.proxy_protocol.v1}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.proxy_protocol.header import Header, Malformed
from lproxy.transport.proxy_protocol.v1 import LONGEST, build, parse
from lproxy.verdict import NeedMore

TCP4 = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
#: the longest that there is
TCP6 = b"PROXY TCP6 " + b" ".join([b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] * 2) + b" 65535 65535\r\n"
UNKNOWN = b"PROXY UNKNOWN " + b"f" * (LONGEST - 16) + b"\r\n"


class ParseTests(SynchronousTestCase):
    """What a line says."""

    def header(self, data: bytes) -> Header:
        """C{data} fed whole, byte by byte, and with more behind it, which makes no difference."""
        whole = parse(data)
        assert isinstance(whole, Header)
        for n in range(6, len(data)):
            more = parse(data[:n])
            assert isinstance(more, NeedMore), data[:n]
            self.assertTrue(n < more.at_least <= len(data), (n, more))
        self.assertEqual(whole, parse(data + b"GET / HTTP/1.1\r\n\r\n"))
        self.assertEqual(len(data), whole.size)
        return whole

    def test_tcp4(self) -> None:
        """Both addresses and ports."""
        header = self.header(TCP4)
        self.assertEqual((("192.0.2.1", 56324), ("198.51.100.2", 443)), (header.source, header.destination))
        self.assertEqual((1, False), (header.version, header.local))

    def test_tcp6(self) -> None:
        """As long as a line can be; addresses are shown as all are, in their shortest form."""
        self.assertEqual(("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535), self.header(TCP6).source)
        header = self.header(b"PROXY TCP6 2001:0DB8:0:0::1 ::FFFF:192.0.2.1 1 0\r\n")
        self.assertEqual((("2001:db8::1", 1), ("192.0.2.1", 0)), (header.source, header.destination))

    def test_unknown(self) -> None:
        """Whatever is behind it is passed over."""
        for data in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN \0\xff 1 2 3\r\n", UNKNOWN):
            header = self.header(data)
            self.assertEqual((None, None, False), (header.source, header.destination, header.local))

    def test_refused(self) -> None:
        """Anything else, however near it comes."""
        for line in (
            b"PROXY TCP4 192.0.2.1 198.51.100.2 56324",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 ",
            b"PROXY TCP4  192.0.2.1 198.51.100.2 56324 443",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 056324 443",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 -1 443",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 44\xb3",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 1_0 443",
            b"PROXY TCP4 192.0.2.01 198.51.100.2 56324 443",
            b"PROXY TCP4 192.0.2 198.51.100.2 56324 443",
            b"PROXY TCP4 192.0.2.256 198.51.100.2 56324 443",
            b"PROXY TCP4 2001:db8::1 2001:db8::2 56324 443",
            b"PROXY TCP6 192.0.2.1 198.51.100.2 56324 443",
            b"PROXY TCP6 fe80::1%eth0 fe80::2 56324 443",
            b"PROXY TCP6 ::1::2 fe80::2 56324 443",
            b"PROXY TCP4 192.0.2.1\0 198.51.100.2 56324 443",
            b"PROXY TCP4 \xd9\xa1.0.2.1 198.51.100.2 56324 443",
            b"PROXY UDP4 192.0.2.1 198.51.100.2 56324 443",
            b"PROXY tcp4 192.0.2.1 198.51.100.2 56324 443",
            b"PROXY UNKNOWN2",
            b"PROXY ",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n",
        ):
            self.assertRaises(Malformed, parse, line + b"\r\n")

    def test_endless(self) -> None:
        """No end within 107 bytes is none, also where it comes later; with fewer of them it may still come."""
        self.assertEqual(NeedMore(LONGEST), parse(b"PROXY UNKNOWN".ljust(LONGEST - 1)))
        self.assertRaises(Malformed, parse, b"PROXY UNKNOWN".ljust(LONGEST))
        self.assertRaises(Malformed, parse, b"PROXY UNKNOWN".ljust(LONGEST) + b"\r\n")


class BuildTests(SynchronousTestCase):
    """What is sent."""

    def test_there_and_back(self) -> None:
        """What was built says what it was built from, in few enough bytes."""
        for source, destination in (
            (("192.0.2.1", 56324), ("198.51.100.2", 443)),
            (("2001:db8::1", 1), ("2001:db8::2", 65535)),
            (("192.0.2.1", 1), ("2001:db8::2", 2)),
            (("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535), ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535)),
        ):
            line = build(source, destination)
            self.assertLessEqual(len(line), LONGEST)
            self.assertEqual(Header(len(line), 1, False, source, destination, {}), parse(line))

    def test_text(self) -> None:
        """As the specification has it."""
        self.assertEqual(TCP4, build(("192.0.2.1", 56324), ("198.51.100.2", 443)))

    def test_no_address(self) -> None:
        """Of a client on a UNIX socket nothing is said, nor where one of the two is not known."""
        for source, destination in ((("", 0), ("", 0)), (None, None), (("192.0.2.1", 1), None)):
            self.assertEqual(b"PROXY UNKNOWN\r\n", build(source, destination))
