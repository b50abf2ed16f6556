# -*- test-case-name: tests.benchmark.endurance.test_tally -*-
"""
What clients count, and whose fault it is what was lost.

A loss is excused where the worker that had the connection was killed while that was open. Which connections these were
is no guess: a worker is stopped, its sockets are read from the kernel, and then it is killed.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple

#: seconds within which a client notices that its connection is gone, on a machine that has other things to do
NOTICE = 15.0


class Loss(NamedTuple):
    """
    Something that was begun and not done.

    @ivar client: of what kind
    @ivar why: in words, without figures
    @ivar port: the client's, of the connection; 0: there was none
    @ivar opened: when that was, in seconds of the monotonic clock; C{at}: when it was noticed
    """

    client: str
    why: str
    port: int
    opened: float
    at: float


class Kill(NamedTuple):
    """A worker's death: when, and the ports of the clients whose connections it had."""

    at: float
    ports: frozenset[int]


def excused(loss: Loss, kills: Iterable[Kill]) -> bool:
    """Whether its connection was a killed worker's."""
    return any(loss.port in kill.ports and loss.opened <= kill.at <= loss.at <= kill.at + NOTICE for kill in kills)


@dataclass
class Tally:
    """
    What the clients of one kind have counted.

    @ivar again: how often a connection was refused a request before it was taken (HTTP/2's GOAWAY), which may be
        sent again on another
    """

    client: str
    begun: int = 0
    done: int = 0
    again: int = 0
    losses: list[Loss] = field(default_factory=list)

    def trial(self, opened: float, port: int) -> "Trial":
        """Within: something is tried on a connection; OSError and L{Lost} are losses."""
        return Trial(self, opened, port)

    def lose(self, why: str, port: int = 0, opened: float = 0.0) -> None:
        """Count a loss."""
        self.losses.append(Loss(self.client, why, port, opened, time.monotonic()))

    def since(self, before: "Tally") -> "Tally":
        """What was counted after C{before} was taken."""
        losses = self.losses[len(before.losses) :]
        return Tally(self.client, self.begun - before.begun, self.done - before.done, self.again - before.again, losses)

    def taken(self) -> "Tally":
        """As it is now."""
        return Tally(self.client, self.begun, self.done, self.again, list(self.losses))

    def inexcusable(self, kills: Sequence[Kill]) -> list[Loss]:
        """What was lost though no worker was killed that had it."""
        return [loss for loss in self.losses if not excused(loss, kills)]


class Lost(Exception):
    """A connection ended too early, or brought something wrong: why, in words."""


class Trial(AbstractContextManager["Trial"]):
    """Something that was begun. C{well}: whether it was done."""

    def __init__(self, tally: Tally, opened: float, port: int) -> None:
        self._tally, self._opened, self._port = tally, opened, port
        self.well = False
        tally.begun += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self.well = True
            self._tally.done += 1
            return False
        if isinstance(error, Lost | OSError | EOFError):
            why = str(error) if isinstance(error, Lost) else type(error).__name__
            self._tally.lose(why, self._port, self._opened)
            return True
        # the end of the run: what is under way then is neither
        self._tally.begun -= 1
        return False


def reasons(losses: Iterable[Loss]) -> str:
    """What they were lost by, the most frequent first."""
    return ", ".join(f"{n} {why}" for why, n in Counter(loss.why for loss in losses).most_common())
