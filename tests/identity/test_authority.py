# -*- test-case-name: tests.identity.test_authority -*-
"""
Tests for L{lproxy.identity.authority}.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store
from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity.authority import (
    Authority,
    Wanted,
    certificates_pem,
    general_name,
    key_pem,
    new_key,
)

NOW = datetime(2026, 11, 30, 4, 0, tzinfo=UTC)


class AuthorityTests(SynchronousTestCase):
    """What it makes is what others take."""

    def setUp(self) -> None:
        self.authority = Authority.create("mesh.local", NOW, days=10)

    def leaf(self, *names: str, common_name: str = "") -> x509.Certificate:
        """One that is valid for a day."""
        return self.authority.sign(new_key(), Wanted(names, common_name, NOW, NOW + timedelta(days=1)))

    def test_verifies(self) -> None:
        """A verifier that is not OpenSSL's, and strict about RFC 5280, takes a leaf for either side."""
        store = Store([self.authority.certificate])
        policy = PolicyBuilder().store(store).time(NOW + timedelta(hours=1))
        for common_name in ("", "web.shop.test"):
            leaf = self.leaf("web.shop.test", common_name=common_name)
            policy.build_server_verifier(x509.DNSName("web.shop.test")).verify(leaf, [])
            policy.build_client_verifier().verify(leaf, [])

    def test_names(self) -> None:
        """Each name becomes what it looks like."""
        self.assertEqual(x509.DNSName("web.shop.test"), general_name("web.shop.test"))
        self.assertEqual(x509.UniformResourceIdentifier("spiffe://shop/web"), general_name("spiffe://shop/web"))
        self.assertEqual(x509.IPAddress(ip_address("::1")), general_name("::1"))
        self.assertRaises(ValueError, general_name, "bücher.test")

    def test_no_names(self) -> None:
        """Without names there is no empty list of them."""
        self.assertRaises(
            x509.ExtensionNotFound,
            self.leaf(common_name="x").extensions.get_extension_for_class,
            x509.SubjectAlternativeName,
        )

    def test_long_common_name(self) -> None:
        """A long name is whole where it counts, and cut where the standard has a limit."""
        name = ".".join(["label"] * 20)
        leaf = self.leaf(name, common_name=name)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual([name], names.get_values_for_type(x509.DNSName))
        self.assertEqual("CN=" + name[:64], leaf.subject.rfc4514_string())

    def test_pem(self) -> None:
        """What is written can be read again."""
        leaf = self.leaf("a.test")
        both = [leaf, self.authority.certificate]
        self.assertEqual(both, x509.load_pem_x509_certificates(certificates_pem(both)))
        key = load_pem_private_key(key_pem(self.authority.key), None)
        self.assertEqual(self.authority.certificate.public_key(), key.public_key())
