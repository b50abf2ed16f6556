# -*- test-case-name: tests.identity.test_policy -*-
"""
Tests for L{lproxy.identity.policy}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import grpc_status
from lproxy.identity.policy import ANYBODY, KINDS, IdentityRefused, IdentityRequired, Policy

WEB, CART = "web.shop.mesh", "spiffe://shop/cart"


class PolicyTests(SynchronousTestCase):
    """Who may."""

    def test_judge(self) -> None:
        """Each way to be refused has its reason; a denial weighs more than an allowance."""
        required, denied, not_allowed = "identity_required", "identity_denied", "identity_not_allowed"
        for policy, nobody, web, cart in [
            (ANYBODY, "", "", ""),
            (Policy(require=True), required, "", ""),
            (Policy(allow=["web.*"]), required, "", not_allowed),
            (Policy(deny=["web.*"]), "", denied, ""),
            (Policy(require=True, deny=["spiffe://shop/*"]), required, "", denied),
            (Policy(allow=["*"], deny=[WEB]), required, denied, ""),
        ]:
            self.assertEqual((nobody, web, cart), tuple(map(policy.judge, ("", WEB, CART))), policy)

    def test_errors(self) -> None:
        """A refusal is a 403, PERMISSION_DENIED, that says whom what is not for; nothing is tried again."""
        policy = Policy(allow=[CART])
        self.assertIsNone(policy.refuse("web", CART))
        error = policy.refuse("web", WEB)
        assert isinstance(error, IdentityRefused)
        self.assertEqual(f"policy: web is not for {WEB}", str(error))
        nobody = policy.refuse("web", "")
        assert isinstance(nobody, IdentityRequired)
        self.assertIn("only for clients that prove an identity", str(nobody))
        for kind in KINDS.values():
            self.assertEqual((403, 7, True, False), (kind.status, grpc_status(kind.status), kind.shed, kind.blames))
            self.assertIn("policy: web is ", str(kind("web", WEB)))

    def test_active(self) -> None:
        """A policy that refuses nobody costs nothing."""
        self.assertFalse(ANYBODY.active)
        self.assertTrue(Policy(deny=["a"]).active)

    def test_bad_pattern(self) -> None:
        """A pattern that is none is an error of the configuration."""
        self.assertRaises(ValueError, Policy, deny=["w*.shop"])
