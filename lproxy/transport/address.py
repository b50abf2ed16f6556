# -*- test-case-name: tests.transport.test_address -*-
"""
IP addresses, as the kernel tells them.
"""

from __future__ import annotations

import socket
from typing import Any

from lproxy.transport.stream import Address


def clean_address(raw: Any) -> Address:
    """IP and port of a kernel's address, IPv4 mapped into IPv6 shown as what it is; empty for UNIX sockets."""
    if not isinstance(raw, tuple):
        return ("", 0)
    host: str = raw[0]
    port: int = raw[1]
    return (host.removeprefix("::ffff:") if "." in host else host, port)


def is_local(host: str) -> bool:
    """Whether the IP address C{host} is one of this machine's; an OSError where there is no descriptor to ask with."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
