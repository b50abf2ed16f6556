# -*- test-case-name: tests.app.test_own -*-
"""
Which addresses are the proxy's own: those it must never connect to, or it would talk to itself for ever.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from lproxy.transport.socket import is_local


class OwnAddresses:
    """The addresses that the proxy listens on, wildcards included."""

    def __init__(self) -> None:
        self._exact: set[tuple[str, int]] = set()
        self._wildcard: set[int] = set()

    def add(self, address: tuple[str, int]) -> None:
        """One more, as IP and port."""
        host, port = address
        if host in ("0.0.0.0", "::"):
            self._wildcard.add(port)
        else:
            self._exact.add((host, port))

    def contains(self, host: str, port: int) -> bool:
        """Whether a connection to that address would come back to us."""
        if (host, port) in self._exact:
            return True
        if port in self._wildcard:
            return _is_here(host)
        # "this host", as a destination, is the loopback address (RFC 1122, 3.2.1.3)
        return host in ("0.0.0.0", "::") and any(own == port for _, own in self._exact)


@lru_cache(1_000)
def _is_here(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified or is_local(host)
