# -*- test-case-name: tests.app.workers.test_tapped -*-
"""
What ends in any of several workers, for whoever reads C{/tap} of one of them.

Each of the others filters, and keeps to the limit of lines a second, before it tells us; the reader's own limit is for
the sum, and what was left out anywhere is counted in the next line. Where nobody reads, nobody is asked.
"""

from __future__ import annotations

import json
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from lproxy.admin.tapping import Reader
from lproxy.app.workers.sibling import PATIENCE, hear
from lproxy.app.workers.worker import Worker
from lproxy.protocols.taps import Row, Taps

#: seconds between two looks whether there are workers that are not heard yet: others start in the place of some
LOOK: Final = 1.0


class Tapped:
    """
    The taps of all workers.

    @param taps: of this one
    """

    def __init__(self, taps: Taps, worker: Worker, reactor: Any) -> None:
        self._taps = taps
        self._worker = worker
        self._reactor = reactor
        self._watches: dict[Reader, Watch] = {}

    def __repr__(self) -> str:
        return f"<Tapped {len(self._watches)}>"

    def add(self, reader: Reader, /) -> None:
        """Have it told of all that is over from now on."""
        watch = self._watches[reader] = Watch(reader, self._worker, self._reactor)
        self._taps.add(watch.own)
        watch.look()

    def remove(self, reader: Reader, /) -> None:
        """It is told no more; harmless to be done twice."""
        watch = self._watches.pop(reader, None)
        if watch is not None:
            self._taps.remove(watch.own)
            watch.stop()

    def stop(self) -> None:
        """Tell nobody any more."""
        for reader in list(self._watches):
            self.remove(reader)


class Watch:
    """One reader, and the other workers that it hears."""

    def __init__(self, reader: Reader, worker: Worker, reactor: Any) -> None:
        self._reader = reader
        self._worker = worker
        self._reactor = reactor
        self._index = worker.portion.index
        self._timer: IDelayedCall | None = None
        self._stopped = False
        #: connections to others, those under way included, by where they answer
        self._heard: dict[str, Deferred[None]] = {}

    def __repr__(self) -> str:
        return f"<Watch of {self._index} and {len(self._heard)} others>"

    def own(self, row: Row) -> None:
        """Something is over here."""
        self._reader({"worker": self._index, **row})

    def look(self) -> None:
        """Hear those that are not heard yet, and look again later."""
        self._timer = self._reactor.callLater(LOOK, self.look)
        answer = self._worker.ask({"do": "table"}).addTimeout(PATIENCE, self._reactor)
        # without a supervisor there are no new ones
        answer.addCallbacks(self._told, lambda _: None)

    def stop(self) -> None:
        """The reader is gone."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for heard in list(self._heard.values()):
            heard.cancel()

    def _told(self, answer: dict[str, Any]) -> None:
        for row in answer["workers"]:
            at = row["at"]
            if self._stopped or row["worker"] == self._index or not at or at in self._heard:
                continue
            question = "tap " + json.dumps(dict(self._reader.wanted))
            heard = self._heard[at] = Deferred.fromCoroutine(self._hear(row["worker"], at, question))
            heard.addErrback(lambda _: None)
            if heard.called:
                self._heard.pop(at, None)

    async def _hear(self, index: int, at: str, question: str) -> None:
        """Until it ends, or does not even answer: the next look tries again."""
        try:
            await hear(at, question, lambda row: self._reader.passed({"worker": index, **row}), self._reactor)
        finally:
            self._heard.pop(at, None)
