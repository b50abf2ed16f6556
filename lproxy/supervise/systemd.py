# -*- test-case-name: tests.supervise.test_systemd -*-
"""
Tell systemd how it goes (sd_notify(3)): a datagram of text to the socket that it names.

A few lines of our own: the libraries for it wrap just this.
"""

from __future__ import annotations

import socket
import time

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"


def reloading() -> str:
    """About to read the configuration anew; L{READY} ends that."""
    # of the clock that systemd compares with
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def main_pid(pid: int) -> str:
    """Another process is the service from now on. To be said by the one that is so far."""
    return f"MAINPID={pid}"


def tell(path: str, state: str) -> OSError | None:
    """
    Say C{state}; nothing where C{path} is empty. What went wrong is the caller's to mention: nothing depends on it.

    @param path: as C{NOTIFY_SOCKET} has it: an abstract one begins with an @
    """
    if not path:
        return None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            sock.sendto(state.encode(), f"\0{path[1:]}" if path.startswith("@") else path)
    except OSError as e:
        return e
    return None
