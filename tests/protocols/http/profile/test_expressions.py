# -*- test-case-name: tests.protocols.http.profile.test_expressions -*-
"""
L{lproxy.protocols.http.profile.expressions}: regular expressions, one and many.
"""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profiles.patterns import BadPattern
from lproxy.protocols.http.profile.expressions import MANY, Expressions


class ExpressionsTests(SynchronousTestCase):
    """Many expressions at once."""

    patterns = ("/a/[^/]+", "/a/b", "/c", "/[a-z]/.*", "(?i)/A/B")
    simple = ("/a/[^/]+", "/a/(b)", "/c|/d", "/[a-z](/.*)?", "^/a/b$")

    def test_together(self) -> None:
        """All that match are found, and the first of them, whichever engine does it."""
        for patterns in (self.patterns, self.simple, [*self.simple, *[f"/x{n}" for n in range(MANY)]]):
            found = Expressions(patterns)
            self.assertEqual([0, 1, 3, 4], sorted(found.all_that_match(b"/a/b")))
            self.assertEqual([3], found.all_that_match(b"/b/"))
            self.assertEqual([0, 3, -1], [found.first(text) for text in (b"/a/b", b"/b/", b"/B")])

    def test_first_of_many(self) -> None:
        """The first that matches is told from those that do not, whatever groups they have."""
        patterns = [f"/{n}(/a)?(/b)?" for n in range(MANY)]
        found = Expressions(patterns)
        for n in range(MANY):
            self.assertEqual(n, found.first(b"/%d/b" % n))

    def test_bad(self) -> None:
        """What is no pattern is refused."""
        self.assertRaises(BadPattern, Expressions(["/a", "("], most=0).first, b"/a")

    def test_out_of_memory(self) -> None:
        """Where one machine for all is too large, or becomes it, each is tried by itself."""
        self.assertEqual([0, 1, 3, 4], Expressions(self.patterns, most=0).all_that_match(b"/a/b"))
        one = Expressions(self.patterns)
        for failed in (None, [], [2]):
            one._set = partial(self.said, failed)
            self.assertEqual([0, 1, 3, 4], one.all_that_match(b"/a/b"))

    def said(self, found: list[int] | None, text: bytes) -> list[int] | None:
        """What a machine says that has run out of memory."""
        return found
