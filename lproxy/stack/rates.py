# -*- test-case-name: tests.stack.test_rates -*-
"""
How many requests there may be: the buckets of all L{Rate<lproxy.profile.Rate>}s of a process.

They are no assembly's and no profile's: whoever limits the same thing by the same rate shares its buckets, and they
last while the configuration around them changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from lproxy.profile import Rate
from lproxy.stack.tokens import Tokens

#: keys of one rate that are told apart; whoever has asked for nothing the longest is forgotten first, and has a full
#: bucket when next seen
KEYS: Final = 10_000
#: things with rates that are remembered, before those are forgotten that were asked for longest ago
SCOPES: Final = 10_000


class Limiter:
    """
    Buckets of one rate, one for each key.

    @ivar rate: what the configuration says
    @param part: this process is one of so many that share the rate
    """

    __slots__ = ("_buckets", "_burst", "_per_second", "rate")

    def __init__(self, rate: Rate, part: int = 1) -> None:
        self.rate = rate
        self._per_second: float = rate.requests / rate.per / part
        # less than one would never let anybody pass
        self._burst: float = max((rate.burst or rate.requests) / part, 1.0)
        self._buckets: OrderedDict[Hashable, Tokens] = OrderedDict()

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds after which a request of C{key}'s may pass; 0: it may now."""
        bucket = self._buckets.get(key)
        return 0.0 if bucket is None else bucket.wait(1.0, now)

    def take(self, key: Hashable, now: float) -> None:
        """A request of C{key}'s passes."""
        buckets = self._buckets
        bucket = buckets.get(key)
        if bucket is None:
            if len(buckets) >= KEYS:
                buckets.popitem(last=False)
            bucket = buckets[key] = Tokens(self._per_second, self._burst, now)
        else:
            buckets.move_to_end(key)
        bucket.take(1.0, now)


class Rates:
    """
    The limiters of a process, by what they limit.

    @param part: it is one of so many processes that share every rate
    """

    def __init__(self, part: int = 1) -> None:
        self._part = part
        self._scopes: OrderedDict[str, dict[Rate, Limiter]] = OrderedDict()

    def of(self, scope: str, rates: tuple[Rate, ...]) -> tuple[Limiter, ...]:
        """
        The limiters of C{scope}, which has these C{rates}: one for each that is another. Those that it had before go
        on; what it has no more is forgotten.

        @param scope: what is limited, such as C{listener NAME}
        """
        if not rates:
            self._scopes.pop(scope, None)
            return ()
        before = self._scopes.get(scope, {})
        limiters = {rate: before.get(rate) or Limiter(rate, self._part) for rate in rates}
        self._scopes[scope] = limiters
        self._scopes.move_to_end(scope)
        if len(self._scopes) > SCOPES:
            self._scopes.popitem(last=False)
        return tuple(limiters.values())
