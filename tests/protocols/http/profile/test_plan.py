# -*- test-case-name: tests.protocols.http.profile.test_plan -*-
"""
L{lproxy.protocols.http.profile.plan}: what becomes of a route's requests.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import Route
from lproxy.protocols.http.profile.plan import Plan


class PlanTests(SynchronousTestCase):
    """What a route says, ready to be done."""

    def test_name(self) -> None:
        """It is known by its route's name."""
        plan = Plan(Route("GET /books"))
        self.assertEqual(("GET /books", "<Plan 'GET /books'>"), (plan.name, repr(plan)))
