# -*- test-case-name: tests.app.test_outbound -*-
"""
The way of a request to whoever serves it: the whole acquisition, from the edge to the wire.

Inbound requests, to the application next door, pass the same layers, on their own shorter clocks
(L{lproxy.config.INBOUND}): it is one hop away and does not move, so it is given less time to be reached and is
forgotten later.
"""

from __future__ import annotations

from lproxy.app.parts import Parts
from lproxy.stack import admit, balance, failfast, lock, observe, retry, router, split, timeout
from lproxy.stack.compose import stack
from lproxy.stack.interfaces import L, NewEndpoint, Stack


def acquire(parts: Parts, new_endpoint: NewEndpoint[L]) -> Stack[L]:
    """
    The stack of one protocol in one direction, on top of its endpoints. Read downward; the order is the design.
    """
    timeouts, limits, clock = parts.timeouts, parts.limits, parts.clock
    return stack(
        # every retry, by what came of it
        observe.retries(parts.counter),
        # a request whose call failed is acquired for once more, like any other, within its service's budget
        retry.layer(parts.budgets),
        # at the edge: one limit for the whole proxy, so that what is refused costs nothing
        admit.layer(parts.in_flight, parts.share),
        # sees every outcome, timeouts included
        observe.layer(parts.counter, clock),
        # one budget for queueing, resolving and connecting
        timeout.layer(timeouts.acquire, clock),
        # a target whose requests several backends share: which of them
        split.layer(parts.random),
        # in order of arrival, a queue for each target and never one for all
        lock.layer(clock, limits.acquiring),
        # target -> service: made on a miss, closed when idle
        router.cached(limits.services, timeouts.service_idle, clock),
        # inside a service: what waits in vain fails at once, and a probe finds the way back
        failfast.layer(timeouts.failfast, clock, parts.backoff),
        # the endpoints that discovery knows, by the power of two choices, those that fail left aside
        balance.layer(parts.discover, clock, parts.backoff, parts.max_failures, parts.endpoints),
    )(new_endpoint)
