# -*- test-case-name: tests.configfile.test_pauses -*-
"""
Tests for L{lproxy.configfile.pauses}.
"""

from __future__ import annotations

import threading

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile import load, pauses, render
from lproxy.configfile.pauses import BURST, PAUSE, pause, pausing

SERVICES = "".join(f'[services."s{n}.local:80"]\nendpoints = ["10.0.0.1:80"]\n' for n in range(50))


class FakeTime:
    """Time that passes by a step at each look at it."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 0.0
        self.step = step
        self.slept: list[float] = []

    def perf_counter(self) -> float:
        self.now += self.step
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class PausesTests(SynchronousTestCase):
    """A thread that leaves its time to others."""

    def setUp(self) -> None:
        self.time = FakeTime()
        self.patch(pauses, "time", self.time)

    def test_pause(self) -> None:
        """Once it has worked for so long, and then again; the most of the time is others'."""
        with pausing():
            pause()
            self.assertEqual([], self.time.slept)
            for n in (1, 2):
                self.time.now += BURST
                pause()
                pause()
                self.assertEqual([PAUSE] * n, self.time.slept)
        self.assertGreater(PAUSE, 3 * BURST)

    def test_others(self) -> None:
        """Nobody else pauses: neither other threads, nor this one later."""
        with pausing():
            self.time.now += BURST
            other = threading.Thread(target=pause)
            other.start()
            other.join()
            self.assertEqual([], self.time.slept)
        self.time.now += BURST
        pause()
        self.assertEqual([], self.time.slept)

    def test_configuration(self) -> None:
        """A configuration is read and written with pauses, many for many services."""
        self.time.step = BURST / 10
        with pausing():
            loaded = load(SERVICES, "x", {})
        self.assertGreater(len(self.time.slept), 5)
        assert loaded.config is not None
        self.time.slept.clear()
        with pausing():
            render(loaded.config)
        self.assertGreater(len(self.time.slept), 3)
