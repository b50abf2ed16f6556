# -*- test-case-name: tests.transport.proxy_protocol.test_parse -*-
"""
Tests for L{lproxy.transport.proxy_protocol.parse}.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.proxy_protocol import v1, v2
from lproxy.transport.proxy_protocol.header import Header, Malformed, Missing
from lproxy.transport.proxy_protocol.parse import LONGEST, parse
from lproxy.verdict import NeedMore

HEADERS = (
    v1.build(("192.0.2.1", 1), ("192.0.2.2", 2)),
    v1.build(None, None),
    v2.build(("2001:db8::1", 1), ("2001:db8::2", 2), b"\x01\x00\x02h2"),
    v2.build_local(),
)


class ParseTests(SynchronousTestCase):
    """Either version, or neither."""

    def test_each_prefix(self) -> None:
        """Of a header that is not all there, more is waited for, from the very beginning, and never too much."""
        for data in HEADERS:
            for n in range(len(data)):
                more = parse(data[:n])
                assert isinstance(more, NeedMore), data[:n]
                self.assertTrue(n < more.at_least <= len(data), (data[:n], more))
            header = parse(data)
            assert isinstance(header, Header)
            self.assertEqual(len(data), header.size)

    def test_missing(self) -> None:
        """What other protocols begin with is no header, from the first byte that differs."""
        for data in (
            b"G",
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01",
            b"PROPFIND / HTTP/1.1",
            b"PROXZ",
            b"\r\n\r\nG",
            b"\n",
        ):
            self.assertRaises(Missing, parse, data)

    def test_garbage(self) -> None:
        """Whatever comes is a header, needs more, or is refused; as many bytes as any header has are enough."""
        seeded = random.Random(7)
        shuffled = []
        for data in HEADERS * 200:
            mutable = bytearray(data)
            mutable[seeded.randrange(len(mutable))] = seeded.randrange(256)
            shuffled.append(bytes(mutable))
        for data in (*(seeded.randbytes(size) for size in range(300)), *shuffled):
            for size in (len(data), LONGEST):
                try:
                    said = parse(data.ljust(size, b"\xff")[:LONGEST])
                except (Missing, Malformed):
                    continue
                self.assertIsInstance(said, Header if size == LONGEST else (Header, NeedMore), data)
