# -*- test-case-name: tests.transport.tls.test_failure -*-
"""
Tests for L{lproxy.transport.tls.failure}. Real failures: L{tests.transport.tls.test_handshake}.
"""

from __future__ import annotations

import errno

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import explain as whole_story
from lproxy.identity.refusal import CertificateRefused, Refusal
from lproxy.target import Endpoint
from lproxy.transport.tls.alerts import ALERTS
from lproxy.transport.tls.failure import SENTENCES, WORDS, HandshakeFailed, HandshakeTimedOut, explain

ENDPOINT = Endpoint("10.0.0.1", 443)
REFUSAL = Refusal("wrong_name", "certificate of other.test (serial 1f) has another name")


def error(*reasons: str) -> SSL.Error:
    """What OpenSSL raises, with these in its queue."""
    return SSL.Error([("SSL routines", "", reason) for reason in reasons])


class ExplainTests(SynchronousTestCase):
    """The word for each failure, and a sentence."""

    def why(self, error: BaseException) -> str:
        """The word."""
        refusal = explain(error, None)
        self.assertTrue(refusal.text)
        return refusal.reason

    def test_certificate(self) -> None:
        """What there is against a certificate comes before what OpenSSL makes of it."""
        self.assertEqual(REFUSAL, explain(error("certificate verify failed"), REFUSAL))
        self.assertEqual(REFUSAL, explain(CertificateRefused(*REFUSAL), None))

    def test_reasons(self) -> None:
        """Each of OpenSSL's that has a word has a sentence, too, wherever it stands in the queue."""
        for reason, word in WORDS.items():
            self.assertEqual(word, self.why(error("", reason)))
            self.assertIn(word, SENTENCES)
        self.assertEqual("not_tls", self.why(error("http request", "something else")))

    def test_alerts(self) -> None:
        """A peer's alert is told by its name; one that there is not makes no word."""
        for text, word in (
            ("tlsv1 alert unknown ca", "alert:unknown_ca"),
            ("tlsv13 alert certificate required", "alert:certificate_required"),
            ("ssl/tls alert handshake failure", "alert:handshake_failure"),
            ("tlsv1 alert made up", "protocol"),
        ):
            self.assertEqual(word, self.why(error(text)))
        self.assertLess(len(ALERTS), 40)

    def test_socket(self) -> None:
        """The socket's own end, or error."""
        self.assertEqual("eof", self.why(SSL.SysCallError(-1, "Unexpected EOF")))
        self.assertEqual("eof", self.why(SSL.ZeroReturnError()))
        self.assertEqual("reset", self.why(SSL.SysCallError(errno.ECONNRESET, "ECONNRESET")))
        self.assertEqual("protocol", self.why(SSL.SysCallError(errno.EHOSTUNREACH, "EHOSTUNREACH")))

    def test_unknown(self) -> None:
        """All else counts as a breach of the protocol, and what was raised by mistake as a bug."""
        self.assertEqual("protocol", self.why(error("unexpected message")))
        self.assertIn("unexpected message", explain(error("unexpected message"), None).text)
        for odd in (SSL.Error(), SSL.Error([]), SSL.Error("text")):
            self.assertEqual("protocol", self.why(odd))
        self.assertEqual("bug", self.why(ZeroDivisionError()))


class ErrorTests(SynchronousTestCase):
    """What a client is told."""

    def test_failed(self) -> None:
        """Which endpoint, which certificate, which check."""
        failed = HandshakeFailed(ENDPOINT, REFUSAL)
        self.assertEqual(("tls", "wrong_name", 502), (failed.layer, failed.why, failed.status))
        self.assertEqual(
            "tls: 10.0.0.1:443 TLS handshake failed (wrong_name): "
            "certificate of other.test (serial 1f) has another name",
            whole_story(failed),
        )

    def test_timed_out(self) -> None:
        """It was given so long."""
        failed = HandshakeTimedOut(ENDPOINT, 10.0)
        self.assertEqual(("timeout", 504), (failed.why, failed.status))
        self.assertIn("within 10 s", str(failed))
