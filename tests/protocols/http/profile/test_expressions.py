# -*- test-case-name: tests.protocols.http.profile.test_expressions -*-
"""
L{lproxy.protocols.http.profile.expressions}: regular expressions, one and many.
"""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.profile.expressions import Expressions


class ExpressionsTests(SynchronousTestCase):
    """Many expressions at once."""

    patterns = ("/a/[^/]+", "/a/b", "/c", "/[a-z]/.*", "(?i)/A/B")

    def test_together(self) -> None:
        """All that match are found."""
        found = Expressions(self.patterns).all_that_match(b"/a/b")
        self.assertEqual({0, 1, 3, 4}, set(found) & set(range(5)))

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
