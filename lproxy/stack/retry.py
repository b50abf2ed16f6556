# -*- test-case-name: tests.stack.test_retry -*-
"""
Once more: a new acquisition for a request whose call failed.

A retry is an acquisition like any other: under the acquire clock, queued, through the balancer and, since the
endpoint's service has reported what failed, away from that endpoint. Above is only what counts retries. Below stands
admit, so that each try is admitted by itself: at the limit on requests in flight nothing is tried again, which would be
load on top of overload, and one request never counts twice, since its failed lease is closed before.

What only the protocol can know is left to it: whether a request can be replayed, and how often it was tried. How many
are tried again of all that a service is sent is bounded here, by its budget (L{lproxy.stack.budget}).
"""

from __future__ import annotations

from typing import Final, Generic

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from lproxy.errors import ProxyError
from lproxy.profile import RetryBudget
from lproxy.stack.budget import Budget, Budgets
from lproxy.stack.interfaces import Bounded, Hint, L, RetryLayer, Stack
from lproxy.target import Target

#: how often a protocol tries one request at most, the first time included: more endpoints than that do not fail by
#: chance
TRIES: Final = 3


class Retry(Generic[L]):
    """An L{Acquire} that is a L{Stack}."""

    def __init__(self, inner: Bounded[L], budgets: Budgets) -> None:
        self.inner = inner
        self._budgets = budgets
        # straight through: what is not tried once more costs nothing
        self.try_acquire = inner.try_acquire
        self.acquire = inner.acquire
        self.keep = inner.keep
        self.report = inner.report
        self.close = inner.close

    def again(self, target: Target, error: ProxyError, hint: Hint | None = None) -> Deferred[L]:
        """
        A new lease, by now on another endpoint where there is one.

        Fails with C{error} itself if that says that the request was shed: it was refused to spare somebody, who would
        be asked once more all the same. Likewise if the budget is used up; what nobody was sent needs none.
        """
        if error.shed or not (error.unsent or self._budgets.known(target).withdraw()):
            return fail(error)
        return self.inner.acquire(target, hint)

    def budget(self, target: Target, settings: RetryBudget | None = None) -> Budget:
        """The one of C{target}'s service, which is as C{settings} say from now on, or the default."""
        return self._budgets.of(target, settings)


def refused(acquiring: Deferred[L]) -> BaseException | None:
    """
    Why what L{Stack.again<lproxy.stack.interfaces.Stack.again>} gave has failed by now, so that nothing is tried; that
    is the very error it was asked with where the budget is used up. C{None}: it has not.
    """
    if acquiring.called and isinstance(acquiring.result, Failure):
        return acquiring.result.value
    return None


def layer(budgets: Budgets) -> RetryLayer:
    """Let requests be tried once more, within C{budgets}."""

    def wrap(inner: Bounded[L]) -> Stack[L]:
        return Retry(inner, budgets)

    return wrap
