# -*- test-case-name: tests.stack.test_shared -*-
"""
The part of a stack that others stand on as well.

Above: what each configuration has of its own, its clocks and its bounds. Below: queues and services, which go on from
one configuration to the next. So whoever closes a stack closes nothing of what is shared: that is its owner's to do.
"""

from __future__ import annotations

from typing import Generic

from lproxy.stack.interfaces import Judging, L


class Shared(Generic[L]):
    """A L{Judging} one that is somebody else's."""

    def __init__(self, inner: Judging[L]) -> None:
        self.inner = inner
        # straight through: nothing is added
        self.try_acquire = inner.try_acquire
        self.acquire = inner.acquire
        self.serves = inner.serves
        self.report = inner.report

    def close(self) -> None:
        """Only its owner closes it."""
