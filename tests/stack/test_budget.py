# -*- test-case-name: tests.stack.test_budget -*-
"""
Tests for L{lproxy.stack.budget}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import RetryBudget
from lproxy.stack.budget import MOST, Budget, Budgets
from lproxy.target import Authority, ServiceName, Split, Target

TARGET = Authority("web.local", 80)
OTHER = Authority("other.local", 80)


class BudgetTests(SynchronousTestCase):
    """A fifth of the requests of the last ten seconds, and ten a second."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e6 + 0.03)
        self.budget = Budget(RetryBudget(), self.clock)

    def drawn(self) -> int:
        """How many there may be at this moment."""
        left, n = self.budget.left, 0
        while self.budget.withdraw():
            n += 1
        self.assertEqual(left, n)
        return n

    def test_few(self) -> None:
        """Without requests there are ten a second, which are not saved up."""
        self.assertEqual(10, self.drawn())
        self.clock.advance(0.5)
        self.assertEqual(5, self.drawn())
        self.clock.advance(60.0)
        self.assertEqual(10, self.drawn())

    def test_ratio(self) -> None:
        """A fifth of the requests besides."""
        self.budget.requests += 100
        self.assertEqual(30, self.drawn())
        self.budget.requests += 4
        self.assertEqual(0, self.drawn())
        self.budget.requests += 1
        self.assertEqual(1, self.drawn())

    def test_forgotten(self) -> None:
        """Requests count for ten seconds; what was drawn is held against later ones as long."""
        self.drawn()
        self.budget.requests += 1000
        self.clock.advance(1.0)
        self.assertEqual(210, self.drawn())
        self.clock.advance(11.0)
        self.assertEqual(10, self.drawn())
        self.budget.requests += 100
        self.clock.advance(0.125)
        self.assertEqual(21, self.drawn())

    def test_total_failure(self) -> None:
        """
        Where all fails for a minute, the retries are a fifth of the requests and ten a second: whatever the rate, in
        all of it, and in any ten seconds.
        """
        for rate in (1, 20, 500):
            budget = Budget(RetryBudget(), self.clock)
            retries = []
            for second in range(60):
                retries.append(0)
                for _ in range(rate):
                    self.clock.advance(1.0 / rate)
                    budget.requests += 1
                    while retries[-1] < 3 * rate * (second + 1) and budget.withdraw():
                        retries[-1] += 1
            for first in range(51):
                self.assertLessEqual(sum(retries[first : first + 10]), 0.2 * rate * 11 + 110, (rate, first))
            self.assertLessEqual(sum(retries), 0.2 * rate * 60 + 10 * 61)
            if rate > 20:
                self.assertGreater(sum(retries), 0.18 * rate * 60 + 10 * 55)

    def test_after_long(self) -> None:
        """After an hour of traffic without failures, the requests of the last ten seconds count."""
        self.budget.requests += 3600 * 100
        self.clock.advance(3600.0)
        self.assertEqual(200 + 10, self.drawn())

    def test_clock_set_back(self) -> None:
        """A clock that jumps back takes nothing away for long."""
        self.budget.requests += 100
        self.clock.rightNow -= 1000.0
        self.assertEqual(30, self.drawn())
        self.clock.advance(1.0)
        self.assertEqual(10, self.drawn())

    def test_none(self) -> None:
        """One of nothing allows nothing; one of little is not rounded away."""
        self.budget = Budget(RetryBudget(0.0, 0.0), self.clock)
        self.budget.requests += 100
        self.assertEqual(0, self.drawn())
        self.budget = Budget(RetryBudget(0.0, 0.5), self.clock)
        self.assertEqual(1, self.drawn())
        self.clock.advance(2.0)
        self.assertEqual(1, self.drawn())

    def test_change(self) -> None:
        """Other settings hold at once, and what was asked and drawn stays."""
        self.budget.requests += 100
        self.drawn()
        self.budget.change(RetryBudget(0.5, 0.0))
        self.assertEqual(30, self.drawn())
        self.budget.change(RetryBudget(0.5, 0.0))
        self.assertEqual(0, self.drawn())


class BudgetsTests(SynchronousTestCase):
    """One for each service."""

    def setUp(self) -> None:
        self.budgets = Budgets(Clock())

    def test_shared(self) -> None:
        """Whoever asks for a service gets the same, and so does a split of it."""
        budget = self.budgets.of(TARGET)
        self.assertIs(budget, self.budgets.of(TARGET))
        self.assertIs(budget, self.budgets.of(Split(TARGET, ((OTHER, 1),))))
        self.assertIs(budget, self.budgets.known(TARGET))
        self.assertIsNot(budget, self.budgets.of(OTHER))

    def test_by_service(self) -> None:
        """Targets that one service serves share it."""

        def served(target: Target) -> object:
            return "web"

        budgets = Budgets(Clock(), served)
        self.assertIs(budgets.of(TARGET), budgets.of(ServiceName("web")))

    def test_left(self) -> None:
        """What is left can be seen without making one."""
        self.assertIsNone(self.budgets.left(TARGET))
        self.budgets.of(TARGET, RetryBudget(0.0, 3.0))
        self.assertEqual(3, self.budgets.left(TARGET))

    def test_settings(self) -> None:
        """It is as who asks for it says; who tries again takes it as it is."""
        budget = self.budgets.of(TARGET, RetryBudget(0.0, 3.0))
        self.assertEqual(3, self.budgets.known(TARGET).left)
        self.budgets.of(TARGET)
        self.assertEqual(RetryBudget(), budget.settings)

    def test_parts(self) -> None:
        """Of several processes each has its part of the few a second, so that all together have no more than one."""
        clock = Clock()
        four = Budgets(clock, part=4)
        self.assertEqual(2, four.known(OTHER).left)
        self.assertEqual(RetryBudget(0.1, 25.0, 5.0), four.of(TARGET, RetryBudget(0.1, 100.0, 5.0)).settings)
        clock.advance(1.0)
        self.assertEqual(25, four.known(TARGET).left)

    def test_bounded(self) -> None:
        """As many are remembered as there may be services."""
        first = self.budgets.of(TARGET)
        for i in range(MOST):
            self.budgets.of(Authority(f"host{i}", 80))
        self.assertIsNot(first, self.budgets.of(TARGET))
