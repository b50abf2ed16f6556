# -*- test-case-name: tests.protocols.http.profile.test_versions -*-
"""
L{lproxy.protocols.http.profile.versions}: backends that are spoken to in different versions.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Hint
from lproxy.profile import RetryBudget
from lproxy.protocols.http.profile.versions import Part, Versions
from lproxy.protocols.http.streams import UpstreamLost
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.failfast import FailedFast
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority, Endpoint, Split
from lproxy.testing import ScriptedAcquire

A, B = Authority("a.test", 80), Authority("b.test", 80)
SPLIT = Split(Authority("web.test", 80), ((A, 1), (B, 3)))


class VersionsTests(SynchronousTestCase):
    """Two backends, each in a stack of its own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.chance = 0.0
        self.a, self.b = ScriptedAcquire(), ScriptedAcquire()
        parts: list[object] = [Part(A, 1, self.a), Part(B, 3, self.b)]  # type: ignore[arg-type]
        self.budget = self.a.budget(SPLIT, RetryBudget(0.0, 1.0))
        self.stack = Versions(parts, lambda: self.chance, 3.0, self.clock, self.budget)  # type: ignore[arg-type]

    def test_ready(self) -> None:
        """A backend's part is as large as its weight, whoever is ready; who waits asks the same."""
        for chance, stack, target in ((0.2, self.a, A), (0.3, self.b, B), (0.9, self.b, B)):
            self.chance = chance
            lease = stack.lease()
            stack.warm.append(lease)
            self.assertIs(lease, self.stack.try_acquire(SPLIT))
            self.assertEqual(target, stack.tried[-1])
        self.chance = 0.2
        self.assertIsNone(self.stack.try_acquire(SPLIT))
        self.chance = 0.9
        waiting = self.stack.acquire(SPLIT)
        self.assertEqual([A], self.a.calls)
        self.assertIs(self.a.answer(), self.successResultOf(waiting))

    def test_other(self) -> None:
        """Where one cannot be had it is the other; if that neither, why is told."""
        waiting = self.stack.acquire(SPLIT)
        self.a.fail(FailedFast(A, 1.0))
        self.assertIs(self.b.answer(), self.successResultOf(waiting))
        waiting = self.stack.acquire(SPLIT)
        self.a.fail(FailedFast(A, 1.0))
        self.b.fail(FailedFast(B, 1.0))
        self.assertEqual(B, self.failureResultOf(waiting, FailedFast).value.target)

    def test_shed(self) -> None:
        """What was refused to spare somebody asks nobody else."""
        waiting = self.stack.acquire(SPLIT)
        self.a.fail(TooManyInFlight(A, 1))
        self.failureResultOf(waiting, TooManyInFlight)
        self.assertEqual([], self.b.calls)

    def test_time(self) -> None:
        """Both together have the time of one acquisition."""
        waiting = self.stack.acquire(SPLIT)
        self.clock.advance(2.0)
        self.a.fail(FailedFast(A, 1.0))
        self.clock.advance(1.1)
        self.failureResultOf(waiting, AcquireTimedOut)
        self.assertEqual(([B], 0), (self.b.cancelled, self.b.waiting))

    def test_key(self) -> None:
        """Who is known is served by the same backend, whatever the chance."""
        for key in (b"x", b"y", b"z"):
            asked = set()
            for self.chance in (0.0, 0.5, 0.99):
                before = len(self.a.tried)
                self.stack.try_acquire(SPLIT, Hint(key))
                asked.add(len(self.a.tried) > before)
            self.assertEqual(1, len(asked))

    def test_again(self) -> None:
        """Another try draws on the budget of both together, unless nothing was sent."""
        error = UpstreamLost(Endpoint("10.0.0.9", 9000), "", "without an answer")
        self.assertFalse(self.stack.again(SPLIT, error).called)
        self.failureResultOf(self.stack.again(SPLIT, error), UpstreamLost)
        error.unsent = True
        self.assertFalse(self.stack.again(SPLIT, error).called)
        self.assertIs(self.budget, self.stack.budget(SPLIT))
