# -*- test-case-name: tests.app.test_upkeep -*-
"""
What protocols forget is looked for now and then: sessions that are never over, leases that nobody closes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from lproxy.app.sessions import Sessions
from lproxy.app.stacks import Stacks
from lproxy.protocols.outward import Crashed
from lproxy.transport.detect import TCP

#: seconds between two looks
INTERVAL = 30.0


class NeverClosed(Exception):
    """Leases are out although all sessions that could have them are over."""


class Upkeep:
    """
    Looks after all assemblies that there are.

    @ivar _idle: by protocol, the leases that were out at the latest look although it had no session
    @ivar _told: and how many of them were told of
    @ivar _waited: by protocol, how many leases had been waited for by then: with more, others may be out
    """

    def __init__(
        self, sessions: Callable[[], list[Sessions]], stacks: Stacks, clock: IReactorTime, crashed: Crashed
    ) -> None:
        """
        @param sessions: those of each assembly
        """
        self._sessions = sessions
        self._stacks = stacks
        self._clock = clock
        self._crashed = crashed
        self._idle: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._waited: Counter[str] = Counter()
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Begin."""
        self._timer = self._clock.callLater(INTERVAL, self._look)

    def stop(self) -> None:
        """End; harmless where it has not begun."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _look(self) -> None:
        self.start()
        sessions: Counter[str] = Counter()
        for some in self._sessions():
            some.look(self._clock.seconds())
            # other protocols' sessions turn into bytes, and hold leases of TCP's then
            sessions += some.count() + Counter({TCP: len(some)})
        before, self._idle = self._idle, {}
        earlier, self._waited = self._waited, self._stacks.waited()
        for protocol, leases in self._stacks.leases().items():
            if sessions[protocol] or not leases:
                self._told.pop(protocol, None)
                continue
            self._idle[protocol] = leases
            if self._waited[protocol] != earlier[protocol]:
                continue
            lasting = min(leases, before.get(protocol, 0))
            if lasting > self._told.get(protocol, 0):
                self._told[protocol] = lasting
                error = NeverClosed(f"{lasting} leases are out, and no session is left that could close them")
                self._crashed(protocol, Failure(error))
