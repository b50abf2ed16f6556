# -*- test-case-name: tests.test_balancing -*-
"""
Tests for L{lproxy.balancing}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.balancing import DEFAULT, HealthCheck, Place, place


class ValueTests(SynchronousTestCase):
    """The values."""

    def test_place(self) -> None:
        """An address alone is an endpoint like any other, of one part and of no zone."""
        self.assertEqual(Place("10.0.0.1:80", 1, ""), place("10.0.0.1:80"))
        weighty = Place("10.0.0.1:80", 3, "eu-1")
        self.assertIs(weighty, place(weighty))

    def test_expects(self) -> None:
        """Answers of success and redirects are good ones, unless others are named."""
        check = HealthCheck()
        self.assertEqual([True, True, True, False, False], [check.expects(n) for n in (200, 204, 302, 404, 503)])
        check = HealthCheck(expect=((200, 200), (429, 430)))
        self.assertEqual([True, False, True, True, False], [check.expects(n) for n in (200, 201, 429, 430, 431)])

    def test_nothing_said(self) -> None:
        """Where nobody says anything, no answers put an endpoint aside, nothing is eased in and nobody is asked."""
        self.assertEqual(
            (None, 0, None, None), (DEFAULT.failure_ratio, DEFAULT.max_failures, DEFAULT.slow_start, DEFAULT.check)
        )
