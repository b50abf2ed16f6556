# -*- test-case-name: tests.stack.test_retry -*-
"""
Once more: a new acquisition for a request whose call failed.

A retry is an acquisition like any other: under the acquire clock, queued, through the balancer and, since the
endpoint's service has reported what failed, away from that endpoint. Above is only what counts retries. Below stands
admit, so that each try is admitted by itself: at the limit on requests in flight nothing is tried again, which would be
load on top of overload, and one request never counts twice, since its failed lease is closed before.

What only the protocol can know is left to it: whether a request can be replayed, and how often it was tried.
"""

from __future__ import annotations

from typing import Final, Generic

from twisted.internet.defer import Deferred, fail

from lproxy.errors import ProxyError
from lproxy.stack.interfaces import Bounded, L, RetryLayer
from lproxy.target import Target

#: how often a protocol tries one request at most, the first time included: more endpoints than that do not fail by
#: chance
TRIES: Final = 3


class Retry(Generic[L]):
    """An L{Acquire} that is a L{Stack}."""

    def __init__(self, inner: Bounded[L]) -> None:
        self.inner = inner
        # straight through: what is not tried once more costs nothing
        self.try_acquire = inner.try_acquire
        self.acquire = inner.acquire
        self.report = inner.report
        self.close = inner.close

    def again(self, target: Target, error: ProxyError) -> Deferred[L]:
        """
        A new lease, by now on another endpoint where there is one.

        Fails with C{error} itself if that says that the request was shed: it was refused to spare somebody, who would
        be asked once more all the same.
        """
        # a budget, which bounds the share of retries in all requests, is asked here
        if error.shed:
            return fail(error)
        return self.inner.acquire(target)


def layer() -> RetryLayer:
    """Let requests be tried once more."""
    return Retry
