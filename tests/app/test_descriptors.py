# -*- test-case-name: tests.app.test_descriptors -*-
"""
Tests for L{lproxy.app.descriptors}.
"""

from __future__ import annotations

import resource

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import descriptors


class LimitTests(SynchronousTestCase):
    """What the process has."""

    def limits(self, soft: int, hard: int, refuse: bool = False) -> list[tuple[int, int]]:
        """Be a process with these limits; what it asks for is returned."""
        asked: list[tuple[int, int]] = []

        def setrlimit(kind: int, limits: tuple[int, int]) -> None:
            if refuse:
                raise ValueError("not allowed")
            asked.append(limits)

        self.patch(resource, "getrlimit", lambda kind: (soft, hard))
        self.patch(resource, "setrlimit", setrlimit)
        return asked

    def test_raised(self) -> None:
        """The soft limit is raised to the hard one, and not beyond."""
        asked = self.limits(1024, 20000)
        self.assertEqual(20000, descriptors.raise_limit())
        self.assertEqual([(20000, 20000)], asked)

    def test_as_it_is(self) -> None:
        """What is at its limit, has no hard one, or must not be raised, stays."""
        for soft, hard, refuse in ((512, 512, False), (4096, resource.RLIM_INFINITY, False), (256, 999, True)):
            asked = self.limits(soft, hard, refuse)
            self.assertEqual(soft, descriptors.raise_limit())
            self.assertEqual([], asked)

    def test_clients(self) -> None:
        """A quarter is left to upstreams, besides what is kept for what is neither; there is always a client."""
        for available, most in ((64, 24), (1024, 744), (20_001, 14_977)):
            self.assertEqual(most, descriptors.most_clients(available))
        self.assertEqual(1, descriptors.most_clients(3))

    def test_allowed(self) -> None:
        """As many as are wanted, as far as there are descriptors for them; where that is less, the log says why."""
        self.limits(1024, 1024)
        self.assertEqual(100, descriptors.allowed(100))
        with capturedLogs() as lines:
            self.assertEqual(descriptors.most_clients(1024), descriptors.allowed(10_000))
        self.assertEqual(
            [
                "limits.connections = 10000 cannot be had with 1024 descriptors (ulimit -n, LimitNOFILE): "
                "744 clients at most, the others are for upstreams"
            ],
            [formatEvent(line) for line in lines],
        )
