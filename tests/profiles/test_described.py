# -*- test-case-name: tests.profiles.test_described -*-
"""
Values of what documents describe.
"""

from __future__ import annotations

from lproxy.profiles.described import OfRoutes, OfService
from lproxy.profiles.read import Within, read
from tests.profiles.case import HTTP, SP, PagesTestCase
from tests.profiles.test_linkerd import EVERYTHING


class DescribedTests(PagesTestCase):
    def test_same(self) -> None:
        """What is read twice is the same, and what says something else is not: so it is known what has changed."""
        for text, kind in ((EVERYTHING, OfService), (HTTP + "  rules: [{}]\n", OfRoutes)):
            first, second = (read("f", text.encode(), Within()).described for _ in range(2))
            self.assertEqual((first, [kind]), (second, [type(one) for one in first]))
            self.assertEqual(hash(first), hash(second))
        self.assertNotEqual(self.all_of(SP + "  routes: []\n"), self.all_of(EVERYTHING))
