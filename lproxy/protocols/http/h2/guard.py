# -*- test-case-name: tests.protocols.http.h2.test_guard -*-
"""
What is allowed once, and a flood if it is done all the time: counters of one connection, for either engine.

The totals grow with what the peer does that is useful, so that no honest connection reaches them however long it lives
(CVE-2019-9511 to 9518); resets have a rate (CVE-2023-44487, rapid reset; CVE-2025-8671, those that a peer has us do).
"""

from __future__ import annotations

from collections.abc import Callable

from lproxy.protocols.http.h2.faults import ENHANCE_YOUR_CALM, FLOOD, ConnectionFault
from lproxy.protocols.http.h2.limits import Limits
from lproxy.stack.tokens import Tokens


def flood(what: str) -> ConnectionFault:
    """The error for too much of C{what}."""
    return ConnectionFault(ENHANCE_YOUR_CALM, FLOOD, f"too many {what}")


class Guard:
    """
    Counters against L{Limits}.

    @ivar opened: streams ever opened, by either side
    @ivar data_sent: DATA frames ever sent
    @ivar empties: empty frames since the last that was not
    @ivar exceeded: what there was too much of, if something: it is looked at where an error may be raised
    """

    __slots__ = (
        "_limits",
        "_priorities",
        "_resets",
        "_seconds",
        "_updates",
        "data_sent",
        "empties",
        "exceeded",
        "opened",
    )

    def __init__(self, limits: Limits, seconds: Callable[[], float]) -> None:
        self._limits = limits
        self._seconds = seconds
        self._resets = Tokens(limits.resets_per_second, limits.resets, seconds())
        self._priorities = 0
        self._updates = 0
        self.opened = 0
        self.data_sent = 0
        self.empties = 0
        self.exceeded = ""

    def reset(self) -> None:
        """A stream was reset by the peer, or for what it did."""
        if self._resets.take(1, self._seconds()):
            self.exceeded = f"streams reset: more than {self._limits.resets}"

    def empty(self) -> None:
        """HEADERS, CONTINUATION or DATA have come that hold nothing, and do not end a stream."""
        self.empties += 1
        if self.empties > self._limits.empty_frames:
            self.exceeded = "empty frames"

    def priority(self) -> None:
        """PRIORITY has come."""
        self._priorities += 1
        if self._priorities > self._limits.priorities * (1 + self.opened):
            self.exceeded = f"PRIORITY frames for {self.opened} streams"

    def window_update(self) -> None:
        """WINDOW_UPDATE has come."""
        self._updates += 1
        if self._updates > 5 + 2 * (self.opened + self._limits.window_updates * self.data_sent):
            self.exceeded = f"WINDOW_UPDATE frames for {self.opened} streams and {self.data_sent} DATA"

    def queued(self, control: int, frames: int) -> None:
        """So many frames wait to be written."""
        if control > self._limits.control_frames:
            self.exceeded = f"frames to acknowledge: {control} wait to be taken"
        elif frames > self._limits.frames:
            self.exceeded = f"frames waiting to be taken: {frames}"
