# -*- test-case-name: tests.stack.test_latency -*-
"""
How long an endpoint takes, as far as it matters for who is asked next: a moving average that believes bad news at once.

Peak EWMA, as Finagle and linkerd have it: an answer that took longer than the average is the average from then on;
quicker ones bring it down, each the more the longer ago the last one was. While nobody asks it falls by itself, so that
whoever was slow is asked again. Failures never bring it down, however quick they come. The very first answer says
little: what is cold is slow.
"""

from __future__ import annotations

from math import exp
from typing import Final

#: seconds of an endpoint that has not answered yet, for each request that it has: linkerd's
UNKNOWN: Final = 0.03
#: seconds in which news are forgotten to a third
DECAY: Final = 10.0
#: seconds that an answer counts for at most. What takes longer, such as a long poll, says more about the request than
#: about who serves it, which would be shunned for minutes; those that really are that slow have more under way
MOST: Final = 1.0
#: seconds by which answers differ for no reason of the endpoint's: a busy moment, a collection of garbage
NOISE: Final = 0.005


class Latency:
    """
    Of one endpoint.

    @ivar seconds: the average, as of the last answer
    @ivar known: what a request adds to those that are under way: 1; or 0, as long as nobody knows how long it will take
    """

    __slots__ = ("_at", "_cold", "known", "seconds")

    def __init__(self, now: float) -> None:
        self.seconds: float = UNKNOWN
        self._at: float = now
        self.known: int = 0
        self._cold: bool = True

    def __repr__(self) -> str:
        return f"<Latency {self.seconds * 1000:.3g} ms>"

    def took(self, seconds: float, now: float) -> None:
        """An answer took so long, and has ended C{now}."""
        if seconds > MOST:
            seconds = MOST
        kept = self._kept(now)
        before = self.seconds * kept
        if self._cold:
            self._cold = False
        elif seconds > before or not self.known:
            # bad news, or the first that count
            self.seconds = seconds
            self.known = 1
        else:
            self.seconds = before + seconds * (1.0 - kept)
        self._at = now

    def failed(self, seconds: float, now: float) -> None:
        """
        A request has failed after so long: to fail soon is not to be quick, and the average stays at least. Who is not
        known is taken to be like most from then on: not to be found out about, and not to be shunned for long.
        """
        self.took(max(seconds, self.seconds if self.known else NOISE), now)

    def level(self, now: float) -> float:
        """What it is taken to be now, in seconds, to be compared with others' levels: noise is a part of all."""
        return self.seconds * self._kept(now) + NOISE

    def _kept(self, now: float) -> float:
        """What part of the average is left. A clock that was set back changes nothing."""
        since = now - self._at
        return exp(-since / DECAY) if since > 0.0 else 1.0
