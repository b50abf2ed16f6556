# -*- test-case-name: tests.transport.test_writes -*-
"""
What a batch of events causes is written once, to each connection that it concerns.

A connection that carries many exchanges at a time, as those of HTTP/2 do, is written to on account of many others: ten
answers that are read from ten upstreams go to one client. So whoever has something to write enters itself, and is
flushed at the end of the batch: of what the hub has to tell (L{lproxy.transport.hub}), or of one read by itself.
Outside a batch, as from a timer, it is flushed at once.

There is one for the whole process, as there is one reactor: a read of any listener's client may cause writes to an
upstream's connection that another has opened.
"""

from __future__ import annotations

from typing import Final, Protocol


class Writer(Protocol):
    """
    A connection that keeps what is to be written.

    @ivar entered: whether it waits to be flushed; the batch's own
    """

    __slots__ = ("entered",)

    entered: bool

    def flush(self) -> None:
        """Write all that is kept, as far as there is room."""


class Writes:
    """
    The batch.

    @ivar _depth: how many batches are under way, one within the other
    @ivar _entered: who waits
    """

    __slots__ = ("_depth", "_entered")

    def __init__(self) -> None:
        self._depth: int = 0
        self._entered: list[Writer] = []

    def __repr__(self) -> str:
        return f"<Writes depth={self._depth} entered={len(self._entered)}>"

    def begin(self) -> None:
        """A batch; L{end} it, whatever it raises."""
        self._depth += 1

    def enter(self, writer: Writer) -> None:
        """C{writer} has something to write."""
        if not self._depth:
            writer.flush()
        elif not writer.entered:
            writer.entered = True
            self._entered.append(writer)

    def end(self) -> None:
        """All of it was looked at. What somebody raises who is flushed is raised again once all others were."""
        if self._depth > 1 or not self._entered:
            self._depth -= 1
            return
        # still within, so that those who flush, and have others write by that, are waited for
        error: BaseException | None = None
        while self._entered:
            entered, self._entered = self._entered, []
            for writer in entered:
                writer.entered = False
                try:
                    writer.flush()
                except BaseException as e:
                    error = e
        self._depth = 0
        if error is not None:
            raise error


#: the process's
WRITES: Final = Writes()
