# -*- test-case-name: tests.supervise.test_slots -*-
"""
L{lproxy.supervise.slots}: the life of a worker, told second by second.
"""

from __future__ import annotations

import signal

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise.slots import BACKOFF, BACKOFF_MOST, NAMED, STARTING, SUCCEED, Slot

HUNG = 10.0


class FakeEffects:
    """Processes that are numbers."""

    def __init__(self) -> None:
        self.pid = 100
        self.killed: list[tuple[int, int]] = []
        self.said: list[str] = []
        self.error: OSError | None = None

    def start(self, index: int) -> int:
        if self.error is not None:
            raise self.error
        self.pid += 1
        return self.pid

    def kill(self, pid: int, number: int) -> None:
        self.killed.append((pid, number))

    def say(self, level: str, text: str) -> None:
        self.said.append(text)


class SlotTests(SynchronousTestCase):
    """One worker."""

    def setUp(self) -> None:
        self.effects = FakeEffects()
        self.slot = Slot(1, self.effects)

    def serve(self, now: float) -> int:
        """Start one, which serves at once."""
        self.slot.start(now)
        self.slot.serves(self.effects.pid, now)
        return self.effects.pid

    def row(self, now: float) -> tuple[object, object]:
        row = self.slot.describe(now)
        return row["pid"], row["state"]

    def test_serves(self) -> None:
        """It starts, and serves once it says so; what another process says is not about it."""
        self.assertEqual((None, "down"), self.row(0))
        self.slot.start(0)
        self.assertEqual((101, "starting"), self.row(0))
        self.slot.serves(77, 1)
        self.assertFalse(self.slot.serving)
        self.slot.serves(101, 1)
        self.assertTrue(self.slot.serving)
        self.assertEqual((101, "serving"), self.row(1))

    def test_dies(self) -> None:
        """One that dies is replaced almost at once, counted, and told of with the way it went."""
        pid = self.serve(0)
        self.slot.ended(pid, "was killed by SIGKILL", 5, True)
        self.assertEqual((None, "down"), self.row(5))
        self.slot.look(5, HUNG)
        self.assertEqual(101, self.effects.pid)
        self.slot.look(5 + BACKOFF, HUNG)
        self.assertEqual((102, "starting"), self.row(6))
        self.assertEqual({"died": 1, "hung": 0, "ended": 0}, self.slot.restarts)
        self.assertIn("worker 1 (pid 101) was killed by SIGKILL; another in 0.1 s", self.effects.said)

    def test_backoff(self) -> None:
        """One that dies as it starts is kept waiting, longer each time but not for ever; a good life ends that."""
        waits = []
        now = 0.0
        for _ in range(10):
            self.slot.start(now)
            self.slot.ended(self.effects.pid, "ended with status 1", now, True)
            assert self.slot.due is not None
            waits.append(self.slot.due - now)
            now = self.slot.due
        self.assertEqual([0.1, 0.2, 0.4, 0.8], [round(wait, 3) for wait in waits[:4]])
        self.assertEqual(BACKOFF_MOST, round(waits[-1], 3))
        self.slot.ended(self.serve(now), "was killed by SIGSEGV", now + 60, True)
        assert self.slot.due is not None
        self.assertAlmostEqual(BACKOFF, self.slot.due - now - 60)

    def test_cannot_start(self) -> None:
        """Where the system has no process left, it is tried again."""
        self.effects.error = OSError(11, "Resource temporarily unavailable")
        self.slot.start(0)
        self.assertIn("worker 1: it cannot be started: Resource temporarily unavailable", self.effects.said)
        self.effects.error = None
        self.slot.look(BACKOFF, HUNG)
        self.assertEqual((101, "starting"), self.row(1))

    def test_hangs(self) -> None:
        """One without a sign of life is named, with who holds it up, and then killed and replaced as hung."""
        pid = self.serve(0)
        self.slot.look(NAMED - 0.1, HUNG)
        self.assertEqual((pid, "serving"), self.row(NAMED - 0.1))
        self.slot.holds(pid, "held by plugin slow: slow.run, line 3")
        self.slot.look(NAMED, HUNG)
        self.slot.look(NAMED + 1, HUNG)
        said = "worker 1 (pid 101) has shown no sign of life for 2.0 s; held by plugin slow: slow.run, line 3"
        self.assertEqual([said], self.effects.said[1:])
        self.assertEqual((pid, "hung"), self.row(NAMED))
        self.assertEqual([], self.effects.killed)
        self.slot.look(HUNG, HUNG)
        self.slot.look(HUNG + 1, HUNG)
        self.assertEqual([(pid, signal.SIGKILL)], self.effects.killed)
        self.assertIn("worker 1 (pid 101) hangs, for 10.0 s, and is replaced; held by", self.effects.said[-1])
        self.slot.ended(pid, "was killed by SIGKILL", HUNG + 1, True)
        self.assertEqual({"died": 0, "hung": 1, "ended": 0}, self.slot.restarts)

    def test_back(self) -> None:
        """One that shows a sign in time lives on, and the log says that it is back."""
        pid = self.serve(0)
        self.slot.look(5, HUNG)
        self.slot.beats(pid, 6)
        self.slot.look(HUNG + 0.5, HUNG)
        self.assertEqual([], self.effects.killed)
        self.assertIn("worker 1 (pid 101) is back, after 6.0 s", self.effects.said)

    def test_excused(self) -> None:
        """Where nobody has listened, as on a machine that slept, silence is no sign."""
        self.serve(0)
        self.slot.excuse(100)
        self.slot.look(100, HUNG)
        self.assertEqual([], self.effects.killed)

    def test_never_starts(self) -> None:
        """One that does not get as far as serving is killed after a while."""
        self.slot.start(0)
        self.slot.look(STARTING - 1, HUNG)
        self.assertEqual([], self.effects.killed)
        self.slot.look(STARTING, HUNG)
        self.assertEqual([(101, signal.SIGKILL)], self.effects.killed)

    def test_ends_by_itself(self) -> None:
        """One that was told by others to end has a successor while it drains; if it does not end it is killed."""
        pid = self.serve(0)
        self.slot.stops(pid, 1, 30, True)
        self.slot.look(1, HUNG)
        self.assertEqual(101, self.effects.pid)
        self.slot.look(1 + SUCCEED, HUNG)
        self.assertEqual((102, "starting"), self.row(2))
        self.assertEqual([pid], self.slot.describe(2)["draining"])
        self.assertIn(pid, self.slot)
        self.slot.serves(102, 2)
        self.slot.beats(102, 31)
        self.slot.look(31, HUNG)
        self.assertEqual([(pid, signal.SIGKILL)], self.effects.killed)
        self.slot.ended(pid, "was killed by SIGKILL", 31, True)
        self.assertEqual((102, "serving"), self.row(31))
        self.assertEqual({"died": 0, "hung": 0, "ended": 1}, self.slot.restarts)
        self.assertNotIn(pid, self.slot)

    def test_all_end(self) -> None:
        """Where all are to end, nobody succeeds."""
        pid = self.serve(0)
        self.slot.stops(pid, 1, 30, False)
        self.slot.ended(pid, "ended with status 0", 2, False)
        self.slot.look(60, HUNG)
        self.assertEqual((None, "down"), self.row(60))
        self.assertEqual(101, self.effects.pid)
