# -*- test-case-name: tests.transport.tls.test_alerts -*-
"""
Tests for L{lproxy.transport.tls.alerts}.
"""

from __future__ import annotations

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.tls.alerts import alert_of, reasons, word_of


class AlertTests(SynchronousTestCase):
    """Which one it is, by OpenSSL's words."""

    def test_alerts(self) -> None:
        """Of each version, and only those that there are: nobody's words become labels."""
        for reason, alert in [
            ("tlsv13 alert certificate required", "certificate required"),
            ("tlsv1 alert unknown ca", "unknown ca"),
            ("ssl/tls alert bad certificate", "bad certificate"),
            ("tlsv1 alert made up", ""),
            ("certificate verify failed", ""),
        ]:
            error = SSL.Error([("system library", "", ""), ("SSL routines", "", reason)])
            self.assertEqual((alert, [reason]), (alert_of(error), reasons(error)))
        self.assertEqual("alert:unknown_ca", word_of("unknown ca"))

    def test_nothing(self) -> None:
        """Errors without a queue."""
        for error in (SSL.Error(), SSL.SysCallError(-1, "Unexpected EOF"), SSL.ZeroReturnError()):
            self.assertEqual(("", []), (alert_of(error), reasons(error)))
