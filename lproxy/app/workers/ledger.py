# -*- test-case-name: tests.app.workers.test_ledger -*-
"""
What a worker has counted, in memory that outlives it: sums must not fall when it dies (Prometheus takes that for a
restart), so its successor goes on from there, and until then others show what is written.

Two halves, of which one is whole at any moment: whoever is killed while it writes has not written.
"""

from __future__ import annotations

import marshal
import os
import struct
from typing import Any

from lproxy.metrics.sums import Plain

#: which half is whole, and how long it is; an empty file has none
HEAD = struct.Struct("=qQ")
#: bytes of a half: more than any proxy has series for. What nobody has written takes no memory
HALF = 1 << 30


class Ledger:
    """One worker's."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __repr__(self) -> str:
        return f"<Ledger {self._fd}>"

    def write(self, families: list[Plain]) -> None:
        """Remember this in the place of what was."""
        data = marshal.dumps(families)
        half = 1 - (self._head()[0] & 1)
        os.pwrite(self._fd, data, HEAD.size + half * HALF)
        os.pwrite(self._fd, HEAD.pack(half | 2, len(data)), 0)

    def read(self) -> list[Plain]:
        """What is remembered; nothing where nobody has written yet."""
        half, size = self._head()
        if not half & 2:
            return []
        found: Any = marshal.loads(os.pread(self._fd, size, HEAD.size + (half & 1) * HALF))
        return list(found)

    def _head(self) -> tuple[int, int]:
        head = os.pread(self._fd, HEAD.size, 0)
        half, size = HEAD.unpack(head) if len(head) == HEAD.size else (0, 0)
        return half, size
