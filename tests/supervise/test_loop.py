# -*- test-case-name: tests.supervise.test_loop -*-
"""
L{lproxy.supervise.loop}: descriptors, signals, the clock. In a process of its own where there are signals.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise.channel import Channel, Message, pair
from lproxy.supervise.loop import Loop
from tests.floors_source import ROOT

SIGNALS = """
import os, signal
from lproxy.supervise.loop import Loop
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
loop = Loop()
loop.signals({signal.SIGTERM: lambda: (print("held back"), os.kill(os.getpid(), signal.SIGHUP)),
              signal.SIGHUP: lambda: (print("now"), loop.stop())})
loop.run(lambda now: None)
"""


class LoopTests(SynchronousTestCase):
    """One loop."""

    def test_descriptors(self) -> None:
        """What can be read is read, what waits is written, and nobody is told after the end; ticks come meanwhile."""
        loop = Loop()
        one, theirs = pair()
        other = Channel(theirs)
        heard: list[Message] = []
        ticks: list[float] = []

        def readable() -> None:
            heard.extend(other.receive())
            if len(heard) == 3:
                loop.unwatch(other)
                loop.unwatch(other)

        def tick(now: float) -> None:
            ticks.append(now)
            if not one.waiting and len(ticks) > 2:
                loop.stop()

        loop.watch(one, lambda: None)
        loop.watch(other, readable)
        for number in range(3):
            one.send({"n": number, "text": "x" * 200_000})
        self.assertTrue(one.waiting)
        loop.run(tick)
        self.assertEqual([0, 1, 2], [message.values["n"] for message in heard])
        self.assertEqual(sorted(ticks), ticks)
        loop.unwatch(one)
        one.close()
        other.close()
        loop.close()

    def test_signals(self) -> None:
        """Signals are handled in the loop; those that were held back before are not lost."""
        done = subprocess.run([sys.executable, "-c", SIGNALS], cwd=ROOT, capture_output=True, text=True, timeout=30)
        self.assertEqual(("held back\nnow\n", ""), (done.stdout, done.stderr))
