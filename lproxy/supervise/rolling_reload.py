# -*- test-case-name: tests.supervise.test_rolling_reload -*-
"""
A reload of all workers: one after the other, so that the first finds out what is wrong before anybody has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

#: what a worker says that came of it; the first two are well
APPLIED, UNCHANGED, INVALID, FAILED = "applied", "unchanged", "invalid", "failed"
WELL = (APPLIED, UNCHANGED)


class Round:
    """
    One reload.

    @ivar text: the configuration that is to be live
    """

    def __init__(
        self,
        text: str,
        workers: Iterable[int],
        ask: Callable[[int, str], None],
        live: Callable[[str], None],
        replace: Callable[[int], None],
        done: Callable[[bool, str], None],
        say: Callable[[str], None],
    ) -> None:
        """
        @param workers: whom to ask, by index
        @param ask: has a worker read a text; it answers by L{answered}, or is L{lost}
        @param live: the first has taken the text: whoever starts from now on begins with it
        @param replace: has another worker start in the place of one that would not have it
        @param done: told whether it serves, and what there is to say
        @param say: told why it does not, where no worker has said so
        """
        self.text = text
        self._left = list(workers)
        self._ask = ask
        self._live = live
        self._replace = replace
        self._done = done
        self._say = say
        self._said: list[str] = []
        self._accepted = False
        self._asked: int | None = None

    def start(self) -> None:
        """Ask the first."""
        self._next()

    def answered(self, index: int, word: str, text: str) -> None:
        """The worker C{index} says what came of it."""
        if index != self._asked:
            return
        if not self._accepted:
            self._said = text.splitlines()
            if word not in WELL:
                self._finish(False)
                return
            self._accepted = True
            self._live(self.text)
        elif word not in WELL:
            first = text.partition("\n")[0]
            self._said.append(f"worker {index} would not have it, and another takes its place: {first}")
            self._replace(index)
        self._next()

    def leaves(self, index: int) -> None:
        """The worker C{index} ends, as somebody told it to: that is not the configuration's fault."""
        if index in self._left:
            self._left.remove(index)
        if index == self._asked:
            self._next()

    def lost(self, index: int) -> None:
        """The worker C{index} is gone."""
        if index in self._left:
            # its successor starts with what is live then
            self._left.remove(index)
        if index != self._asked:
            return
        if not self._accepted:
            self._refuse(f"worker {index} ended while it read the configuration, and what was live stays so")
        else:
            self._next()

    def _next(self) -> None:
        if not self._left:
            if self._accepted:
                self._finish(True)
            else:
                self._refuse("no worker serves any more that could read it, and what was live stays so")
            return
        self._asked = self._left.pop(0)
        self._ask(self._asked, self.text)

    def _refuse(self, why: str) -> None:
        self._say(why)
        self._said = [why]
        self._finish(False)

    def _finish(self, well: bool) -> None:
        self._asked = None
        self._left = []
        self._done(well, "\n".join(self._said))
