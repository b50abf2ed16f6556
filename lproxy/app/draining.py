# -*- test-case-name: tests.app.test_draining -*-
"""
What a process still does whose place another one has: told to that one while it drains, for its admin server's page.

Whoever drains answers at an abstract UNIX socket that is named after the admin server's address, which both have. So
the other one needs to know nothing of it beforehand, be it one process or a worker of several, and of any version.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed

from lproxy.app.workers.sibling import Answers, ask
from lproxy.protocols.taps import Taps
from lproxy.target import join_host_port
from lproxy.transport.stream import Address

#: what the sockets' names begin with
NAME: Final = "lproxy-drains-"
#: those that there are
SOCKETS: Final = Path("/proc/net/unix")
#: the one part that is asked for
PART: Final = "draining"
#: pages that show it
PAGES: Final = frozenset(("", "events", "overview.json"))

Row = dict[str, Any]


class Left(NamedTuple):
    """
    What is left to be done.

    @ivar connections: that are open
    @ivar in_flight: requests and streams
    """

    connections: int
    in_flight: int


#: what a row has
KEYS: Final = {"pid", "seconds", "within", *Left._fields}


class Draining:
    """
    Both sides of it.

    @ivar rows: of those that drain, as they were asked last: C{pid}, C{seconds} since when, C{within} how many of them
        it may take in all, and the parts of L{Left}
    """

    def __init__(self, left: Callable[[], Left], reactor: Any, sockets: Path = SOCKETS) -> None:
        """
        @param left: of this process
        @param sockets: has a line for each UNIX socket, with its name at the end
        """
        self._left = left
        self._reactor = reactor
        self._sockets = sockets
        self._port: Any = None
        self._began = self._within = 0.0
        self.rows: list[Row] = []

    def begin(self, admin: Address, within: float) -> None:
        """
        Another process has our place, that of the admin server at C{admin} included: answer it.

        @param within: seconds that draining may take
        """
        self._began, self._within = self._reactor.seconds(), within
        answers = Answers({PART: self._tell}, Taps(), self._reactor)
        self._port = self._reactor.listenUNIX(f"\0{NAME}{join_host_port(*admin)}-{os.getpid()}", answers)

    def stop(self) -> Deferred[Any]:
        """It is over; harmless where it never began."""
        port, self._port = self._port, None
        return maybeDeferred(port.stopListening) if port is not None else succeed(None)

    def _tell(self) -> Row:
        seconds = round(self._reactor.seconds() - self._began, 3)
        return {"pid": os.getpid(), "seconds": seconds, "within": self._within, **self._left()._asdict()}

    def look(self, page: str, admin: Address | None) -> Deferred[None]:
        """Ask those that drain, for C{page} of the admin server at C{admin}; fires when L{rows} are of now."""
        names = self._names(admin) if page in PAGES and admin is not None else []
        if not names:
            self.rows = [] if page in PAGES else self.rows
            return succeed(None)
        asked = [Deferred.fromCoroutine(ask(name, (PART,), self._reactor)) for name in names]
        return DeferredList(asked, consumeErrors=True).addCallback(self._told)

    def _names(self, admin: Address | None) -> list[str]:
        assert admin is not None
        mine = f"@{NAME}{join_host_port(*admin)}-"
        try:
            lines = self._sockets.read_text("utf-8", "replace").splitlines()
        except OSError:
            # no such system, or we are not shown it
            return []
        # one that is connected has a line for each end
        return sorted({name[1:] for line in lines if (name := line.rpartition(" ")[2]).startswith(mine)})

    def _told(self, answers: list[tuple[bool, Any]]) -> None:
        # one that does not answer has ended meanwhile
        rows = [told.get(PART) for well, told in answers if well]
        self.rows = [row for row in rows if isinstance(row, dict) and row.keys() >= KEYS]
