# -*- test-case-name: tests.identity.test_in_use -*-
"""
Contexts that somebody has, by what they are made of.

Who wants one that is made of the same, and is for the same, has the very one: also the next configuration, after a
reload. With it go the keys of tickets that clients were given, and the sessions that servers gave: nobody pays for a
full handshake because something else has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakValueDictionary

from lproxy.identity.contexts import Context

#: how long the keys of tickets are used; whoever comes with an older ticket does a full handshake
TICKET_KEYS: Final = timedelta(hours=8)


class InUse:
    """Those of a process, each for as long as somebody has it."""

    def __init__(self) -> None:
        self._made: WeakValueDictionary[tuple[Hashable, Hashable], Context] = WeakValueDictionary()

    def __repr__(self) -> str:
        return f"<InUse {len(self._made)} contexts>"

    def get(self, made_of: Hashable, key: Hashable, build: Callable[[], Context], now: datetime) -> Context:
        """
        What C{build} makes, or has made for somebody else.

        @param made_of: what tells those apart that it is made of
        @param key: what it is for
        """
        found = self._made.get((made_of, key))
        if found is None or too_old(found, now):
            found = self._made[made_of, key] = replace(build(), since=now)
        return found

    def all_of(self, made_of: Hashable) -> dict[Hashable, Context]:
        """Whatever there is of that, by what it is for: to be kept, until somebody asks for it."""
        return {key: one for (of, key), one in self._made.items() if of == made_of}


def too_old(context: Context, now: datetime) -> bool:
    """Whether another is to take its place, if only for other keys of tickets."""
    return context.since is not None and now - context.since > TICKET_KEYS
