# -*- test-case-name: tests.stack.test_shared -*-
"""
The part of a stack that others stand on as well.

Above: what each configuration has of its own, its clocks and its bounds. Below: queues and services, which go on from
one configuration to the next. So whoever closes a stack closes nothing of what is shared: that is its owner's to do.
"""

from __future__ import annotations

from typing import Generic

from lproxy.stack.interfaces import Judging, L
from lproxy.target import Target


class Shared(Generic[L]):
    """A L{Judging} one that is somebody else's."""

    def __init__(self, inner: Judging[L], kept: list[Target]) -> None:
        """
        @param kept: told of whatever is to be kept: it is for its owner to say again, when others have used it
        """
        self.inner = inner
        self._kept = kept
        # straight through: nothing is added
        self.try_acquire = inner.try_acquire
        self.acquire = inner.acquire
        self.serves = inner.serves
        self.report = inner.report

    def keep(self, target: Target) -> None:
        """Also once others have used it."""
        self._kept.append(target)
        self.inner.keep(target)

    def close(self) -> None:
        """Only its owner closes it."""
