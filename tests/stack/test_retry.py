# -*- test-case-name: tests.stack.test_retry -*-
"""
Tests for L{lproxy.stack.retry}.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import ProxyError
from lproxy.profile import RetryBudget
from lproxy.stack import retry
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.budget import Budgets
from lproxy.stack.cache import CacheFull
from lproxy.stack.failfast import FailedFast
from lproxy.stack.interfaces import Hint
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority, Endpoint
from lproxy.testing import ScriptedAcquire
from lproxy.transport.connect import ConnectFailed

TARGET = Authority("web.local", 80)
LOST = ConnectFailed(Endpoint("10.0.0.1", 80), "ECONNRESET")


class RetryTests(SynchronousTestCase):
    """Once more."""

    def setUp(self) -> None:
        self.inner = ScriptedAcquire()
        self.clock = Clock()
        self.stack = retry.layer(Budgets(self.clock))(self.inner)

    def test_first(self) -> None:
        """The first time costs nothing: it is the inner's own doors."""
        self.assertEqual(self.inner.try_acquire, self.stack.try_acquire)
        self.assertEqual(self.inner.acquire, self.stack.acquire)

    def test_again(self) -> None:
        """Another try is a new acquisition for the same target, which can be cancelled like any."""
        d = self.stack.again(TARGET, LOST)
        self.assertEqual([TARGET], self.inner.calls)
        lease = self.inner.answer()
        self.assertIs(lease, self.successResultOf(d))
        d = self.stack.again(TARGET, LOST)
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual([TARGET], self.inner.cancelled)

    def test_fails(self) -> None:
        """If that fails, too, with its own error."""
        d = self.stack.again(TARGET, LOST)
        self.inner.fail(error := ValueError("no"))
        self.assertIs(error, self.failureResultOf(d, ValueError).value)

    def test_hint(self) -> None:
        """What is known of the request goes along."""
        self.stack.again(TARGET, LOST, hint := Hint(b"key"))
        self.assertEqual([hint], self.inner.hints)

    def test_budget(self) -> None:
        """Once the budget is used up, the error that the request failed with goes on, until there is more."""
        budget = self.stack.budget(TARGET, RetryBudget(0.5, 0.0))
        budget.requests += 4
        for _ in range(2):
            self.assertNoResult(self.stack.again(TARGET, LOST))
        self.assertIs(LOST, self.failureResultOf(self.stack.again(TARGET, LOST)).value)
        self.assertEqual(2, self.inner.waiting)
        budget.requests += 2
        self.assertNoResult(self.stack.again(TARGET, LOST))

    def test_unsent(self) -> None:
        """A request of which nothing was sent is tried again whatever the budget says, and draws nothing."""
        self.stack.budget(TARGET, RetryBudget(0.0, 1.0))
        unsent = ConnectFailed(Endpoint("10.0.0.1", 80), "ECONNRESET")
        unsent.unsent = True
        for _ in range(5):
            self.assertNoResult(self.stack.again(TARGET, unsent))
        self.assertNoResult(self.stack.again(TARGET, LOST))
        self.failureResultOf(self.stack.again(TARGET, LOST))

    def test_shed(self) -> None:
        """What was refused to spare somebody is not tried again, whoever refused it; nobody below hears of it."""
        shed: list[ProxyError] = [
            TooManyInFlight(TARGET, 3),
            CacheFull(TARGET, 3),
            FailedFast(TARGET, 3.0),
            AcquireTimedOut(TARGET, 3.0),
        ]
        for error in shed:
            self.assertIs(error, self.failureResultOf(self.stack.again(TARGET, error)).value)
        self.assertEqual([], self.inner.calls)
