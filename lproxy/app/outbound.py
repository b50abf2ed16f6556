# -*- test-case-name: tests.app.test_outbound -*-
"""
The way of a request to whoever serves it: the whole acquisition, from the edge to the wire.

Inbound requests, to the application next door, pass the same layers, on their own shorter clocks
(L{lproxy.config.INBOUND}): it is one hop away and does not move, so it is given less time to be reached and is
forgotten later.

The upper half is each configuration's own. The lower one, queues and services with all that they know of their
endpoints, goes on from one configuration to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic

from lproxy.app.parts import Parts
from lproxy.stack import admit, balance, failfast, observe, retry, split, timeout
from lproxy.stack.cache import Cache
from lproxy.stack.compose import stack
from lproxy.stack.interfaces import L, NewEndpoint, NewService, Service, Stack
from lproxy.stack.lock import Lock
from lproxy.stack.report import Report
from lproxy.stack.router import CachedRouter
from lproxy.stack.shared import Shared
from lproxy.target import Target


def acquire(parts: Parts, lower: Lower[L], kept: list[Target]) -> Stack[L]:
    """
    The stack of one protocol in one direction, on top of C{lower}. Read downward; the order is the design.

    @param kept: to be told whose services are to be kept by it
    """
    return stack(
        # every retry, by what came of it
        observe.retries(parts.counter),
        # a request whose call failed is acquired for once more, like any other, within its service's budget
        retry.layer(parts.budgets),
        # at the edge: one limit for the whole proxy, so that what is refused costs nothing
        admit.layer(parts.in_flight, parts.share),
        # sees every outcome, timeouts included
        observe.layer(parts.counter, parts.clock),
        # one budget for queueing, resolving and connecting
        timeout.layer(parts.timeouts.acquire, parts.clock),
        # a target whose requests several backends share: which of them
        split.layer(parts.random),
    )(Shared(lower.lock, kept))


def new_service(parts: Parts, new_endpoint: NewEndpoint[L]) -> NewService[L]:
    """
    The services of targets, on top of their endpoints.
    """
    return stack(
        # inside a service: what waits in vain fails at once, and a probe finds the way back
        failfast.layer(parts.timeouts.failfast, parts.clock, parts.backoff),
        # the endpoints that discovery knows, by the power of two choices, those that fail left aside
        balance.layer(parts.discover, parts.clock, parts.backoff, parts.balancing, parts.endpoints),
    )(new_endpoint)


class Lower(Generic[L]):
    """
    What all configurations share of it.

    @ivar lock: in order of arrival, a queue for each target and never one for all; below, the router from target to
        service: made on a miss, closed when idle
    """

    def __init__(self, parts: Parts, new_endpoint: NewEndpoint[L]) -> None:
        limits, timeouts = parts.limits, parts.timeouts
        cache: Cache[L] = Cache(limits.services, timeouts.service_idle, parts.clock)
        self._router = CachedRouter(new_service(parts, new_endpoint), cache)
        self.lock = Lock(self._router, parts.clock, limits.acquiring)

    def services(self) -> list[tuple[Target, Service[L]]]:
        """Those that there are now."""
        return self._router.services()

    def row(self, target: Target, service: Service[L]) -> dict[str, Any]:
        """What there is to show of one of them, and of who waits for it."""
        report = Report(rows=True)
        report.show(target=str(target))
        service.report(report)
        self.lock.show(report, target)
        return report.row()

    def renew(self, parts: Parts, new_endpoint: NewEndpoint[L], changed: Callable[[Target], bool]) -> None:
        """
        Go on by C{parts}. What waits goes on as it began, and so does what is used.

        @param changed: whether a target's service is to be made anew for the next who asks
        """
        limits, idle = parts.limits, parts.timeouts.service_idle
        self.lock.concurrency = limits.acquiring
        self._router.renew(new_service(parts, new_endpoint), limits.services, idle, changed)

    def let_go(self) -> Iterator[None]:
        """Close services that others have taken the place of, step by step."""
        return self._router.let_go()
