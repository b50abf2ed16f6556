# -*- test-case-name: tests.configfile.test_names -*-
"""
Who somebody is, in a file.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile.names import identity_name, identity_pattern, server_name
from lproxy.configfile.problem import Wrong


class NameTests(SynchronousTestCase):
    def test_identities(self) -> None:
        """DNS names, in lower case and without the root's dot, and SPIFFE IDs as they stand; nobody is nobody."""
        for text, name in {
            "Web.Shop.MESH.": "web.shop.mesh",
            "web": "web",
            "spiffe://shop/ns/a/Web": "spiffe://shop/ns/a/Web",
            "": "",
        }.items():
            self.assertEqual(name, identity_name(text))

    def test_no_identities(self) -> None:
        """A pattern, a URL, a SPIFFE ID without a path or with an empty segment, an address."""
        for text in (
            *("*.shop", "web shop", "http://web", "spiffe://shop", "spiffe://Shop/web", "spiffe://shop//web"),
            *("10.0.0.1", "web:80", "spiffe://shop/web/", "a..b"),
        ):
            self.assertIn("write a DNS name such as", self.assertRaises(Wrong, identity_name, text).right)

    def test_patterns(self) -> None:
        """A star for the labels at one end, or all."""
        for text in ("web.shop.*", "*.shop.mesh", "*", "web.shop.mesh", "spiffe://shop/*", "spiffe://shop/a/*"):
            self.assertEqual(text, identity_pattern(text))
        self.assertEqual("web.*", identity_pattern("WEB.*"))

    def test_no_patterns(self) -> None:
        """A star for a part of a label, in the middle, twice; a trust domain that is any."""
        for text in (
            *("w*.shop.mesh", "web.*.mesh", "*.shop.*", "**", "web.shop*", "", "spiffe://*/web", "spiffe://shop/w*"),
            *("spiffe://*", "spiffe://shop", "http://shop/*", "web.shop.*."),
        ):
            self.assertIn("* for the labels at one end", self.assertRaises(Wrong, identity_pattern, text).right)

    def test_servers(self) -> None:
        """A host name or an IP address; a URL and a port are told apart from it."""
        for text, name in {"API.test.": "api.test", "10.0.0.1": "10.0.0.1", "0:0::1": "::1", "": ""}.items():
            self.assertEqual(name, server_name(text))
        for text in ("https://api.test", "api.test:443", "[::1]:443"):
            self.assertIn("without scheme, port", self.assertRaises(Wrong, server_name, text).right)
        self.assertRaises(Wrong, server_name, "a b")
