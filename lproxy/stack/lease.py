# -*- test-case-name: tests.stack.test_lease -*-
"""
What the stack holds for a lease until its end.

A lease is its protocol's own: nothing is wrapped around it on its way up. A layer that counts leases leaves a L{Hold}
on it instead, and whoever ends the lease gives that back by L{ended}.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.logger import Logger

log = Logger("lproxy.stack.lease")


class Hold:
    """
    What leases may hold.

    @ivar count: how many do
    """

    def __init__(self) -> None:
        self.count = 0


class Held(Protocol):
    """A lease, as L{ended} needs it."""

    hold: Hold


#: of a new lease, which holds nothing
FREE: Final = Hold()
#: of one that has ended
ENDED: Final = Hold()


def ended(lease: Held) -> bool:
    """
    Give back what is held for C{lease}. The first thing that C{close} of every lease does.

    @return: whether that was its end. If not it had ended before: a mistake of who closed it twice, which is logged,
        and there is nothing left to do
    """
    hold = lease.hold
    if hold is ENDED:
        log.error("{lease!r} was ended twice", lease=lease)
        return False
    lease.hold = ENDED
    if hold is not FREE:
        hold.count -= 1
    return True
