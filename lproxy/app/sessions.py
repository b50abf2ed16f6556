# -*- test-case-name: tests.app.test_sessions -*-
"""
The proxy's live sessions: what is shown, and what a shutdown waits for.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed

from lproxy.protocols.runtime import Session


class Sessions:
    """A set that can be waited upon to become empty."""

    def __init__(self) -> None:
        self._live: dict[Session, None] = {}
        self._waiting: list[Deferred[None]] = []
        self.draining = False

    def __len__(self) -> int:
        return len(self._live)

    def add(self, session: Session) -> None:
        """It has begun."""
        self._live[session] = None
        if self.draining:
            session.drain()

    def remove(self, session: Session) -> None:
        """It is over; harmless to be told twice."""
        self._live.pop(session, None)
        if not self._live:
            waiting, self._waiting = self._waiting, []
            for d in waiting:
                d.callback(None)

    def drain(self) -> Deferred[None]:
        """Ask all to finish; fires when none is left."""
        self.draining = True
        for session in list(self._live):
            session.drain()
        if not self._live:
            return succeed(None)
        d: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(d)
        return d

    def abort(self) -> None:
        """End all, now."""
        for session in list(self._live):
            session.abort()

    def describe(self, limit: int = 1_000) -> list[dict[str, Any]]:
        """Rows of C{/connections}: the oldest C{limit}."""
        rows: list[dict[str, Any]] = []
        for session in self._live:
            if len(rows) >= limit:
                break
            rows.append(session.describe())
        return rows
