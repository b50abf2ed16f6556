# -*- test-case-name: tests.supervise.test_supervisor -*-
"""
What is outside of L{lproxy.supervise.supervisor}: processes, the clock, the log, systemd, and another lproxy.
"""

from __future__ import annotations

from typing import Protocol

from lproxy.supervise.channel import Channel
from lproxy.supervise.handover import Watch
from lproxy.supervise.slots import Effects


class World(Effects, Watch, Protocol):
    """What is outside."""

    def seconds(self) -> float:
        """The monotonic clock."""

    def channel(self, pid: int) -> Channel:
        """The channel to a process that was started."""

    def usage(self) -> tuple[float, int, int]:
        """Of this process: seconds of CPU, bytes resident, open descriptors."""

    def ready(self) -> None:
        """All workers serve, for the first time."""

    def tell(self, state: str) -> None:
        """Tell systemd."""

    def set_level(self, level: str) -> None:
        """Log this and above from now on."""

    def reopen(self) -> int:
        """Begin the log's file anew; a descriptor of it, or -1."""

    def successor(self, door: str) -> None:
        """Start another lproxy in our place."""

    def recall(self) -> None:
        """Such a one is not to take our place: end it."""

    def asked(self) -> int:
        """The process that is about to take our place; 0 where none is."""

    def stop(self, status: int) -> None:
        """All is over: end with C{status}."""
