# -*- test-case-name: tests.discover.test_names -*-
"""
Tests for L{lproxy.discover.names}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.names import candidates, checked


class CheckedTests(SynchronousTestCase):
    """Which names can be looked up."""

    def test_good(self) -> None:
        """Host names are, underscores and the longest ones too; case does not count."""
        longest = ".".join(["a" * 63] * 3 + ["b" * 61])
        self.assertEqual(253, len(longest))
        for name in ("web", "web.local", "_http._tcp.example", "xn--bcher-kva.example", "1.web", "a." * 100 + "b"):
            self.assertEqual(name, checked(name))
        self.assertEqual(longest + ".", checked(longest + "."))
        self.assertEqual("web.local.", checked("WEB.Local."))

    def test_bad(self) -> None:
        """What DNS has no words for is refused, with the reason."""
        for name, why in {
            "": "empty",
            ".": "empty",
            "a..b": "empty",
            "web..": "empty",
            ".web": "empty",
            "a" * 64 + ".example": "longer than 63",
            "bücher.example": "ASCII",
            "web local": "other than",
            "web\r\n": "other than",
            "web\0": "other than",
            "*.example": "other than",
            "300.1.1.1": "number",
            "127.1": "number",
            "1.2.3.4.": "number",
            "a." * 126 + "bc": "longer than 253",
        }.items():
            error = self.assertRaises(ValueError, checked, name)
            self.assertIn(why, str(error), name)


class CandidateTests(SynchronousTestCase):
    """Which names a host may mean."""

    def test_alone(self) -> None:
        """Without a search list a name is itself."""
        self.assertEqual(("web",), candidates("web"))

    def test_absolute(self) -> None:
        """With a last dot it is nothing else."""
        self.assertEqual(("web",), candidates("web.", ["example"]))

    def test_ndots(self) -> None:
        """With enough dots it is first taken as it stands, else last."""
        self.assertEqual(("web.a", "web.b", "web"), candidates("web", ["a", "b"]))
        self.assertEqual(("web.x", "web.x.a"), candidates("web.x", ["a"]))
        self.assertEqual(("web.x.a", "web.x"), candidates("web.x", ["a"], 2))

    def test_bounded(self) -> None:
        """A candidate that would be too long is none, and none comes twice."""
        long = "a." * 120 + "b"
        self.assertEqual((long,), candidates(long, ["example.example"]))
        self.assertEqual(("web.a", "web"), candidates("web", ["a", "a"]))
