# -*- test-case-name: tests.app.test_slices -*-
"""
Tests for L{lproxy.app.slices}.
"""

from __future__ import annotations

from collections.abc import Generator

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.slices import PAUSE, SLICE, in_slices


class SlicesTests(SynchronousTestCase):
    """Work of many steps."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.steps = 0
        self.closed = False

    def work(self, steps: int, seconds: float, error: Exception | None = None) -> Generator[None, None, int]:
        """So many, which take so long each; at the end it fails, or says how many there were."""
        try:
            for _ in range(steps):
                self.clock.rightNow += seconds
                self.steps += 1
                yield
            if error is not None:
                raise error
            return self.steps
        finally:
            self.closed = True

    def test_little(self) -> None:
        """What takes no time is done at once."""
        self.assertEqual(100, self.successResultOf(in_slices(self.work(100, 0.0), self.clock)))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_much(self) -> None:
        """Of more, some steps are done at a time, and between them is a pause; so most of the time is others'."""
        done = in_slices(self.work(10, SLICE / 4), self.clock)
        for steps in (4, 8):
            self.assertEqual(steps, self.steps)
            self.assertNoResult(done)
            self.clock.advance(PAUSE * 0.9)
            self.assertEqual(steps, self.steps)
            self.clock.advance(PAUSE * 0.2)
        self.assertEqual(10, self.successResultOf(done))
        self.assertGreater(PAUSE, 2 * SLICE)

    def test_long_step(self) -> None:
        """A step that takes longer has a slice for itself."""
        done = in_slices(self.work(2, SLICE * 3), self.clock)
        self.assertEqual(1, self.steps)
        self.clock.pump([PAUSE] * 2)
        self.assertEqual(2, self.successResultOf(done))

    def test_failed(self) -> None:
        """What goes wrong is told, sooner or later."""
        for seconds in (0.0, SLICE):
            done = in_slices(self.work(2, seconds, KeyError("oh")), self.clock)
            self.clock.pump([PAUSE] * 3)
            self.failureResultOf(done, KeyError)

    def test_cancelled(self) -> None:
        """It goes no further, and undoes what it has to."""
        done = in_slices(self.work(3, SLICE), self.clock)
        self.assertEqual((1, False), (self.steps, self.closed))
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual((1, True, []), (self.steps, self.closed, self.clock.getDelayedCalls()))
