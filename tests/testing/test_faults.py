# -*- test-case-name: tests.testing.test_faults -*-
"""
Tests for L{lproxy.testing.faults}.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing.faults import Fault, Faults


class Steps:
    """What it does it remembers."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def first(self) -> None:
        self.done.append("first")
        self.second()

    def second(self) -> None:
        self.done.append("second")

    def result(self) -> int:
        return 7

    def several(self) -> Iterator[int]:
        yield 1


class FaultsTests(SynchronousTestCase):
    """Each function in turn."""

    def test_steps(self) -> None:
        """What returns nothing is a step, as it returns; what has a result, is made or is a generator is none."""
        before = sys.gettrace()
        faults = Faults(__name__)
        with faults.injected():
            steps = Steps()
            steps.first()
            steps.result()
            list(steps.several())
        self.assertEqual(["Steps.second", "Steps.first"], faults.steps)
        self.assertIs(before, sys.gettrace())

    def test_raises(self) -> None:
        """One raises, when it has done its work."""
        for at, done in ((0, ["first", "second"]), (1, ["first", "second"])):
            steps = Steps()
            with self.assertRaises(Fault), Faults(__name__, at).injected():
                steps.first()
            self.assertEqual(done, steps.done)

    def test_elsewhere(self) -> None:
        """In other modules nothing does."""
        faults = Faults("lproxy.protocols", 0)
        with faults.injected():
            Steps().first()
        self.assertEqual([], faults.steps)
