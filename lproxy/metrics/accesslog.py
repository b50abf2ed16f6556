# -*- test-case-name: tests.metrics.test_accesslog -*-
"""
The families of the access log: what was written, and what was lost.
"""

from __future__ import annotations

from collections.abc import Iterator

from lproxy.metrics.family import Family


class AccessLines:
    """
    One for all.

    @ivar written: lines that a file has taken
    @ivar lost: lines that none would take
    """

    def __init__(self) -> None:
        self.written = 0
        self.lost = 0

    def families(self) -> Iterator[Family]:
        """As of now."""
        yield Family("access_log_lines_total", "counter", "Lines of the access log written.", [((), self.written)])
        yield Family(
            "access_log_lost_lines_total",
            "counter",
            "Lines of the access log lost, as the disk was full or the reader of a pipe too slow; requests went on.",
            [((), self.lost)],
        )
