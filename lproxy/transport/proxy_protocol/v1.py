# -*- test-case-name: tests.transport.proxy_protocol.test_v1 -*-
"""
Version 1: a line of text, C{PROXY TCP4 192.0.2.1 198.51.100.2 56324 443}.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from lproxy.transport.proxy_protocol.header import Header, Malformed, mapped, packed, shown
from lproxy.transport.stream import Address
from lproxy.verdict import NeedMore

SIGNATURE: Final = b"PROXY "
#: the longest line, its end included
LONGEST: Final = 107
#: the shortest: C{PROXY UNKNOWN}
SHORTEST: Final = 15
#: a port as it is written: decimal, and no more digits than it needs
PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")
#: what an IPv6 address is made of: no interface's name
HEX: Final = re.compile(rb"[0-9a-fA-F:.]+")


def parse(prefix: bytes) -> Header | NeedMore:
    """
    Read the line that C{prefix}, which starts with L{SIGNATURE}, begins with.

    @raise Malformed: there is none
    """
    end = prefix.find(b"\r\n", 0, LONGEST)
    if end < 0:
        if len(prefix) >= LONGEST:
            raise Malformed(f"no end of the line within {LONGEST} bytes")
        return NeedMore(max(SHORTEST, len(prefix) + 1))
    kind, *words = prefix[len(SIGNATURE) : end].split(b" ")
    size = end + 2
    if kind == b"UNKNOWN":
        # whatever follows is to be passed over
        return Header(size, 1, False, None, None, {})
    if kind not in (b"TCP4", b"TCP6"):
        raise Malformed("neither TCP4, TCP6 nor UNKNOWN")
    if len(words) != 4:
        raise Malformed("not two addresses and two ports")
    source, destination, source_port, destination_port = words
    return Header(
        size,
        1,
        False,
        (_address(kind, source), _port(source_port)),
        (_address(kind, destination), _port(destination_port)),
        {},
    )


def build(source: Address | None, destination: Address | None) -> bytes:
    """The line for a client at C{source} that had connected to C{destination}; neither may be known."""
    ours = packed(source[0]) if source is not None else b""
    theirs = packed(destination[0]) if destination is not None else b""
    if not ours or not theirs or source is None or destination is None:
        return b"PROXY UNKNOWN\r\n"
    if len(ours) == len(theirs) == 4:
        family = "TCP4"
    else:
        family = "TCP6"
        ours, theirs = mapped(ours), mapped(theirs)
    words = f"PROXY {family} {_text(ours)} {_text(theirs)} {source[1]} {destination[1]}\r\n"
    return words.encode("ascii")


def _text(address: bytes) -> str:
    return str(ipaddress.ip_address(address))


def _address(kind: bytes, word: bytes) -> str:
    """C{word}, which has to be an address of C{kind}."""
    try:
        text = word.decode("ascii")
        if kind == b"TCP4":
            return shown(ipaddress.IPv4Address(text).packed)
        if HEX.fullmatch(word):
            return shown(ipaddress.IPv6Address(text).packed)
    except ValueError:
        pass
    raise Malformed(f"not an address of {kind.decode('ascii')}")


def _port(word: bytes) -> int:
    if PORT.fullmatch(word) and int(word) < 65536:
        return int(word)
    raise Malformed("not a port")
