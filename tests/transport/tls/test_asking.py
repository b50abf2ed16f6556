# -*- test-case-name: tests.transport.tls.test_asking -*-
"""
Tests for L{lproxy.transport.tls.asking}; with a server, in tests.integration.test_admin_tls.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing.certificates import authority
from lproxy.transport.tls.asking import asking


class AskingTests(SynchronousTestCase):
    """What a command believes and shows."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp())
        self.home.mkdir()
        self.shop = authority("shop")
        self.trust = self.shop.issue("ops.shop.test").write(self.home, "ops")[0]
        _, self.certificate, self.key = self.shop.issue("ops.shop.test").write(self.home, "ops")

    def test_verifies(self) -> None:
        """Whoever is asked is verified, by our own list of authorities or by OpenSSL's."""
        for context in (asking(), asking(self.trust)):
            self.assertEqual((ssl.CERT_REQUIRED, True), (context.verify_mode, context.check_hostname))
        self.assertEqual(1, len(asking(self.trust).get_ca_certs()))

    def test_shows(self) -> None:
        """A certificate with its key beside it, or in the same file."""
        asking(self.trust, self.certificate, self.key)
        both = self.home / "both.pem"
        both.write_text(Path(self.certificate).read_text() + Path(self.key).read_text())
        asking(self.trust, str(both))

    def test_mistakes(self) -> None:
        """A file that is missing is named, and so is a certificate whose key is another's."""
        for arguments in ((str(self.home / "none"),), (None, self.certificate, str(self.home / "none"))):
            self.assertIn(str(self.home / "none"), str(self.assertRaises(FileNotFoundError, asking, *arguments)))
        _, _, other = self.shop.issue("other").write(self.home, "other")
        for key in (other, None):
            self.assertIn(self.certificate, str(self.assertRaises(OSError, asking, None, self.certificate, key)))
