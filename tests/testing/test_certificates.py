# -*- test-case-name: tests.testing.test_certificates -*-
"""
Tests for L{lproxy.testing.certificates}.
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing.certificates import CODE, Issuer, Leaf, authority, rsa_key


class CertificatesTests(SynchronousTestCase):
    """Each leaf is as good or as bad as it was asked for, which OpenSSL confirms."""

    def verify(self, leaf: Leaf, anchor: Issuer) -> str:
        """What OpenSSL says of C{leaf}: empty, or what is wrong."""
        store = crypto.X509Store()
        store.add_cert(crypto.X509.from_cryptography(anchor.anchor))
        one, *rest = [crypto.X509.from_cryptography(each) for each in leaf.chain]
        try:
            crypto.X509StoreContext(store, one, rest).verify_certificate()
        except crypto.X509StoreContextError as error:
            return str(error)
        return ""

    def test_good(self) -> None:
        """By default, all is well, also further from the anchor."""
        self.assertEqual("", self.verify(authority().issue("a.test"), authority()))
        deep = authority().below(depth=3).issue("a.test")
        self.assertEqual(4, len(deep.chain))
        self.assertEqual("", self.verify(deep, authority()))

    def test_same(self) -> None:
        """One anchor for each name."""
        self.assertIs(authority(), authority())
        self.assertNotEqual("", self.verify(authority("other").issue("a.test"), authority()))

    def test_times(self) -> None:
        """Expired ones were valid once, early ones will be."""
        old = authority().issue("a.test", lasts=timedelta(seconds=-1))
        self.assertLess(old.certificate.not_valid_before_utc, old.certificate.not_valid_after_utc)
        self.assertIn("expired", self.verify(old, authority()))
        self.assertIn("not yet valid", self.verify(authority().issue("a", begins=timedelta(hours=1)), authority()))
        below = authority().below(lasts=timedelta(seconds=-1)).issue("a.test")
        self.assertIn("expired", self.verify(below, authority()))
        self.assertGreater(below.certificate.not_valid_after_utc, datetime.now(UTC))

    def test_odd_names(self) -> None:
        """Names that nobody should take are made nevertheless, and no names at all."""
        odd = authority().issue("a\0b.test", "spiffe://a/b", "spiffe://a/c").certificate
        names = odd.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(["a\0b.test"], names.get_values_for_type(x509.DNSName))
        self.assertEqual(2, len(names.get_values_for_type(x509.UniformResourceIdentifier)))
        bare = authority().issue(common_name="web.shop.test").certificate
        self.assertEqual("CN=web.shop.test", bare.subject.rfc4514_string())

    def test_weak(self) -> None:
        """Keys and signatures of former times."""
        self.assertEqual(1024, authority().issue("a.test", key=rsa_key(1024)).certificate.public_key().key_size)
        sha1 = authority().issue("a.test", sha1=True)
        algorithm = sha1.certificate.signature_hash_algorithm
        assert algorithm is not None
        self.assertEqual("sha1", algorithm.name)
        self.assertEqual("", self.verify(sha1, authority()))  # the signature itself is right

    def test_usage(self) -> None:
        """Other usages, or none said."""
        usage = (
            authority()
            .issue("a.test", usage=CODE)
            .certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        )
        self.assertEqual(list(CODE), list(usage.value))

    def test_write(self) -> None:
        """Three files, of which only the owner reads the key."""
        folder = self.mktemp()
        trust, certificate, key = authority().below().issue("a.test").write(folder, "a")
        self.assertEqual(["a.key", "a.pem", "trust.pem"], sorted(os.listdir(folder)))
        self.assertEqual(2, Path(certificate).read_bytes().count(b"BEGIN CERTIFICATE"))
        self.assertEqual(authority().pem, Path(trust).read_bytes())
        self.assertEqual(0o600, stat.S_IMODE(os.stat(key).st_mode))
