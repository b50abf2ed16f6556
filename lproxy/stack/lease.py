# -*- test-case-name: tests.stack.test_lease -*-
"""
What the stack holds for a lease until its end.

A lease is its protocol's own: nothing is wrapped around it on its way up. A layer that counts leases leaves a L{Hold}
on it instead, and whoever ends the lease gives that back by L{ended}.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Final, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

log = Logger("lproxy.stack.lease")


class EndedTwice(Exception):
    """A lease had ended before it was ended."""


class Hold:
    """
    What leases may hold.

    @ivar count: how many do
    @ivar waited: how many have so far, of those that had to be waited for
    @ivar whole: of what this is a part; who holds this holds that
    @ivar over: what leases have instead that held this and have ended; C{None}: this is that
    @ivar told: told of a lease that was ended twice
    """

    def __init__(
        self, whole: Hold | None = None, told: Callable[[Failure], None] | None = None, over: bool = False
    ) -> None:
        self.count: int = 0
        self.waited: int = 0
        self.whole: Hold | None = whole
        self.told: Callable[[Failure], None] | None = told
        self.over: Hold | None = None if over else Hold(None, told, True) if told is not None else ENDED

    def take(self, lease: Held) -> None:
        """Be held for C{lease}."""
        lease.hold = self
        self.count += 1
        self.waited += 1
        if self.whole is not None:
            self.whole.count += 1

    def give_back(self) -> None:
        """One lease less holds it."""
        self.count -= 1
        if self.whole is not None:
            self.whole.count -= 1


class Held(Protocol):
    """A lease, as L{ended} needs it."""

    hold: Hold


#: of one that has ended
ENDED: Final = Hold(over=True)
#: of a new lease, which holds nothing
FREE: Final = Hold()


def ended(lease: Held) -> bool:
    """
    Give back what is held for C{lease}. The first thing that C{close} of every lease does.

    @return: whether that was its end. If not it had ended before: a mistake of who closed it twice, which is told, and
        there is nothing left to do
    """
    hold = lease.hold
    over = hold.over
    if over is None:
        _twice(lease, hold)
        return False
    lease.hold = over
    if hold is not FREE:
        hold.count -= 1
        whole = hold.whole
        if whole is not None:
            whole.count -= 1
    return True


def _twice(lease: Held, hold: Hold) -> None:
    try:
        raise EndedTwice(f"{lease!r} was ended twice, the second time by {_caller(sys._getframe())}")
    except EndedTwice as e:
        if hold.told is not None:
            hold.told(Failure())
        else:
            log.error("{text}", text=str(e))


def _caller(frame: FrameType) -> str:
    """Who has closed it: the innermost that is not lproxy's own."""
    at: FrameType | None = frame
    while at is not None:
        module = str(at.f_globals.get("__name__", "?"))
        if not module.startswith("lproxy."):
            return f"{module}.{at.f_code.co_qualname}, line {at.f_lineno}"
        at = at.f_back
    return "lproxy"
