# -*- test-case-name: tests.transport.proxy_protocol.test_v2 -*-
"""
Version 2: binary, a signature, then version and command, family, length, addresses, and vectors that say more.
"""

from __future__ import annotations

from typing import Final

from lproxy.transport.proxy_protocol import tlv
from lproxy.transport.proxy_protocol.header import Header, Malformed, mapped, packed, shown
from lproxy.transport.stream import Address
from lproxy.verdict import NeedMore

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
#: signature, version and command, family, length
HEAD: Final = 16
#: bytes after that, at most: addresses take 36 (of UNIX sockets 216), the rest is vectors
MOST: Final = 4096
LONGEST: Final = HEAD + MOST

#: the sender has connected for itself, or for somebody else
LOCAL: Final = 0x20
PROXY: Final = 0x21
#: families, with streams or datagrams in the lower half: no address, IPv4, IPv6, UNIX sockets
UNSPEC: Final = 0x00
INET: Final = (0x11, 0x12)
INET6: Final = (0x21, 0x22)
UNIX: Final = (0x31, 0x32)


def parse(prefix: bytes) -> Header | NeedMore:
    """
    Read the header that C{prefix}, which starts with L{SIGNATURE}, begins with.

    @raise Malformed: there is none that may be taken, which is found out as early as it can be
    """
    if len(prefix) > 12 and prefix[12] not in (LOCAL, PROXY):
        raise Malformed(f"version and command 0x{prefix[12]:02x}, which there are not")
    if len(prefix) < HEAD:
        return NeedMore(HEAD)
    size = HEAD + int.from_bytes(prefix[14:16], "big")
    if size > LONGEST:
        raise Malformed(f"{size - HEAD} bytes long, of {MOST} at most")
    if len(prefix) < size:
        return NeedMore(size)
    header = prefix[:size]
    family = header[13]
    if header[12] == LOCAL:
        # whatever follows is to be passed over
        return Header(size, 2, True, None, None, {})
    if family in INET:
        return _with_addresses(header, 4)
    if family in INET6:
        return _with_addresses(header, 16)
    if family != UNSPEC and family not in UNIX:
        raise Malformed(f"family 0x{family:02x}, which there is not")
    # a client without an IP address, or whose sender does not say
    return Header(size, 2, False, None, None, {})


def _with_addresses(header: bytes, width: int) -> Header:
    """Of C{width} bytes each, and a port of two each behind both."""
    start = HEAD
    ports = start + 2 * width
    end = ports + 4
    if len(header) < end:
        raise Malformed(f"{len(header) - HEAD} bytes have no room for two addresses")
    source = shown(header[start : start + width]), int.from_bytes(header[ports : ports + 2], "big")
    destination = shown(header[start + width : ports]), int.from_bytes(header[ports + 2 : end], "big")
    return Header(len(header), 2, False, source, destination, tlv.read(header, end))


def build(source: Address | None, destination: Address | None, vectors: bytes = b"") -> bytes:
    """The header for a client at C{source} that had connected to C{destination}; neither may be known."""
    ours = packed(source[0]) if source is not None else b""
    theirs = packed(destination[0]) if destination is not None else b""
    if not ours or not theirs or source is None or destination is None:
        return _head(PROXY, UNSPEC, vectors)
    family = INET[0]
    if len(ours) != 4 or len(theirs) != 4:
        family, ours, theirs = INET6[0], mapped(ours), mapped(theirs)
    ports = source[1].to_bytes(2, "big") + destination[1].to_bytes(2, "big")
    return _head(PROXY, family, ours + theirs + ports + vectors)


def build_local() -> bytes:
    """The header of a connection that is nobody's in particular."""
    return _head(LOCAL, UNSPEC, b"")


def _head(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(rest).to_bytes(2, "big") + rest
