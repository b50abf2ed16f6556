# -*- test-case-name: tests.terminal.test_screen -*-
"""
Where pictures are shown: a terminal, on which each takes the place of the one before it, or whatever else reads them.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Self, TextIO

from lproxy.terminal.top import WHOLE, Paint, Size, coloured, plain

#: what a terminal obeys (ECMA-48): to the first line, and nothing from here on to the end of the line, or of the screen
HOME: Final = "\x1b[H"
LINE: Final = "\x1b[K"
SCREEN: Final = "\x1b[J"
RESIZED: Final = (signal.SIGWINCH,)


class Look(NamedTuple):
    """
    What may be done.

    @ivar moves: whether pictures take each other's place
    @ivar paint: how words are coloured
    """

    moves: bool
    paint: Paint


def look(out: TextIO, environ: Mapping[str, str]) -> Look:
    """What C{out} can do, and whoever reads it wants (https://no-color.org)."""
    moves = out.isatty() and environ.get("TERM") != "dumb"
    return Look(moves, coloured if moves and not environ.get("NO_COLOR") else plain)


class Screen:
    """
    C{out}, while it is used with C{with}.

    @ivar moves: whether it is a terminal that pictures are kept up to date on
    """

    def __init__(self, out: TextIO, environ: Mapping[str, str], once: bool) -> None:
        can = look(out, environ)
        self._out = out
        self.moves = can.moves and not once
        self.paint = can.paint
        self._size = WHOLE

    def __enter__(self) -> Self:
        if self.moves:
            # it is waited for, not handled: no picture is begun within another
            signal.pthread_sigmask(signal.SIG_BLOCK, RESIZED)
        return self

    def __exit__(self, *error: object) -> None:
        if self.moves:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, RESIZED)
            if error[0] is not BrokenPipeError:
                self._out.write("\n")
                self._out.flush()

    def size(self) -> Size:
        """How much there is room for, now."""
        if not self.moves:
            return WHOLE
        try:
            columns, rows = os.get_terminal_size(self._out.fileno())
        except OSError:
            columns = rows = 0
        # a terminal that does not know its size says nought
        return Size(columns or 80, rows or 24)

    def show(self, lines: Iterable[str]) -> None:
        """A picture, of L{size}."""
        if not self.moves:
            self._out.write("\n".join(lines) + "\n")
        else:
            size = self.size()
            clear = "" if size == self._size else SCREEN
            self._size = size
            self._out.write(HOME + clear + f"{LINE}\n".join(lines) + LINE + SCREEN)
        self._out.flush()

    def wait(self, seconds: float) -> bool:
        """So long; C{True}: no longer, as there is more or less room now."""
        if not self.moves:
            time.sleep(seconds)
            return False
        return signal.sigtimedwait(RESIZED, seconds) is not None
