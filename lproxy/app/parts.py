# -*- test-case-name: tests.app.test_outbound -*-
"""
What a stack is assembled from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from twisted.internet.interfaces import IReactorTime

from lproxy.balancing import Balancing
from lproxy.config import Limits, Timeouts
from lproxy.metrics.counters import AcquireCounter
from lproxy.stack.admit import InFlight
from lproxy.stack.backoff import Backoff
from lproxy.stack.budget import Budgets
from lproxy.stack.interfaces import Discover
from lproxy.stack.lease import Hold
from lproxy.stack.observer import EndpointObserver
from lproxy.target import Target


@dataclass(frozen=True, slots=True)
class Parts:
    """
    Everything that the layers of one stack are given.

    @ivar share: the stack's part of C{in_flight}
    """

    clock: IReactorTime
    timeouts: Timeouts
    limits: Limits
    in_flight: InFlight
    share: Hold
    counter: AcquireCounter
    discover: Discover
    backoff: Backoff
    balancing: Callable[[Target], Balancing]
    endpoints: EndpointObserver
    budgets: Budgets
    random: Random
