# -*- test-case-name: tests.app.test_own -*-
"""
The proxy's own addresses, which it must never connect to: that would be a loop.
"""

from __future__ import annotations

import ipaddress

from lproxy.transport.address import is_local

IP = ipaddress.IPv4Address | ipaddress.IPv6Address


class OwnAddresses:
    """
    The addresses that the proxy listens on, wildcards included.

    @ivar _by_port: by port, since most destinations have another port and need no further check
    """

    def __init__(self) -> None:
        self._by_port: dict[int, set[IP]] = {}

    def __repr__(self) -> str:
        return f"<OwnAddresses {self._by_port}>"

    def add(self, address: tuple[str, int]) -> None:
        """Add an IP and port. What has no IP (a UNIX socket) cannot be the target of a connection."""
        host, port = address
        if host:
            self._by_port.setdefault(port, set()).add(_ip(host))

    def remove(self, address: tuple[str, int]) -> None:
        """Nobody listens there any more."""
        host, port = address
        if host:
            ours = self._by_port.get(port, set())
            ours.discard(_ip(host))
            if not ours:
                self._by_port.pop(port, None)

    def contains(self, host: str, port: int) -> bool:
        """Whether a connection to that address would come back to us."""
        ours = self._by_port.get(port)
        if ours is None:
            return False
        ip = _ip(host)
        # "this host", as a destination, is the loopback address (RFC 1122, 3.2.1.3)
        if ip in ours or ip.is_unspecified:
            return True
        # not cached: a machine's addresses change
        return any(own.is_unspecified for own in ours) and (ip.is_loopback or is_local(host))


def _ip(host: str) -> IP:
    ip = ipaddress.ip_address(host)
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip
