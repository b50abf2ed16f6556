# -*- test-case-name: tests.app.test_sockets -*-
"""
A hub that watches nothing: whatever has a descriptor is told by the test that it is ready.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock


class QuietHub:
    """
    A L{Hub<lproxy.transport.hub.Hub>}.

    @ivar wanted: what each descriptor is wanted for, by number
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self.wanted: dict[int, int] = {}
        self.seconds = self._clock.seconds
        self.call_later = self._clock.callLater

    def want(self, descriptor: Any, interest: int) -> None:
        descriptor.interest = interest
        self.wanted[descriptor.fd] = interest

    def served(self, descriptor: Any) -> bool:
        return bool(self.wanted.get(descriptor.fd))

    def forget(self, descriptor: Any) -> None:
        self.wanted.pop(descriptor.fd, None)
