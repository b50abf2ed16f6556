# -*- test-case-name: tests.protocols.http.test_streams -*-
"""
L{lproxy.protocols.http.streams}: what the ends of an exchange can fail with.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import judge
from lproxy.protocols.http.streams import BadResponse, UpstreamLost
from lproxy.target import Endpoint

END = Endpoint("10.0.0.7", 8080)


class ErrorTests(SynchronousTestCase):
    """They say how, when, and what that means."""

    def test_lost(self) -> None:
        """How a connection ended is said in words where there are some."""
        for errno, how in (
            ("", "closed the connection"),
            ("ECONNRESET", "reset the connection"),
            ("ETIMEDOUT", "ETIMEDOUT"),
            ("alert:certificate_required", "ended TLS with the alert 'certificate required'"),
        ):
            error = UpstreamLost(END, errno, "without an answer")
            self.assertEqual(f"upstream: 10.0.0.7:8080 {how} without an answer", str(error))
            self.assertIs(error, judge(error))

    def test_cautious(self) -> None:
        """Where nobody says otherwise, the request was sent and the answer had begun."""
        error = UpstreamLost(END, "", "")
        self.assertEqual((True, False, False), (error.answered, error.unsent, error.reused))

    def test_both_are_the_upstreams_fault(self) -> None:
        """A client is told of a bad gateway, and its own connection goes on."""
        for error in (UpstreamLost(END, "", ""), BadResponse(END)):
            self.assertEqual(("upstream", 502, True), (error.layer, error.status, error.keep))
