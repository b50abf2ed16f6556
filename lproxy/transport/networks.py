# -*- test-case-name: tests.transport.test_networks -*-
"""
Whether an address is within networks.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Final

#: addresses of which the answer is known, before they begin to be looked at anew
KNOWN: Final = 1_000


class Networks:
    """Networks, each IP or IP/bits."""

    __slots__ = ("_known", "_networks")

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(network) for network in networks]
        self._known: dict[str, bool] = {}

    def has(self, host: str) -> bool:
        """Whether C{host}, as of L{Conn<lproxy.transport.stream.Conn>}, is in one. What is no IP address is in none."""
        known = self._known.get(host)
        if known is None:
            try:
                address = ip_address(host)
            except ValueError:
                known = False  # a UNIX socket's
            else:
                known = any(address in network for network in self._networks)
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[host] = known
        return known
