# -*- test-case-name: tests.transport.proxy_protocol.test_tlv -*-
"""
What a header of version 2 says besides addresses: vectors of a type, a length and a value.
"""

from __future__ import annotations

from typing import Final

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
from lproxy.transport.stream import Conn

#: a type and a length
HEAD: Final = 3
#: flags of L{SSL}: the client came over TLS; it showed a certificate on this connection; in this session
CLIENT_SSL: Final = 0x01
CLIENT_CERT_CONN: Final = 0x02
CLIENT_CERT_SESS: Final = 0x04


def read(header: bytes, start: int) -> dict[int, bytes]:
    """
    All vectors from C{start} to the end of C{header}, by type. The checksum, where there is one, is right.

    @raise Malformed: one is longer than there is room for, or the checksum is wrong
    """
    found: dict[int, bytes] = {}
    at = start
    while at < len(header):
        begin = at + HEAD
        end = begin + int.from_bytes(header[at + 1 : begin], "big")
        if begin > len(header) or end > len(header):
            raise Malformed(f"a vector of type 0x{header[at]:02x} is longer than the header")
        if header[at] == CRC32C:
            _check(header, begin, end)
        found[header[at]] = header[begin:end]
        at = end
    return found


def _check(header: bytes, begin: int, end: int) -> None:
    """It is made over the whole header, itself being zero."""
    if end - begin != 4:
        raise Malformed(f"a checksum of {end - begin} bytes")
    if crc32c(header[:begin] + bytes(4) + header[end:]) != int.from_bytes(header[begin:end], "big"):
        raise Malformed("its checksum is wrong")


def write(kind: int, value: bytes) -> bytes:
    """One vector."""
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def about(client: Conn) -> bytes:
    """
    The vectors that tell of a client's TLS: the name it asked for, what was agreed on, and who it is; of TLS that is
    not ours to end, the name alone.

    Its identity, a name of its certificate's SAN, takes the place of the common name that other proxies tell: this is
    where receivers look for who has connected.
    """
    tls = client.tls
    if tls is None:
        return write(AUTHORITY, client.sni.encode("utf-8", "replace")) if client.sni else b""
    vectors = b""
    if tls.alpn:
        vectors += write(ALPN, tls.alpn.encode("ascii", "replace"))
    if tls.sni:
        vectors += write(AUTHORITY, tls.sni.encode("utf-8", "replace"))
    flags, unverified = CLIENT_SSL, 1
    inner = write(SSL_VERSION, tls.version.encode("ascii", "replace"))
    if tls.remote_identity:
        flags, unverified = CLIENT_SSL | CLIENT_CERT_CONN | CLIENT_CERT_SESS, 0
        inner += write(SSL_CN, tls.remote_identity.encode("utf-8", "replace"))
    inner += write(SSL_CIPHER, tls.cipher.encode("ascii", "replace"))
    return vectors + write(SSL, bytes([flags]) + unverified.to_bytes(4, "big") + inner)
