# -*- test-case-name: tests.identity.test_names -*-
"""
Tests for L{lproxy.identity.names}.
"""

from __future__ import annotations

import random

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile.names import identity_name, identity_pattern
from lproxy.configfile.problem import Wrong
from lproxy.identity.names import Patterns, canonical, check_identity, check_server, identity, trust_domain
from lproxy.identity.refusal import CertificateRefused
from lproxy.testing.certificates import authority


def leaf(*names: str, common_name: str = "") -> x509.Certificate:
    """A certificate for C{names}."""
    return authority().issue(*names, common_name=common_name).certificate


class CanonicalTests(SynchronousTestCase):
    """How names are compared."""

    def test_good(self) -> None:
        """DNS names in small letters, SPIFFE IDs as they are."""
        for text, wanted in [
            ("Web.Shop.mesh", "web.shop.mesh"),
            ("a_b", "a_b"),
            ("x" * 63, "x" * 63),
            ("spiffe://shop/Ns/web", "spiffe://shop/Ns/web"),
            ("spiffe://shop.test/a/..b", "spiffe://shop.test/a/..b"),
        ]:
            self.assertEqual(wanted, canonical(text))

    def test_bad(self) -> None:
        """What is not whole is no name."""
        for text in [
            *(
                "",
                ".",
                "a.",
                ".a",
                "a..b",
                "*",
                "*.a",
                "a b",
                "a\0",
                "a\n",
                "bücher",
                "-a",
                "a-",
                "x" * 64,
                "a." * 127 + "bc",
            ),
            *(
                "spiffe://",
                "spiffe://shop",
                "spiffe://shop/",
                "spiffe:///web",
                "spiffe://shop//web",
                "spiffe://shop/web/",
            ),
            *(
                "spiffe://shop/.",
                "spiffe://shop/../web",
                "spiffe://shop/web?x",
                "spiffe://a@shop/web",
                "spiffe://shop:1/web",
            ),
            *("spiffe://SHOP/web", "SPIFFE://shop/web", "spiffe://shop/w%65b", "spiffe://shop/" + "x" * 2048),
            *("https://shop/web", "spiffe://shop/web\n", "10.0.0.1", "127.0.0.1"),
        ]:
            self.assertRaises(ValueError, canonical, text)

    def test_domain(self) -> None:
        """Only SPIFFE IDs have a trust domain."""
        self.assertEqual("shop.test", trust_domain("spiffe://shop.test/web"))
        self.assertEqual("", trust_domain("web.shop.test"))


class IdentityTests(SynchronousTestCase):
    """Whose a certificate is."""

    def test_best(self) -> None:
        """A SPIFFE URI before DNS names, the first of those, never the common name."""
        self.assertEqual("spiffe://shop/web", identity(leaf("web.shop", "spiffe://shop/web", common_name="cn")))
        self.assertEqual("web.shop", identity(leaf("WEB.shop", "other.shop", common_name="cn.shop")))
        self.assertEqual("web.shop", identity(leaf("https://shop/web", "web.shop", "10.0.0.1")))

    def refused(self, reason: str, *names: str, domain: str = "") -> None:
        """C{names} are nobody's, nor anybody's that is expected."""
        one = leaf(*names, common_name="web.shop")
        for judge in (
            lambda: identity(one, domain),
            lambda: check_identity(one, "web.shop", domain),
        ):
            error = self.assertRaises(CertificateRefused, judge)
            self.assertEqual(reason, error.reason)
            self.assertIn(f"{one.serial_number:x}", str(error))
            self.assertTrue(str(error).isprintable())

    def test_nobody(self) -> None:
        """What is doubtful is refused, although a name of the right kind, or the right common name, is there."""
        self.refused("no_identity")
        self.refused("no_identity", "10.0.0.1")
        self.refused("no_identity", "spiffe://shop/web", "spiffe://shop/cart", "web.shop")
        self.refused("no_identity", "spiffe://shop/web", "https://web.shop")
        self.refused("no_identity", "spiffe://shop", "web.shop")
        self.refused("no_identity", "web.shop\0.evil.test")
        self.refused("no_identity", "*.shop", "web.shop")
        self.refused("no_identity", "w*.shop")

    def test_domains(self) -> None:
        """SPIFFE IDs of another trust domain than ours are refused; names that have none are not."""
        self.refused("wrong_trust_domain", "spiffe://other/web", "web.shop", domain="shop")
        self.assertEqual("spiffe://shop/web", identity(leaf("spiffe://shop/web"), "shop"))
        self.assertEqual("spiffe://other/web", identity(leaf("spiffe://other/web")))
        self.assertEqual("web.shop", identity(leaf("web.shop"), "shop"))

    def test_expected(self) -> None:
        """Who is expected is its identity, or one of its DNS names; the answer is its identity."""
        both = leaf("spiffe://shop/web", "Web.shop", "alias.shop")
        for name in ("spiffe://shop/web", "web.shop", "alias.shop"):
            self.assertEqual("spiffe://shop/web", check_identity(both, name))
        for name in ("spiffe://shop/we", "eb.shop", "*.shop", ""):
            error = self.assertRaises(CertificateRefused, check_identity, both, name)
            self.assertEqual("wrong_name", error.reason)


class ServerTests(SynchronousTestCase):
    """Ordinary servers."""

    def test_good(self) -> None:
        """A DNS name without case or its last dot, a wildcard of one label, an IP address, a URI."""
        for names, name in [
            (["www.shop.test"], "WWW.shop.test."),
            (["*.shop.test"], "www.shop.test"),
            (["10.0.0.1", "::1"], "::1"),
            (["https://www.shop.test/"], "https://www.shop.test/"),
        ]:
            check_server(leaf(*names), name)

    def test_bad(self) -> None:
        """Whole labels only, and nothing else than what was asked for."""
        for names, name in [
            (["*.shop.test"], "shop.test"),
            (["*.shop.test"], "a.b.shop.test"),
            (["w*.shop.test"], "www.shop.test"),
            (["*.test"], "shop.test"),
            (["10.0.0.1"], "10.0.0.2"),
            (["10.0.0.1"], "www.shop.test"),
            (["www.shop.test\0.evil"], "www.shop.test"),
            ([], "www.shop.test"),
            (["www.shop.test"], "bücher.shop.test"),
            (["www.shop.test"], ""),
        ]:
            one = leaf(*names, common_name="www.shop.test")
            error = self.assertRaises(CertificateRefused, check_server, one, name)
            self.assertEqual("wrong_name", error.reason)
            self.assertIn(f"is not for {name}", str(error))


class PatternsTests(SynchronousTestCase):
    """Sets of identities."""

    def test_match(self) -> None:
        """A star stands for whole labels, one at least."""
        for pattern, inside, outside in [
            ("web.shop.*", ["web.shop.a", "web.shop.a.b"], ["web.shop", "web.shopx.a", "aweb.shop.a", ""]),
            ("*.shop.mesh", ["a.shop.mesh", "a.b.shop.mesh"], ["shop.mesh", "ashop.mesh", "spiffe://x/a.shop.mesh"]),
            (
                "spiffe://shop/*",
                ["spiffe://shop/a", "spiffe://shop/a/b"],
                ["spiffe://shop", "spiffe://shopx/a", "shop"],
            ),
            ("spiffe://shop/ns/*", ["spiffe://shop/ns/a"], ["spiffe://shop/nsx/a", "spiffe://shop/a"]),
            ("Web.shop", ["web.shop"], ["web.shop.a", "a.web.shop"]),
            ("spiffe://shop/web", ["spiffe://shop/web"], ["spiffe://shop/web/a"]),
            ("*", ["a", "spiffe://shop/web"], [""]),
        ]:
            held = Patterns(["none.at.all", pattern])
            for identity_ in inside:
                self.assertIn(identity_, held, pattern)
            for identity_ in outside:
                self.assertNotIn(identity_, held, pattern)

    def test_bad(self) -> None:
        """What is no pattern is refused, with examples of what would be."""
        for pattern in (
            "",
            "w*.shop",
            "web.*.shop",
            "*.*",
            "spiffe://*",
            "spiffe://sh*/a",
            "spiffe://shop/*/a",
            "**",
            "a b",
        ):
            error = self.assertRaises(ValueError, Patterns, [pattern])
            self.assertIn("web.shop.*", str(error)) if not pattern.startswith("spiffe") else None

    def test_empty(self) -> None:
        """No pattern: nobody."""
        self.assertFalse(Patterns([]))
        self.assertNotIn("a", Patterns([]))
        self.assertEqual("Patterns(a, b.*)", repr(Patterns(["a", "b.*"])))


class ConfiguredTests(SynchronousTestCase):
    """What a configuration may say, an identity can be."""

    def test_same_grammar(self) -> None:
        """Whatever the configuration takes for an identity, or for a pattern, is one here."""
        pieces = ["spiffe://", "shop", ".", "..", "/", "*", "a", "B", "_", "-", "1", "web", "x" * 64, "é", "\n", ":1"]
        seeded = random.Random(7)
        taken = 0
        for _ in range(20_000):
            text = "".join(seeded.choices(pieces, k=seeded.randrange(1, 6)))
            for read, use in ((identity_name, canonical), (identity_pattern, lambda value: Patterns([value]))):
                try:
                    value = read(text)
                except Wrong:
                    continue
                if value:
                    use(value)
                    taken += 1
        self.assertGreater(taken, 1_000)
