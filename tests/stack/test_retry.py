# -*- test-case-name: tests.stack.test_retry -*-
"""
Tests for L{lproxy.stack.retry}.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import ProxyError
from lproxy.stack import retry
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.cache import CacheFull
from lproxy.stack.failfast import FailedFast
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
        self.stack = retry.layer()(self.inner)

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
