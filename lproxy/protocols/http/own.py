# -*- test-case-name: tests.protocols.http.test_own -*-
"""
Upstream connections that belong to one client's connection.

NTLM and Negotiate authenticate connections, not requests (RFC 4559, 6): whatever comes on such a connection is answered
as if that client had asked. So nobody else ever gets it: from the request that carried credentials of that kind, or the
answer that demanded some, it serves that client alone, and ends with it.
"""

from __future__ import annotations

from typing import Final

from lproxy.protocols.http.streams import HttpLease, Kept
from lproxy.target import Target

#: connections that one client may have to itself: no limit on requests in flight counts them between requests
MOST: Final = 16


class Own:
    """Those of one client, at most one for each target, the one that was used last at the end."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[Target, Kept] = {}

    def __repr__(self) -> str:
        return f"<Own {', '.join(map(str, self._kept))}>"

    def lease(self, target: Target) -> HttpLease | None:
        """On the client's own connection to C{target}, where there is one that lives."""
        kept = self._kept.pop(target, None)
        return kept.lease() if kept is not None else None

    def keep(self, target: Target, kept: Kept) -> None:
        """This is the one to C{target} from now on. Over L{MOST}, the one least lately used goes."""
        before = self._kept.pop(target, None)
        if before is None and len(self._kept) >= MOST:
            before = self._kept.pop(next(iter(self._kept)))
        if before is not None:
            before.close()
        self._kept[target] = kept

    def close(self) -> None:
        """The client is gone."""
        while self._kept:
            self._kept.popitem()[1].close()


def kept(own: Own | None, target: Target, lease: HttpLease) -> Own | None:
    """What a client has of its own once the connection of C{lease}, to C{target}, is kept for it alone."""
    connection = lease.keep()
    if connection is None:
        return own
    if own is None:
        own = Own()
    own.keep(target, connection)
    return own
