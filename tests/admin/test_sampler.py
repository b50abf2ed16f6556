# -*- test-case-name: tests.admin.test_sampler -*-
"""
L{lproxy.admin.sampler}: sampling the proxy from inside.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin import sampler as module
from lproxy.admin.sampler import OTHERS, RATE, Sampler


def inner(sampler: Sampler) -> None:
    """Called by L{outer}."""
    sampler._tick(signal.SIGPROF, sys._getframe())


def outer(sampler: Sampler) -> None:
    """Calls L{inner}."""
    inner(sampler)


class SamplerTests(SynchronousTestCase):
    """What is counted, with a CPU that uses the time it is told to."""

    def setUp(self) -> None:
        self.done: list[Any] = []
        self.patch(signal, "signal", lambda number, handler: self.done.append(handler))
        self.patch(signal, "siginterrupt", lambda *args: None)
        self.patch(signal, "setitimer", lambda *args: self.done.append(args))
        self.used = 0
        self.sampler = Sampler(lambda: self.used)

    def tick(self, microseconds: int, call: Any = outer) -> None:
        """A tick inside C{call}, after so much CPU time."""
        self.used += microseconds * 1000
        call(self.sampler)

    def lines(self) -> dict[str, int]:
        """The folded stacks, from the first function of this file on."""
        folded = (line.rpartition(" ") for line in self.sampler.folded().splitlines())
        return {stack.partition(".tick;")[2]: int(us) for stack, _, us in folded}

    def test_folded(self) -> None:
        """A stack is a line, outermost call first, with the CPU time of all its ticks: late ones weigh more."""
        self.sampler.start()
        self.tick(5_000)
        self.tick(20_000)
        self.tick(1_000, inner)
        here = __name__
        self.assertEqual({f"{here}:outer;{here}:inner": 25_000, f"{here}:inner": 1_000}, self.lines())

    def test_stats(self) -> None:
        """A function's own time, and with what it calls, where it counts once however often it stands there."""
        self.sampler.start()
        self.tick(5_000)
        self.tick(1_000, inner)
        stats = self.sampler.stats()
        self.assertEqual((True, 2, 6_000, 2), tuple(stats[key] for key in ("running", "samples", "cpu_us", "stacks")))
        self.assertEqual([{"name": f"{__name__}:inner", "self_us": 6_000, "total_us": 6_000}], stats["functions"])
        json.dumps(stats)

    def test_start_stop(self) -> None:
        """The kernel's timer runs between start and stop only; a last tick that is on its way then does no harm."""
        self.assertEqual([], self.done)
        self.sampler.start()
        self.assertEqual([self.sampler._tick, (signal.ITIMER_PROF, 1 / RATE, 1 / RATE)], self.done)
        self.done.clear()
        self.sampler.stop()
        self.sampler.stop()
        self.assertEqual([(signal.ITIMER_PROF, 0), signal.SIG_IGN], self.done)
        self.tick(5_000)
        self.assertEqual({}, self.lines())

    def test_anew(self) -> None:
        """What is found stays when it stops, and is forgotten when it starts again."""
        self.sampler.start()
        self.tick(5_000)
        self.sampler.stop()
        self.assertEqual([5_000], list(self.lines().values()))
        self.used += 10**9
        self.sampler.start()
        self.assertEqual({}, self.lines())
        self.tick(1_000)
        self.assertEqual([1_000], list(self.lines().values()), "the time in between is not counted")

    def test_bounded(self) -> None:
        """However many stacks there are, so many are kept and the others' time is not lost; nor is a deep stack kept
        whole."""
        self.patch(module, "STACKS", 1)
        self.patch(module, "DEPTH", 2)
        self.sampler.start()
        self.tick(5_000)
        self.tick(1_000, inner)
        self.tick(2_000)
        here = __name__
        self.assertEqual(f"{OTHERS} 1000\n{here}:outer;{here}:inner 7000", self.sampler.folded())

    def test_while_reading(self) -> None:
        """A tick may come while the stacks are read."""
        self.sampler.start()
        self.tick(5_000)
        found = self.sampler._found

        class Interrupted(dict[int, tuple[object, str]]):
            def __getitem__(_, key: int) -> tuple[object, str]:
                found[tuple(range(len(found) + 5))] = 1
                return dict.__getitem__(_, key)

        self.sampler._names = Interrupted(self.sampler._names)
        self.assertEqual([5_000], list(self.lines().values()))


class RealTimerTests(SynchronousTestCase):
    """The kernel's timer."""

    def test_busy(self) -> None:
        """Work is seen under its name and about as long as it took; sleep is not seen."""
        before = signal.getsignal(signal.SIGPROF)
        self.addCleanup(signal.signal, signal.SIGPROF, before)
        sampler = Sampler()
        self.addCleanup(sampler.stop)

        def work() -> None:
            until = time.process_time() + 0.3
            while time.process_time() < until:
                sum(range(100))

        sampler.start()
        time.sleep(0.2)
        work()
        sampler.stop()
        mine = [one for one in sampler.stats()["functions"] if one["name"].endswith("test_busy.<locals>.work")]
        self.assertEqual(1, len(mine))
        self.assertTrue(150_000 < mine[0]["total_us"] < 450_000, mine)
