# -*- test-case-name: tests.transport.proxy_protocol.test_crc32c -*-
"""
The checksum of a header: CRC-32C (Castagnoli; RFC 9260, appendix A), which Python's libraries have not.
"""

from __future__ import annotations

from typing import Final

#: the polynomial 0x1EDC6F41, its bits reversed
POLYNOMIAL: Final = 0x82F63B78


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


#: of each byte
TABLE: Final = tuple(_remainder(byte) for byte in range(256))


def crc32c(data: bytes) -> int:
    """The checksum of C{data}, 32 bits."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
