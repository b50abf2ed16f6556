# -*- test-case-name: tests.admin.test_sampler -*-
"""
What a process spends its CPU time on, seen from inside.

A timer of the kernel's (ITIMER_PROF) that runs with the CPU time used, not with the clock, and a signal handler that
notes who called whom at each of its ticks. So it needs no privileges and no package, costs the same for cheap functions
as for expensive ones (cProfile makes cheap functions look expensive), and costs nothing at all while it is stopped.
Only the process's main thread is looked at, and C functions count for whoever called them; py-spy and perf see more,
where they may.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

#: samples per second of CPU time; not a divisor of 1000, so as not to beat with timers. The kernel may have fewer ticks
RATE = 199
#: calls of a stack that are kept, counted from the innermost
DEPTH = 200
#: different stacks that are kept; a proxy under load has a few thousand. Further ones are counted together
STACKS = 50_000
OTHERS = "(further_stacks)"
#: functions that /stats lists
TOP = 40


class Sampler:
    """
    Counts stacks by the CPU time that they took.

    A tick that comes late, because a C function let no Python run, counts for all the time since the one before.

    @param cpu: the CPU time that this process has used, in nanoseconds
    """

    def __init__(self, cpu: Callable[[], int] = time.process_time_ns) -> None:
        self._cpu = cpu
        # by the identity of code objects: their hash would go through all of their content, time and again
        self._found: dict[tuple[int, ...], int] = {}
        #: keeps the code objects, too, so that no other gets their identity
        self._names: dict[int, tuple[object, str]] = {}
        self._last = 0
        self.samples = 0
        self.running = False

    def start(self) -> None:
        """Begin anew."""
        self.stop()
        self._found = {}
        self.samples = 0
        self._last = self._cpu()
        self.running = True
        signal.signal(signal.SIGPROF, self._tick)
        # no system call of a C library's is to fail because of us
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, 1 / RATE, 1 / RATE)

    def stop(self) -> None:
        """End; what was found stays."""
        if self.running:
            self.running = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            # not the default, which would end the process: a tick may be on its way
            signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def _tick(self, number: int, frame: FrameType | None) -> None:
        """The signal handler: between any two steps of the main thread's, so it is short and asks nobody."""
        if not self.running:
            return
        names = self._names
        stack: list[int] = []
        while frame is not None and len(stack) < DEPTH:
            code = frame.f_code
            key = id(code)
            if key not in names:
                names[key] = code, f"{frame.f_globals.get('__name__', '?')}:{code.co_qualname}"
            stack.append(key)
            frame = frame.f_back
        now = self._cpu()
        found = tuple(stack)
        if found not in self._found and len(self._found) >= STACKS:
            found = ()
        self._found[found] = self._found.get(found, 0) + now - self._last
        self._last = now
        self.samples += 1

    def _stacks(self) -> Counter[tuple[str, ...]]:
        """Names from the outermost call to the innermost, and microseconds."""
        stacks: Counter[tuple[str, ...]] = Counter()
        # a copy: a tick may come at any time
        for found, nanoseconds in self._found.copy().items():
            stacks[tuple(self._names[key][1] for key in reversed(found)) or (OTHERS,)] += nanoseconds // 1000
        return stacks

    def folded(self) -> str:
        """A line for each stack: its calls with C{;} between them, and microseconds of CPU time."""
        # a name with a separator in it: nothing of ours has one
        lines = (
            f"{';'.join(name.replace(';', ':').replace(' ', '_') for name in stack)} {us}"
            for stack, us in self._stacks().items()
        )
        return "\n".join(sorted(lines))

    def stats(self) -> dict[str, Any]:
        """How much was seen, and the functions that took the most: by themselves, and with all that they call."""
        alone: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for stack, us in self._stacks().items():
            alone[stack[-1]] += us
            for name in set(stack):
                total[name] += us
        return {
            "running": self.running,
            "samples": self.samples,
            "cpu_us": sum(alone.values()),
            "stacks": len(self._found),
            "functions": [
                {"name": name, "self_us": us, "total_us": total[name]} for name, us in alone.most_common(TOP)
            ],
        }
