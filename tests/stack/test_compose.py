# -*- test-case-name: tests.stack.test_compose -*-
"""
Tests for L{lproxy.stack.compose}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack import lock, timeout
from lproxy.stack.compose import find, stack
from lproxy.testing import ScriptedAcquire


class StackTests(SynchronousTestCase):
    """Layers, read downward."""

    def test_order(self) -> None:
        """The first is outermost."""

        def layer(name: str) -> Any:
            return lambda inner: f"{name}({inner})"

        self.assertEqual("a(b(c(bottom)))", stack(layer("a"), layer("b"), layer("c"))("bottom"))

    def test_none(self) -> None:
        """Without layers there is the bottom."""
        self.assertEqual("bottom", stack()("bottom"))

    def test_again(self) -> None:
        """One stack can be put on several bottoms."""
        built = stack(lambda inner: [inner])
        self.assertEqual(([1], [2]), (built(1), built(2)))


class FindTests(SynchronousTestCase):
    """A layer among others."""

    def test_found(self) -> None:
        """By its type, wherever it is, the outermost included."""
        bottom = ScriptedAcquire()
        built = stack(timeout.layer(1.0, Clock()), lock.layer(Clock()))(bottom)
        self.assertIs(built, find(built, timeout.Timeout))
        self.assertIs(built.inner, find(built, lock.Lock))
        self.assertIs(bottom, find(built, ScriptedAcquire))

    def test_missing(self) -> None:
        """What is not there is named."""
        error = self.assertRaises(LookupError, find, lock.layer(Clock())(ScriptedAcquire()), timeout.Timeout)
        self.assertIn("Timeout", str(error))
