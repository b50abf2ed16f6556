# -*- test-case-name: tests.stack.test_tried -*-
"""
Tests for L{lproxy.stack.tried}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.balance import NoEndpointReady
from lproxy.stack.failfast import FailedFast
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.stack.tried import GaveUp, tried
from lproxy.target import Authority, Endpoint
from lproxy.transport.connect import ConnectFailed

TARGET = Authority("web.local", 80)
ENDPOINT = Endpoint("10.0.0.1", 80)


class TriedTests(SynchronousTestCase):
    """Which endpoint an error is about."""

    def test_itself(self) -> None:
        """The one that it names."""
        self.assertEqual(ENDPOINT, tried(ConnectFailed(ENDPOINT, "ECONNREFUSED")))

    def test_causes(self) -> None:
        """Or that its cause does, however far down."""
        last = ConnectFailed(ENDPOINT, "ECONNREFUSED")
        self.assertEqual(ENDPOINT, tried(FailedFast(TARGET, 1.0).because(NoEndpointReady(TARGET, 3).because(last))))
        self.assertEqual(ENDPOINT, tried(AcquireTimedOut(TARGET, 1.0).because(GaveUp("connecting", ENDPOINT))))

    def test_none(self) -> None:
        """Where none was tried, there is none; errors that are their own causes end as well."""
        error = ValueError()
        error.__cause__ = error
        for other in (None, error, FailedFast(TARGET, 1.0), AcquireTimedOut(TARGET, 1.0).because(GaveUp("waiting"))):
            self.assertIsNone(tried(other))
