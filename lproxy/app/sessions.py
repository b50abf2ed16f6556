# -*- test-case-name: tests.app.test_sessions -*-
"""
An assembly's live sessions: who begins, what is shown, and what its retirement waits for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from lproxy.app import trace
from lproxy.protocols.outward import Crashed
from lproxy.protocols.runtime import whereabouts
from lproxy.protocols.session import Session
from lproxy.transport.stream import Secured, Stream

#: seconds for which a session may outlive its client's connection, until it is told to end
OVERDUE = 120.0


class NeverOver(Exception):
    """A session's connection has long ended, and it has not said that it is over (C{runtime.sessions.remove})."""


def _row(row: Any) -> dict[str, Any]:
    """C{row}, as a session describes itself; raises TypeError where it cannot be shown."""
    if not isinstance(row, dict) or not _is_json(row):
        raise TypeError(f"describe() does not return a dict of JSON values: {row!r:.200}")
    return row


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(one) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_json(one) for one in value)
    return value is None or isinstance(value, (str, int, float))


def _secured(tls: Secured | None) -> dict[str, str]:
    """What a row says of TLS, and of who is at both ends; empty where there is none."""
    if tls is None:
        return {}
    return {
        "tls": tls.version,
        "sni": tls.sni,
        "remote_identity": tls.remote_identity,
        "local_identity": tls.local_identity,
    }


class _Place(NamedTuple):
    """Who is to blame for what a session raises, and what it costs."""

    protocol: str
    stream: Stream
    listener: str

    def where(self) -> str:
        return whereabouts(self.listener, self.stream)


class Sessions:
    """
    A set that can be waited upon to become empty.

    A connection changes hands in one step, so that the set never seems empty while one does. Whatever a session raises
    is told by its protocol's name and costs its connection; in C{describe}, its row.
    """

    def __init__(self, crashed: Crashed) -> None:
        """
        @param crashed: told of what a protocol's session raised
        """
        self._crashed = crashed
        self._live: dict[Session, _Place] = {}
        self._waiting: list[Deferred[None]] = []
        #: since when those have no connection any more whose turn to end has come
        self._closed: dict[Session, float] = {}
        self.draining = False

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._live))

    def begin(
        self, session: Session, protocol: str, stream: Stream, instead: Session | None = None, listener: str = ""
    ) -> None:
        """
        Enter C{session} and start it. It may be over when this returns.

        @param protocol: its protocol's name
        @param stream: its connection
        @param instead: whose place it takes
        @param listener: the name of the one that has accepted it
        """
        self._live[session] = _Place(protocol, stream, listener)
        if instead is not None:
            self._live.pop(instead, None)
        stream.on_crash = partial(self._broken, session, protocol)
        self._call(session, session.start)
        # not before it is started, which no session expects
        if self.draining:
            self._call(session, session.drain)

    def replace(self, old: Session, new: Session) -> None:
        """C{old} hands its connection over to C{new}, which is started; raises KeyError where C{old} is over."""
        protocol, stream, listener = self._live[old]
        self.begin(new, protocol, stream, old, listener)

    def remove(self, session: Session) -> None:
        """It is over; harmless to be told twice."""
        place = self._live.pop(session, None)
        if place is not None:
            trace.over(place.listener, place.stream, place.protocol)
        if not self._live:
            waiting, self._waiting = self._waiting, []
            for d in waiting:
                d.callback(None)

    def drain(self) -> None:
        """Ask all, and those that come, to finish."""
        self.draining = True
        for session in self:
            self._call(session, session.drain)

    def abort(self) -> None:
        """End all, now."""
        for session in self:
            self._call(session, session.abort)

    def count(self) -> Counter[str]:
        """How many there are, by protocol."""
        return Counter(place.protocol for place in self._live.values())

    def spoken(self) -> Counter[tuple[str, str]]:
        """The same, by listener and protocol."""
        return Counter((place.listener, place.protocol) for place in self._live.values())

    def look(self, now: float) -> None:
        """
        Now and then: end those whose connections have ended for L{OVERDUE}, and forget those that do not end even then.

        @param now: seconds
        """
        before, self._closed = self._closed, {}
        for session, place in list(self._live.items()):
            if not place.stream.closed:
                continue
            since = before.get(session, now)
            if now - since < OVERDUE:
                self._closed[session] = since
                continue
            self._call(session, session.abort)
            if session in self._live:
                self._broken(session, place.protocol, Failure(NeverOver(f"{session!r:.200}")))

    def empty(self) -> Deferred[None]:
        """Fires when none is left; may be cancelled."""
        if not self._live:
            return succeed(None)
        d: Deferred[None] = Deferred(self._forget)
        self._waiting.append(d)
        return d

    def describe(self, limit: int = 1_000) -> list[dict[str, Any]]:
        """Rows of C{/connections}: the oldest C{limit}."""
        rows: list[dict[str, Any]] = []
        for session, place in list(self._live.items())[:limit]:
            try:
                rows.append({**_row(session.describe()), **_secured(place.stream.conn.tls)})
            except BaseException:
                self._crashed(place.protocol, Failure(), place.where())
        return rows

    def _forget(self, d: Deferred[None]) -> None:
        if d in self._waiting:
            self._waiting.remove(d)

    def _call(self, session: Session, step: Callable[[], None]) -> None:
        place = self._live.get(session)
        if place is None:
            return  # over meanwhile
        try:
            step()
        except BaseException:
            self._broken(session, place.protocol, Failure())
            place.stream.abort()

    def _broken(self, session: Session, protocol: str, failure: Failure) -> None:
        """It raised, here or as its stream's reader: it may never say by itself that it is over."""
        place = self._live.get(session)
        self._crashed(protocol, failure, place.where() if place is not None else "")
        self.remove(session)
