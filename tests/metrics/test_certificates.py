# -*- test-case-name: tests.metrics.test_certificates -*-
"""
L{lproxy.metrics.certificates}: the families of certificates.
"""

from __future__ import annotations

from lproxy.metrics.certificates import CERTIFICATE_CAP
from tests.metrics.case import MetricsCase

EXPIRES = "identity_cert_expiration_timestamp_seconds"
REFRESHED = "identity_cert_refresh_total"
REFUSED = "identity_cert_refresh_refused_total"


class CertificatesTests(MetricsCase):
    """Until when, how many, and which not."""

    def setUp(self) -> None:
        super().setUp()
        self.certificates = self.metrics.certificates

    def test_use(self) -> None:
        """The first counts, and each that replaces another; the same one again does not."""
        for mark, expires in (("a", 100.0), ("a", 100.0), ("b", 200.0)):
            self.certificates.use("identity", mark, expires)
        self.assertEqual([200], self.values(EXPIRES, certificate="identity"))
        self.assertEqual([2], self.values(REFRESHED, certificate="identity"))

    def test_refuse(self) -> None:
        """By reason."""
        for reason in ("expired", "expired", "key_mismatch"):
            self.certificates.refuse("a.pem", reason)
        self.assertEqual([2], self.values(REFUSED, certificate="a.pem", reason="expired"))
        self.assertEqual([1], self.values(REFUSED, certificate="a.pem", reason="key_mismatch"))

    def test_gone(self) -> None:
        """What is no longer in use does not expire; what was counted stays."""
        self.certificates.use("a.pem", "a", 100.0)
        self.certificates.use("b.pem", "b", 100.0)
        self.certificates.keep(["b.pem"])
        self.assertEqual([], self.values(EXPIRES, certificate="a.pem"))
        self.assertEqual([1], self.values(REFRESHED, certificate="a.pem"))
        self.assertEqual([100], self.values(EXPIRES, certificate="b.pem"))

    def test_many(self) -> None:
        """Beyond the cap they are one: when the first of them expires, and each counted once."""
        for _ in range(2):
            for number in range(CERTIFICATE_CAP + 10):
                self.certificates.use(f"{number}.pem", "a", 1_000.0 - number)
        self.assertEqual([1_000.0 - CERTIFICATE_CAP - 9], self.values(EXPIRES, certificate="other"))
        self.assertEqual([10], self.values(REFRESHED, certificate="other"))
        self.assertEqual(CERTIFICATE_CAP + 1, len(self.values(EXPIRES)))
