# -*- test-case-name: tests.transport.test_spare -*-
"""
The descriptor that Twisted's own ports give up for a moment when there are none left.

It is /dev/null, opened with the first port that listens: too late in a chroot without one, where that port, the admin
server's, then could not listen at all.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp


def reserve() -> None:
    """Have it opened now; harmless where it is open."""
    # not Twisted's public interface: without it, a chroot needs a /dev/null
    reserved: Any = getattr(tcp, "_reservedFD", None)
    if reserved is not None:
        reserved.reserve()
