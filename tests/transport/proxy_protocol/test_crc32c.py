# -*- test-case-name: tests.transport.proxy_protocol.test_crc32c -*-
"""
Tests for L{lproxy.transport.proxy_protocol.crc32c}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.proxy_protocol.crc32c import crc32c


class VectorTests(SynchronousTestCase):
    """What others say that it is."""

    def test_check(self) -> None:
        """The check value that catalogues of such checksums give."""
        self.assertEqual(0xE3069283, crc32c(b"123456789"))

    def test_iscsi(self) -> None:
        """The vectors of iSCSI (RFC 3720, B.4), whose bytes are written the other way round."""
        for data, crc in (
            (bytes(32), 0x8A9136AA),
            (b"\xff" * 32, 0x62A8AB43),
            (bytes(range(32)), 0x46DD794E),
            (bytes(reversed(range(32))), 0x113FDB5C),
            (b"", 0),
        ):
            self.assertEqual(crc, crc32c(data), data)
