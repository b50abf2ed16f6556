# -*- test-case-name: tests.identity.test_server_names -*-
"""
Tests for L{lproxy.identity.server_names}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity.server_names import ServerNames


class ServerNamesTests(SynchronousTestCase):
    """By the name that a client asks for."""

    def test_find(self) -> None:
        """Exact before wildcard, without case; a wildcard stands for one whole label."""
        shown = ServerNames([(["a.test", "*.shop.test"], 1), (["www.shop.test"], 2), (["*.b.shop.test"], 3)])
        for name, wanted in [
            ("a.test", 1),
            ("A.Test.", 1),
            ("www.shop.test", 2),
            ("api.shop.test", 1),
            ("API.SHOP.TEST", 1),
            ("x.b.shop.test", 3),
            ("b.shop.test", 1),
            ("shop.test", None),
            ("x.y.shop.test", None),
            (".shop.test", None),
            ("*.shop.test", None),
            ("", None),
            ("test", None),
        ]:
            self.assertEqual(wanted, shown.find(name), name)
        self.assertEqual(1, shown.default)

    def test_first(self) -> None:
        """Of two with the same name, the first."""
        shown = ServerNames([(["a.test", "*.b.test"], 1), (["a.test", "*.b.test"], 2)])
        self.assertEqual([1, 1], [shown.find("a.test"), shown.find("x.b.test")])

    def test_odd(self) -> None:
        """Names that nobody can ask for, or that would cover too much, are passed over."""
        odd = ["w*.shop.test", "*.test", "*", "*.*.test", "a.*.test", "a\0.test", "10.0.0.1 ", "spiffe://a/b", ""]
        shown = ServerNames([(odd, 1)])
        for name in ("www.shop.test", "shop.test", "a.b.test", "a", "a\0.test", "spiffe://a/b", ""):
            self.assertIsNone(shown.find(name), name)
        self.assertEqual((1, "ServerNames()"), (shown.default, repr(shown)))

    def test_none(self) -> None:
        """Nothing to show."""
        shown: ServerNames[int] = ServerNames([])
        self.assertEqual((None, None), (shown.default, shown.find("a.test")))
