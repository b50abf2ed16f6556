# -*- test-case-name: tests.identity.test_refusal -*-
"""
Tests for L{lproxy.identity.refusal}.
"""

from __future__ import annotations

from datetime import timedelta

from OpenSSL.SSL import X509VerificationCodes as Code
from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity.refusal import INVALID, SENTENCES, WORDS, CertificateRefused, found, names, title, word
from lproxy.testing.certificates import authority


class RefusalTests(SynchronousTestCase):
    """A person finds the certificate, and a program the word."""

    def test_words(self) -> None:
        """Each word has its sentence, and what nobody thought of has a word as well."""
        self.assertEqual(set(SENTENCES), {*WORDS.values(), INVALID})
        self.assertEqual(INVALID, word(Code.ERR_UNHANDLED_CRITICAL_EXTENSION))

    def test_title(self) -> None:
        """By names, by subject, or by nothing, and always with the serial number; never with control characters."""
        for names_, common_name, who in [
            (("a.test", "b.test", "spiffe://x/y", "10.0.0.1"), "cn", "spiffe://x/y, a.test, b.test, ..."),
            ((), "joe", "CN=joe"),
            ((), "", "nobody"),
            (("a\x1b[2J\0.test",), "", "a?[2J?.test"),
        ]:
            one = authority().issue(*names_, common_name=common_name).certificate
            self.assertEqual(f"certificate of {who} (serial {one.serial_number:x})", title(one))

    def test_facts(self) -> None:
        """Dates, the issuer, or OpenSSL's own words: what a person asks for next."""
        one = authority().issue("a.test", lasts=timedelta(days=1)).certificate
        after = f"{one.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
        self.assertEqual(
            f"{title(one)} has expired: it was valid until {after}", found(Code.ERR_CERT_HAS_EXPIRED, "x", one).text
        )
        self.assertIn("is not valid yet: it will be from 2", found(Code.ERR_CERT_NOT_YET_VALID, "x", one).text)
        self.assertIn(
            "here: its issuer is CN=lproxy tests (self-signed)",
            found(Code.ERR_SELF_SIGNED_CERT_IN_CHAIN, "self-signed", one).text,
        )
        self.assertEqual((INVALID, f"{title(one)} is not valid (odd)"), found(-1, "odd", one))

    def test_names(self) -> None:
        """All names, URIs first."""
        self.assertEqual((), names(authority().issue(common_name="x").certificate))
        self.assertEqual(("spiffe://x/y", "a", "::1"), names(authority().issue("a", "::1", "spiffe://x/y").certificate))

    def test_error(self) -> None:
        """An error is a refusal."""
        self.assertEqual(("weak", "text"), CertificateRefused("weak", "text").refusal)
