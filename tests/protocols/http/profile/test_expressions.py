# -*- test-case-name: tests.protocols.http.profile.test_expressions -*-
"""
L{lproxy.protocols.http.profile.expressions}: regular expressions, one and many.
"""

from __future__ import annotations

from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.profile import expressions
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
        with patch.object(expressions, "LEAST_MEMORY", 1), patch.object(expressions, "MOST_MEMORY", 0):
            self.assertEqual([0, 1, 3, 4], Expressions(self.patterns).all_that_match(b"/a/b"))
        one = Expressions(self.patterns)
        for failed in (None, [], [2]):
            with patch.object(one, "_set", lambda text, failed=failed: failed):
                self.assertEqual([0, 1, 3, 4], one.all_that_match(b"/a/b"))
