# -*- test-case-name: tests.app.test_readiness -*-
"""
Tests for L{lproxy.app.readiness}.
"""

from __future__ import annotations

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.readiness import Readiness


class ReadinessTests(SynchronousTestCase):
    """Protocols are asked."""

    def setUp(self) -> None:
        self.crashes: list[tuple[str, type[BaseException] | None]] = []
        self.readiness = Readiness(self.crashed)

    def crashed(self, protocol: str, failure: Failure, where: str = "") -> None:
        self.crashes.append((protocol, failure.type))

    def test_ready(self) -> None:
        """Without anybody to ask, or where all say so, it is ready."""
        self.assertIsNone(self.readiness.why_not())
        self.readiness.add("note", lambda: None)
        self.assertIsNone(self.readiness.why_not())

    def test_not_ready(self) -> None:
        """The first reason is told, with whose it is, on one line."""
        for protocol, reason in (("a", None), ("b", "no\nseed"), ("c", "nor me")):
            self.readiness.add(protocol, lambda reason=reason: reason)
        self.assertEqual("b: no?seed", self.readiness.why_not())

    def test_raises(self) -> None:
        """A source that raises is told of each time, and asked in vain: others decide."""

        def broken() -> None:
            raise SystemExit(1)

        self.readiness.add("a", broken)
        self.assertIsNone(self.readiness.why_not())
        self.readiness.add("b", lambda: "not yet")
        self.assertEqual("b: not yet", self.readiness.why_not())
        self.assertEqual([("a", SystemExit)] * 2, self.crashes)
