# -*- test-case-name: tests.identity.test_sessions -*-
"""
TLS sessions that servers gave to their client, to be gone on with.

They are a context's own. With other certificates or anchors comes another context, which begins with full handshakes;
one that goes on, over a reload, too, goes on with its sessions.
"""

from __future__ import annotations

from typing import Final

from OpenSSL import SSL

from lproxy.identity.verification import Peer
from lproxy.target import Endpoint, Secure

#: sessions that are kept, one for each endpoint and way to secure it
KEPT: Final = 1_000

Key = tuple[Endpoint, Secure]


class Kept:
    """
    A session, and whose it is: what a full handshake has found out, which one that resumes it does not ask again.

    @ivar connection: the latest that is open: tickets come when they like, so it is asked when one is needed
    @ivar until: when what was verified expires, in seconds since 1970
    """

    __slots__ = ("connection", "identity", "session", "until")

    def __init__(self, identity: str, until: float) -> None:
        self.identity = identity
        self.until = until
        self.connection: SSL.Connection | None = None
        self.session: SSL.Session | None = None


class Sessions:
    """
    Those of one context.

    None outlives what was verified: when the first of the certificates expires, it is of no use.
    """

    def __init__(self, limit: int = KEPT) -> None:
        """
        @param limit: how many are kept: those of the connections that were made last
        """
        self._limit = limit
        self._kept: dict[Key, Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Key, now: float) -> Kept | None:
        """
        What to go on with.

        @param now: the time of day, in seconds since 1970: what certificates go by
        """
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until <= now:
            del self._kept[key]
            return None
        if kept.connection is not None:
            kept.session = kept.connection.get_session()
        return kept

    def opened(self, key: Key, connection: SSL.Connection, resumed: bool) -> None:
        """C{connection} has done its handshake; what it is given from now on is better than what there is."""
        before = self._kept.pop(key, None)
        if before is not None and resumed:
            kept = before
        else:
            peer: Peer = connection.get_app_data()
            kept = Kept(peer.identity, peer.until)
        kept.connection = connection
        kept.session = None
        if len(self._kept) >= self._limit:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = kept

    def closed(self, key: Key, connection: SSL.Connection) -> None:
        """C{connection} is closed: what it has last been given is kept, and nothing else of it."""
        kept = self._kept.get(key)
        if kept is not None and kept.connection is connection:
            kept.session = connection.get_session()
            kept.connection = None

    def forget(self, key: Key) -> None:
        """Begin anew."""
        self._kept.pop(key, None)
