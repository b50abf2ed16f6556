# -*- test-case-name: tests.transport.proxy_protocol.test_header -*-
"""
What a header says, whichever version it is of.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final, NamedTuple

from lproxy.transport.stream import Address

#: types of what a header of version 2 may say besides (TLVs)
ALPN: Final = 0x01
AUTHORITY: Final = 0x02
CRC32C: Final = 0x03
SSL: Final = 0x20
#: within L{SSL}
SSL_VERSION: Final = 0x21
SSL_CN: Final = 0x22
SSL_CIPHER: Final = 0x23


class Malformed(ValueError):
    """These bytes begin as a header does, and are none that a receiver may take."""


class Missing(ValueError):
    """These bytes begin as no header does."""


class Header(NamedTuple):
    """
    Who a connection is for.

    @ivar size: how many bytes it took
    @ivar version: 1 or 2
    @ivar local: whether the sender has connected for itself, as health checkers do
    @ivar source: the client's address; C{None} where the sender does not say, or it is no IP address
    @ivar destination: what the client had connected to; likewise
    @ivar told: what it says besides, by type
    """

    size: int
    version: int
    local: bool
    source: Address | None
    destination: Address | None
    told: Mapping[int, bytes]


def shown(packed: bytes) -> str:
    """The IP address of 4 or 16 bytes as all addresses are shown: IPv4 mapped into IPv6 as what it is."""
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def packed(host: str) -> bytes:
    """The reverse of L{shown}, without the interface (C{%eth0}); empty where C{host} is no IP address."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:
        return b""


def mapped(address: bytes) -> bytes:
    """Its 16 bytes as IPv6, of 4 as well."""
    return bytes(10) + b"\xff\xff" + address if len(address) == 4 else address
