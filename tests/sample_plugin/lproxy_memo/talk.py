# -*- test-case-name: tests.integration.test_sample_plugin -*-
"""
What the two sides of a memo connection say to each other. It knows bytes, and neither sockets nor clocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from lproxy_memo.detect import OPENING

#: characters of a line that are looked at; the rest of it only passes
LONGEST = 200


class Lines:
    """Cuts bytes, which come in pieces of any size, into lines."""

    def __init__(self) -> None:
        self._line = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that C{data} completes, without their ends and no longer than L{LONGEST}."""
        *complete, rest = data.split(b"\n")
        for piece in complete:
            line, self._line = self._line + piece, b""
            yield line[:LONGEST].decode("ascii", "replace").strip()
        self._line = (self._line + rest)[:LONGEST]


class Listener(Protocol):
    """Who is told of what is said."""

    def opened(self, board: str) -> bool:
        """The client wants C{board}. Whether it may have it."""

    def asked(self, command: str) -> None:
        """The client gave a command."""

    def answered(self, outcome: str) -> bool:
        """The server answered the oldest command that waits. Whether the conversation may go on."""


class FromClient:
    """The tap on what the client says: the opening, then commands."""

    #: every byte is looked at
    unseen = 0
    #: a client that has said all may still hear answers
    last = False

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lines = Lines()
        self._board: str | None = None
        self.over = False

    def feed(self, data: bytes) -> bytes:
        """Look at C{data}, and let it pass, or end it all."""
        for line in self._lines.feed(data):
            if self._board is not None:
                self._listener.asked(line.partition(" ")[0].upper())
                continue
            self._board = line.removeprefix(OPENING.decode())
            if not self._listener.opened(self._board):
                self.over = True
                return b""
        return data

    def skip(self, count: int) -> None:
        """Nothing passes unseen."""

    def end(self) -> bytes:
        """The client hung up. Nothing was kept back. Without a board there is nowhere to go."""
        self.over = self._board is None
        return b""


class FromServer:
    """The tap on the answers."""

    unseen = 0
    last = False

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lines = Lines()
        self.over = False

    def feed(self, data: bytes) -> bytes:
        """Look at C{data}, and let it pass."""
        for line in self._lines.feed(data):
            outcome = line.partition(" ")[0]
            if not self._listener.answered(outcome if outcome in ("OK", "ERR") else "other"):
                self.over = True
        return data

    def skip(self, count: int) -> None:
        """Nothing passes unseen."""

    def end(self) -> bytes:
        """The server hung up."""
        return b""


class Waiting:
    """The commands that wait for their answers, the oldest first, each since when."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._since: deque[tuple[str, float]] = deque()

    def __len__(self) -> int:
        return len(self._since)

    def add(self, command: str) -> None:
        """One more."""
        self._since.append((command, self._seconds()))

    def pop(self) -> tuple[str, float] | None:
        """The oldest and how long it has waited; C{None} where none waits."""
        if not self._since:
            return None
        command, since = self._since.popleft()
        return command, self._seconds() - since
