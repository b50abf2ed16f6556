# -*- test-case-name: tests.app.test_sessions -*-
"""
Tests for L{lproxy.app.sessions}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.sessions import Sessions


class FakeSession:
    """
    Remembers.

    @ivar sessions: where it is removed from when told to C{drain}, if at all
    """

    def __init__(self, name: str = "", sessions: Sessions | None = None) -> None:
        self.name = name
        self.sessions = sessions
        self.calls: list[str] = []

    def drain(self) -> None:
        self.calls.append("drain")
        if self.sessions is not None:
            self.sessions.remove(self)

    def abort(self) -> None:
        self.calls.append("abort")

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}


class SessionsTests(SynchronousTestCase):
    """Who is live, and what a shutdown waits for."""

    def setUp(self) -> None:
        self.sessions = Sessions()

    def add(self, *names: str) -> list[FakeSession]:
        sessions = [FakeSession(name) for name in names]
        for session in sessions:
            self.sessions.add(session)
        return sessions

    def test_live(self) -> None:
        """From add to remove; a second remove is harmless."""
        a, b = self.add("a", "b")
        self.assertEqual(2, len(self.sessions))
        self.sessions.remove(a)
        self.sessions.remove(a)
        self.assertEqual([{"name": "b"}], self.sessions.describe())
        self.assertEqual([], b.calls)

    def test_bounded(self) -> None:
        """Of very many the oldest are shown."""
        self.add("a", "b", "c")
        self.assertEqual([{"name": "a"}, {"name": "b"}], self.sessions.describe(limit=2))

    def test_drain(self) -> None:
        """All are told once, and it is over when the last has ended."""
        a, b = self.add("a", "b")
        d = self.sessions.drain()
        self.assertEqual([["drain"], ["drain"]], [a.calls, b.calls])
        self.sessions.remove(a)
        self.assertNoResult(d)
        self.sessions.remove(b)
        self.assertIsNone(self.successResultOf(d))

    def test_nobody(self) -> None:
        """With nobody there it is over at once."""
        self.assertIsNone(self.successResultOf(self.sessions.drain()))

    def test_at_once(self) -> None:
        """Also where all end within the call."""
        for name in "ab":
            self.sessions.add(FakeSession(name, self.sessions))
        self.assertIsNone(self.successResultOf(self.sessions.drain()))

    def test_latecomer(self) -> None:
        """Whoever begins during a drain is told, and waited for."""
        (a,) = self.add("a")
        d = self.sessions.drain()
        (late,) = self.add("late")
        self.assertEqual(["drain"], late.calls)
        self.sessions.remove(a)
        self.assertNoResult(d)
        self.sessions.remove(late)
        self.assertIsNone(self.successResultOf(d))

    def test_again(self) -> None:
        """Whoever else waits is told, too; whoever does not any more is not."""
        (a,) = self.add("a")
        first, second = self.sessions.drain(), self.sessions.drain()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.sessions.remove(a)
        self.assertIsNone(self.successResultOf(second))

    def test_abort(self) -> None:
        """All are ended."""
        a, b = self.add("a", "b")
        self.sessions.abort()
        self.assertEqual([["abort"], ["abort"]], [a.calls, b.calls])
