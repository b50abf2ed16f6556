# -*- test-case-name: tests.identity.test_checks -*-
"""
Tests for L{lproxy.identity.checks}.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity import checks
from lproxy.identity.authority import Authority, new_key
from lproxy.identity.refusal import CertificateRefused
from lproxy.testing.certificates import CLIENT, CODE, SERVER, authority, rsa_key

SHOP = authority()
NOW = datetime.now(UTC)


class ChecksTests(SynchronousTestCase):
    """Each says which certificate, and what is wrong with it."""

    def refused(self, reason: str, words: str, check: Callable[..., object], *arguments: object) -> None:
        """C{check} refuses."""
        error = self.assertRaises(CertificateRefused, check, *arguments)
        self.assertEqual(reason, error.reason)
        self.assertIn(words, str(error))
        self.assertIn("certificate of ", str(error))

    def test_key(self) -> None:
        """The key is the first certificate's; where it is another's, that one should come first."""
        leaf = SHOP.below().issue("a.test")
        checks.key_fits(leaf.key, leaf.chain, "a.key")
        self.refused(
            "key_mismatch", "not for the private key in a.key", checks.key_fits, new_key(), leaf.chain, "a.key"
        )
        self.refused("wrong_order", "is number 2", checks.key_fits, leaf.key, leaf.chain[::-1], "a.key")

    def test_order(self) -> None:
        """Each is followed by its issuer; a root at the end is not sent."""
        deep = SHOP.below(depth=2).issue("a.test").chain
        checks.ordered(deep)
        self.assertEqual(deep, checks.without_root((*deep, SHOP.anchor)))
        self.assertEqual(deep, checks.without_root(deep))
        self.assertEqual((SHOP.anchor,), checks.without_root((SHOP.anchor,)))
        self.refused("wrong_order", "number 2", checks.ordered, (deep[0], deep[2], deep[1]))
        self.refused("wrong_order", "number 3", checks.ordered, (*deep[:2], authority("other").anchor))
        # the same name with another key
        twin = Authority.create("lproxy tests", NOW, 1).certificate
        self.refused("wrong_order", "did not sign it", checks.ordered, (SHOP.issue("a.test").certificate, twin))

    def test_length(self) -> None:
        """Ten are the most."""
        deep = SHOP.below(depth=10).issue("a.test").chain
        checks.ordered(deep[1:])
        self.refused("too_long", "10 others", checks.ordered, deep)

    def test_dates(self) -> None:
        """Valid from one second to another."""
        one = SHOP.issue("a.test").certificate
        for when in (one.not_valid_before_utc, one.not_valid_after_utc):
            checks.valid(one, when)
        second = timedelta(seconds=1)
        self.refused("expired", "it was valid until", checks.valid, one, one.not_valid_after_utc + second)
        self.refused("not_yet_valid", "it will be from", checks.valid, one, one.not_valid_before_utc - second)

    def test_weak(self) -> None:
        """Short keys and broken hashes."""
        checks.valid(SHOP.issue("a.test", key=rsa_key(2048)).certificate, NOW)
        self.refused("weak", "RSA key of 1024 bits", checks.valid, SHOP.issue("a", key=rsa_key(1024)).certificate, NOW)
        small = ec.generate_private_key(ec.SECP192R1())
        self.refused("weak", "secp192r1", checks.valid, SHOP.issue("a.test", key=small).certificate, NOW)
        self.refused("weak", "signed with SHA1", checks.valid, SHOP.issue("a.test", sha1=True).certificate, NOW)

    def test_usage(self) -> None:
        """It may be used for what is wanted, or for anything."""
        for usage in (SERVER + CLIENT, ()):
            for wanted in (checks.SERVER, checks.CLIENT, checks.BOTH):
                checks.usable(SHOP.issue("a.test", usage=usage).certificate, wanted)
        server = SHOP.issue("a.test", usage=SERVER).certificate
        checks.usable(server, checks.SERVER)
        self.refused("wrong_usage", "not for clientAuth", checks.usable, server, checks.CLIENT)
        self.refused("wrong_usage", "serverAuth and clientAuth", checks.usable, server, checks.BOTH)
        self.refused("wrong_usage", "serverAuth", checks.usable, SHOP.issue("a", usage=CODE).certificate, checks.SERVER)
        self.refused("wrong_usage", "digital signatures", checks.usable, SHOP.anchor, checks.SERVER)

    def test_leads(self) -> None:
        """To one of the anchors, whether that is a root or not, at the time that counts."""
        deep = SHOP.below(depth=2).issue("a.test").chain
        checks.leads_to(deep, [authority("other").anchor, SHOP.anchor], NOW)
        checks.leads_to(deep, [deep[2]], NOW)
        self.refused("unknown_ca", "its issuer is CN=", checks.leads_to, deep, [authority("other").anchor], NOW)
        self.refused("unknown_ca", "its issuer is CN=intermediate", checks.leads_to, deep[:1], [SHOP.anchor], NOW)
        late = deep[0].not_valid_after_utc + timedelta(seconds=1)
        self.refused("expired", "valid until", checks.leads_to, deep, [SHOP.anchor], late)

    def test_kinds(self) -> None:
        """A key in words."""
        self.assertEqual("ECDSA secp256r1", checks.kind(SHOP.anchor))
        self.assertEqual("RSA 2048", checks.kind(SHOP.issue("a", key=rsa_key(2048)).certificate))
        edwards = ed25519.Ed25519PrivateKey.generate()
        self.assertEqual("Ed25519", checks.kind(SHOP.issue("a", key=edwards).certificate))  # type: ignore[arg-type]
