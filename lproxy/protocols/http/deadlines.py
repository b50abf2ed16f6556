# -*- test-case-name: tests.protocols.http.test_deadlines -*-
"""
Deadlines of calls, by one timer for all: most calls end long before, and a timer for each would cost more than they do.

The timer is set for the earliest deadline that there was when it was set. When it fires, whose deadline has come is
told, and it is set for the earliest of those that are left: as often as the shortest deadline has passed, if that.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lproxy.api import ProxyError

#: seconds by which a deadline may be passed, so that those which are close together are looked at once
GRAIN: Final = 0.005
#: when there is nothing to come
NEVER: Final = math.inf


class DeadlineExceeded(ProxyError):
    """A caller's own deadline (grpc-timeout) has passed. It says nothing against the upstream."""

    layer = "call"
    reason = "deadline"
    flag = "UT"
    status = 504
    blames = False

    def __init__(self, target: object, seconds: float) -> None:
        super().__init__(target)
        self.seconds = seconds

    def what(self) -> str:
        """How long it was given."""
        return f"did not answer within {self.seconds:g} s, which is how long its caller waits (grpc-timeout)"


class Expiring(Protocol):
    """What has a deadline."""

    __slots__ = ()

    def expired(self) -> None:
        """It has passed."""


class Deadlines:
    """
    @ivar _due: when each passes, in the clock's seconds
    @ivar _at: when the timer fires, where there is one
    """

    __slots__ = ("_at", "_clock", "_due", "_timer")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._due: dict[Expiring, float] = {}
        self._at = NEVER
        self._timer: IDelayedCall | None = None

    def __repr__(self) -> str:
        return f"<Deadlines {len(self._due)}>"

    def add(self, one: Expiring, at: float) -> None:
        """C{one} has until C{at}, or until it is taken back by L{drop}."""
        self._due[one] = at
        if at < self._at:
            self._set(at)

    def drop(self, one: Expiring) -> None:
        """It is over."""
        self._due.pop(one, None)

    def stop(self) -> None:
        """Keep no timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._at = NEVER

    def _set(self, at: float) -> None:
        delay = max(0.0, at - self._clock.seconds())
        self._at = at
        if self._timer is not None:
            self._timer.reset(delay)
        else:
            self._timer = self._clock.callLater(delay, self._passed)

    def _passed(self) -> None:
        self._timer = None
        self._at = NEVER
        now = self._clock.seconds()
        for one in [one for one, at in self._due.items() if at <= now]:
            # one may have ended with another
            if self._due.pop(one, None) is not None:
                one.expired()
        if self._due:
            at = max(min(self._due.values()), now + GRAIN)
            if at < self._at:
                self._set(at)
