# -*- test-case-name: tests.test_verdict -*-
"""
Tests for L{lproxy.verdict}.
"""

from __future__ import annotations

import dataclasses

from twisted.trial.unittest import SynchronousTestCase

from lproxy.verdict import Match, NeedMore, NoMatch


class VerdictTests(SynchronousTestCase):
    """What a detector may say."""

    def test_values(self) -> None:
        """Answers are values: equal where they say the same, hashable, and never changed."""
        for verdict, other in ((Match("HTTP/1"), Match("HTTP/2")), (NeedMore(3), NeedMore(4)), (NoMatch(), Match())):
            self.assertEqual(verdict, dataclasses.replace(verdict))
            self.assertEqual(hash(verdict), hash(dataclasses.replace(verdict)))
            self.assertNotEqual(verdict, other)
            self.assertRaises(Exception, setattr, verdict, "variant", "x")

    def test_defaults(self) -> None:
        """A match can be spoken unless it says otherwise; more is at least a byte."""
        self.assertEqual((True, "", 1), (Match().spoken, Match().variant, NeedMore().at_least))
