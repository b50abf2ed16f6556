# -*- test-case-name: tests.stack.test_latency -*-
"""
How long an endpoint takes, as far as it matters for who is asked next: a moving average that believes bad news at once.

Peak EWMA, as Finagle and linkerd have it: an answer that took longer than the average is the average from then on;
quicker ones bring it down, each the more the longer ago the last one was. While nobody asks it falls by itself, so that
whoever was slow is asked again. Failures never bring it down, however quick they come.
"""

from __future__ import annotations

from math import exp
from typing import Final

#: seconds of an endpoint that has not answered yet, for each request that it has: linkerd's. The first costs nothing,
#: so that a new one is neither shunned nor flooded
UNKNOWN: Final = 0.03
#: seconds in which news are forgotten to a third
DECAY: Final = 10.0
#: seconds that an answer counts for at most. What takes longer, such as a long poll, says more about the request than
#: about who serves it, which would be shunned for minutes; those that really are that slow have more under way
MOST: Final = 1.0


class Latency:
    """
    Of one endpoint.

    @ivar seconds: the average, as of the last answer
    """

    __slots__ = ("_at", "_more", "seconds")

    def __init__(self, now: float) -> None:
        self.seconds: float = UNKNOWN
        self._at: float = now
        # what a request adds to those that are under way: nothing, as long as nobody knows what it will
        self._more: float = 0.0

    def __repr__(self) -> str:
        return f"<Latency {self.seconds * 1000:.3g} ms>"

    def took(self, seconds: float, now: float) -> None:
        """An answer took so long, and has ended C{now}."""
        if seconds > MOST:
            seconds = MOST
        kept = self._kept(now)
        before = self.seconds * kept
        if seconds > before or not self._more:
            # bad news, or the first at all
            self.seconds = seconds
            self._more = 1.0
        else:
            self.seconds = before + seconds * (1.0 - kept)
        self._at = now

    def failed(self, seconds: float, now: float) -> None:
        """A request has failed after so long: to fail soon is not to be quick, and the average stays at least."""
        self.took(max(seconds, self.seconds), now)

    def cost(self, load: float, now: float) -> float:
        """
        What it costs to ask it now: seconds, to be compared with others'.

        @param load: requests that it has
        """
        return (self.seconds * self._kept(now) + 1e-6) * (load + self._more)

    def _kept(self, now: float) -> float:
        """What part of the average is left. A clock that was set back changes nothing."""
        since = now - self._at
        return exp(-since / DECAY) if since > 0.0 else 1.0
