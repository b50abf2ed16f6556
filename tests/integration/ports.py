# -*- test-case-name: tests.integration -*-
"""
Ports that have to be known before anybody listens on them.
"""

from __future__ import annotations

import contextlib
import random
import socket

#: below those that the kernel hands out to clients (32768 and up), one of whom might have it when it is wanted
PORTS = range(15_000, 32_000)


def free_ports(count: int = 1) -> int:
    """The first of C{count} ports in a row that nobody has."""
    while True:
        first = random.choice(PORTS)
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
