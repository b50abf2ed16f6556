# -*- test-case-name: tests.supervise.test_how -*-
"""
Tests for L{lproxy.supervise.how}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise.how import how


class HowTests(SynchronousTestCase):
    """How a process ended."""

    def test_words(self) -> None:
        """Statuses, signals, and signals without a name."""
        self.assertEqual("ended with status 3", how(3))
        self.assertEqual("was killed by SIGSEGV", how(-11))
        self.assertEqual("was killed by signal 40", how(-40))
