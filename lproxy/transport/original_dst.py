# -*- test-case-name: tests.transport.test_original_dst, tests.integration.test_original_dst -*-
"""
Where a connection was going before iptables redirected it to us.

The kernel's connection tracking remembers, and tells by socket option. Two system calls for each accepted connection,
on the listeners that want it.
"""

from __future__ import annotations

import ipaddress
import socket

from lproxy.transport.address import clean_address
from lproxy.transport.stream import Address

#: linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h: the same number, at two levels
SO_ORIGINAL_DST = 80
IP6T_SO_ORIGINAL_DST = 80
SOL_IP = 0
SOL_IPV6 = 41

#: sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6)
SOCKADDR_IN, SOCKADDR_IN6 = 16, 28


def original_dst(sock: socket.SocketType) -> Address | None:
    """
    IP address and port that the peer of the accepted C{sock} had connected to, if not to C{sock} itself.

    An IPv4 connection on a dual-stack socket gives plain IPv4. C{None} where the connection was not redirected, or
    where this system cannot tell.
    """
    try:
        local = clean_address(sock.getsockname())
        if ":" in local[0]:
            raw = sock.getsockopt(SOL_IPV6, IP6T_SO_ORIGINAL_DST, SOCKADDR_IN6)
        else:
            raw = sock.getsockopt(SOL_IP, SO_ORIGINAL_DST, SOCKADDR_IN)
    except OSError:
        return None
    # family and port take two bytes each; IPv6 has the flow in between
    start, end = (8, 24) if ":" in local[0] else (4, 8)
    if len(raw) < end:
        return None
    original = (str(ipaddress.ip_address(raw[start:end])), int.from_bytes(raw[2:4], "big"))
    # a link-local address of ours has its interface with it
    return None if original == (local[0].partition("%")[0], local[1]) else original
