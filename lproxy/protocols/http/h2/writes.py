# -*- test-case-name: tests.protocols.http.h2.test_writes -*-
"""
What one read causes is written once, to each connection that it concerns.

One read of a connection may have frames of many streams, and each of these goes to another connection, or ten of them
to the same. So who reads HTTP/2 begins a batch before it looks at what has come, and ends it afterwards; who has
something to write meanwhile enters itself, and is flushed at the end. Outside a batch, as from a timer, it is flushed
at once.

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
        """Write all that is kept, as far as there is room; must not raise."""


class Writes:
    """
    The batch.

    @ivar _depth: how many reads are under way, one within the other
    @ivar _entered: who waits
    """

    __slots__ = ("_depth", "_entered")

    def __init__(self) -> None:
        self._depth: int = 0
        self._entered: list[Writer] = []

    def __repr__(self) -> str:
        return f"<Writes depth={self._depth} entered={len(self._entered)}>"

    def begin(self) -> None:
        """A read; L{end} it, whatever it raises."""
        self._depth += 1

    def enter(self, writer: Writer) -> None:
        """C{writer} has something to write."""
        if not self._depth:
            writer.flush()
        elif not writer.entered:
            writer.entered = True
            self._entered.append(writer)

    def end(self) -> None:
        """All of the read was looked at."""
        if self._depth > 1:
            self._depth -= 1
            return
        # still within, so that those who flush, and have others write by that, are waited for
        try:
            entered = self._entered
            while entered:
                self._entered = []
                for writer in entered:
                    writer.entered = False
                for writer in entered:
                    writer.flush()
                entered = self._entered
        finally:
            self._depth = 0


#: the process's
WRITES: Final = Writes()
