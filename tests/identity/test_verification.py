# -*- test-case-name: tests.identity.test_verification -*-
"""
Tests for L{lproxy.identity.verification}, beside those of L{tests.identity.test_contexts}, which shake hands.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from OpenSSL import crypto
from OpenSSL.SSL import X509VerificationCodes as Code
from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity.refusal import INVALID, CertificateRefused
from lproxy.identity.verification import Peer, callback, member, ordinary_client
from lproxy.testing.certificates import authority


class Connection:
    """Has application data."""

    def __init__(self, peer: object) -> None:
        self.peer = peer

    def get_app_data(self) -> object:
        """What OpenSSL's connection is given."""
        return self.peer


class CallbackTests(SynchronousTestCase):
    """What OpenSSL is answered."""

    def setUp(self) -> None:
        self.peer = Peer()
        self.leaf = authority().issue("a.test").certificate

    def ask(self, judge: Any, code: int = 0, depth: int = 0, ok: int = 1, certificate: Any = None) -> bool:
        """The answer for C{certificate}."""
        asked: Any = Connection(self.peer)
        return callback(judge)(asked, certificate or crypto.X509.from_cryptography(self.leaf), code, depth, ok)

    def test_good(self) -> None:
        """A good one passes, and is known; of others than the leaf, nobody asks the name."""
        self.assertTrue(self.ask(member("")))
        self.assertEqual("a.test", self.peer.identity)
        self.assertTrue(self.ask(None, depth=1))

    def test_never_ok(self) -> None:
        """What OpenSSL has refused stays refused, at whatever depth, whoever it is."""
        for depth in (0, 1):
            self.assertFalse(self.ask(member(""), Code.ERR_CERT_HAS_EXPIRED, depth, ok=0))
            self.assertIn("reason='expired'", repr(self.peer))
        self.assertEqual("", self.peer.identity)

    def test_unknown_error(self) -> None:
        """An error that has no word is one nevertheless."""
        self.assertFalse(self.ask(member(""), 9999, ok=0))
        self.assertIn(INVALID, repr(self.peer))

    def test_raises(self) -> None:
        """A judge that breaks lets nobody pass; what cannot be read is the peer's fault."""

        def broken(leaf: x509.Certificate, expected: str) -> str:
            raise RuntimeError("bug")

        def unreadable(leaf: x509.Certificate, expected: str) -> str:
            raise ValueError("odd encoding")

        self.assertRaises(RuntimeError, self.ask, broken)
        self.assertFalse(self.ask(unreadable))
        assert self.peer.refusal is not None
        self.assertEqual((INVALID, "a certificate of the peer cannot be read: odd encoding"), self.peer.refusal)

    def test_no_peer(self) -> None:
        """Without a place for the answer there is none."""
        self.peer = None  # type: ignore[assignment]
        self.assertRaises(TypeError, self.ask, member(""))

    def test_members(self) -> None:
        """Who is expected has to be it; where nobody is, anybody of our trust domain will do."""
        self.assertEqual("a.test", member("")(self.leaf, "a.test"))
        self.assertRaises(CertificateRefused, member(""), self.leaf, "b.test")
        foreign = authority().issue("spiffe://other/web").certificate
        self.assertRaises(CertificateRefused, member("shop"), foreign, "")

    def test_ordinary_client(self) -> None:
        """A client that needs no identity has one where it can be told."""
        self.assertEqual("a.test", ordinary_client(self.leaf, ""))
        self.assertEqual("", ordinary_client(authority().issue("*.test").certificate, ""))
