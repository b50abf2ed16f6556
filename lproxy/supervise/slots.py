# -*- test-case-name: tests.supervise.test_slots -*-
"""
The life of a worker: started, serving, replaced when it dies, hangs or ends by itself.

Nothing here has a process or a clock: what is done comes from L{Effects}, and the time is an argument.
"""

from __future__ import annotations

import signal
from enum import StrEnum
from typing import Any, Protocol

#: seconds without a sign of life after which a worker is named
NAMED = 2.0
#: seconds that it may take to start
STARTING = 60.0
#: seconds that one has to have served, for the next not to be kept waiting
STABLE = 1.0
#: seconds between two starts of one that dies: at first, and at most
BACKOFF, BACKOFF_MOST = 0.1, 10.0
#: seconds between a worker's word that it ends and another in its place: perhaps all are ending
SUCCEED = 0.2

#: why there was a new one
REASONS = ("died", "hung", "ended")


class State(StrEnum):
    """What a process is at."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"


class Process:
    """
    One process.

    @ivar beat: when it gave a sign of life, in seconds
    @ivar held: what it said of whoever holds it up; empty: nothing
    @ivar named: whether it was told of that it gives none
    @ivar killed: why we have killed it; empty: we have not
    @ivar at: where others may ask it what it does; empty: nowhere
    @ivar due: when it has to be over; C{None} while it need not
    """

    def __init__(self, pid: int, now: float) -> None:
        self.pid = pid
        self.started = self.beat = now
        self.served: float | None = None
        self.state = State.STARTING
        self.held = self.killed = self.at = ""
        self.named = False
        self.due: float | None = None

    def __repr__(self) -> str:
        return f"<Process {self.pid}, {self.state}>"


class Effects(Protocol):
    """What is done about processes."""

    def start(self, index: int) -> int:
        """Start a worker, and return its process id; raises OSError."""

    def kill(self, pid: int, number: int) -> None:
        """Send a signal; harmless where it is gone."""

    def say(self, level: str, text: str) -> None:
        """Write a log line."""


class Slot:
    """
    One of the workers, whatever process that is.

    @ivar process: who serves, or is about to
    @ivar leaving: processes that were it, and drain
    @ivar restarts: how often there was another, by L{REASONS}
    @ivar due: when the next is to be started; C{None} where none is
    @ivar failed: how it ended before it ever served, in words; empty: it has not
    """

    def __init__(self, index: int, effects: Effects) -> None:
        self.index = index
        self._effects = effects
        self.process: Process | None = None
        self.leaving: dict[int, Process] = {}
        self.restarts = dict.fromkeys(REASONS, 0)
        self.due: float | None = None
        self.failed = ""
        self._backoff = BACKOFF

    def __repr__(self) -> str:
        return f"<Slot {self.index}: {self.process!r}, {len(self.leaving)} leave>"

    def __contains__(self, pid: int) -> bool:
        return pid in self.leaving or (self.process is not None and self.process.pid == pid)

    @property
    def serving(self) -> bool:
        return self.process is not None and self.process.state is State.SERVING

    def start(self, now: float) -> None:
        """Start a process."""
        self.due = None
        try:
            self.process = Process(self._effects.start(self.index), now)
        except OSError as e:
            self.failed = f"it cannot be started: {e.strerror}"
            self._effects.say("error", f"worker {self.index}: {self.failed}")
            self._later(now)

    def serves(self, pid: int, now: float, at: str = "") -> None:
        """C{pid} says that it serves, and where others may ask it what it does."""
        process = self.process
        if process is not None and process.pid == pid and process.state is State.STARTING:
            process.state, process.served, process.beat, process.at = State.SERVING, now, now, at
            self._effects.say("info", f"worker {self.index} (pid {pid}) serves")

    def beats(self, pid: int, now: float) -> None:
        """C{pid} shows that it lives."""
        process = self._find(pid)
        if process is not None:
            if process.named:
                self._effects.say("warn", f"worker {self.index} (pid {pid}) is back, after {now - process.beat:.1f} s")
            process.beat, process.named, process.held = now, False, ""

    def holds(self, pid: int, text: str) -> None:
        """C{pid} says by whom it is held up."""
        process = self._find(pid)
        if process is not None:
            process.held = text

    def stops(self, pid: int, now: float, within: float, succeeded: bool) -> None:
        """
        C{pid} says that it ends.

        @param within: seconds that it may take
        @param succeeded: whether there is to be another in its place
        """
        process = self._find(pid)
        if process is None:
            return
        process.state, process.due = State.STOPPING, now + within
        if succeeded and process is self.process:
            self.process, self.leaving[pid] = None, process
            self.restarts["ended"] += 1
            self.due = now + SUCCEED

    def ended(self, pid: int, how: str, now: float, succeeded: bool) -> None:
        """C{pid} is gone, C{how} in words."""
        left = self.leaving.pop(pid, None)
        process = self.process
        if left is not None or process is None or process.pid != pid:
            return
        self.process = None
        expected = process.state is State.STOPPING
        reason = process.killed or ("ended" if expected else "died")
        if process.served is None:
            self.failed = how
        if not succeeded:
            return
        self.restarts[reason] += 1
        served = now - process.served if process.served is not None else -1.0
        if served >= STABLE:
            self._backoff = BACKOFF
        wait = self._later(now)
        if not expected:
            self._effects.say("error", f"worker {self.index} (pid {pid}) {how}; another in {wait:g} s")

    def _later(self, now: float) -> float:
        wait, self._backoff = self._backoff, min(self._backoff * 2, BACKOFF_MOST)
        self.due = now + wait
        return wait

    def look(self, now: float, hung: float) -> None:
        """
        What is due.

        @param hung: seconds without a sign of life after which a process is replaced
        """
        if self.due is not None and now >= self.due:
            self.start(now)
        for process in (*self.leaving.values(), self.process):
            if process is not None and process.due is not None and now >= process.due:
                self._kill(process, "hung", f"does not end, and is killed (pid {process.pid})")
                process.due = None
        process = self.process
        if process is None or process.killed or process.state is State.STOPPING:
            return
        if process.state is State.STARTING:
            if now - process.started >= STARTING:
                self._kill(process, "hung", f"(pid {process.pid}) has not started in {STARTING:g} s, and is killed")
            return
        silent = now - process.beat
        why = f"; {process.held}" if process.held else ""
        if silent >= hung:
            self._kill(process, "hung", f"(pid {process.pid}) hangs, for {silent:.1f} s, and is replaced{why}")
        elif silent >= NAMED and not process.named:
            process.named = True
            text = f"worker {self.index} (pid {process.pid}) has shown no sign of life for {silent:.1f} s{why}"
            self._effects.say("warn", text)

    def excuse(self, seconds: float) -> None:
        """Nobody has listened for so long: it may have shown signs of life."""
        if self.process is not None:
            self.process.beat += seconds
            self.process.started += seconds

    def _kill(self, process: Process, reason: str, text: str) -> None:
        process.killed = reason
        self._effects.say("error", f"worker {self.index} {text}")
        self._effects.kill(process.pid, signal.SIGKILL)

    def _find(self, pid: int) -> Process | None:
        if self.process is not None and self.process.pid == pid:
            return self.process
        return self.leaving.get(pid)

    def describe(self, now: float) -> dict[str, Any]:
        """A row of the table of workers."""
        process = self.process
        silent = now - process.beat if process is not None and process.state is State.SERVING else 0.0
        return {
            "worker": self.index,
            "pid": process.pid if process is not None else None,
            "state": "hung" if silent >= NAMED else process.state if process is not None else "down",
            "seconds": round(now - process.started, 1) if process is not None else None,
            "silent_seconds": round(silent, 1),
            "at": process.at if process is not None else "",
            "held_by": process.held if process is not None else "",
            "draining": sorted(self.leaving),
            "restarts": dict(self.restarts),
        }
