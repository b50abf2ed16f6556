# -*- test-case-name: tests.protocols.kafka.test_progress -*-
"""
Tests for L{lproxy.protocols.kafka.progress}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.progress import Counts, Progress

#: nothing was ever said
NOTHING = (0, 0, 0, 0)


class ProgressTests(SynchronousTestCase):
    """A connection on which a frame may stand still for 20 seconds, and that may be idle for 100."""

    def setUp(self) -> None:
        self.progress = Progress(20.0, 100.0, 0.0)

    def look(self, now: float, seen: Counts = NOTHING, on_client: bool = False, on_broker: bool = False) -> str:
        """What is found."""
        return self.progress.look(now, seen, on_client, on_broker)

    def test_idle(self) -> None:
        """Without a byte in any direction it is idle, from the last one on."""
        self.assertEqual(["", "", "idle"], [self.look(now) for now in (5.0, 104.9, 105.0)])
        for i in range(4):
            self.setUp()
            moved = (*NOTHING[:i], 1, *NOTHING[i + 1 :])
            self.assertEqual(["", ""], [self.look(0.0), self.look(90.0, moved)])
            self.assertEqual(["", "idle"], [self.look(189.0, moved), self.look(190.0, moved)])

    def test_stalled(self) -> None:
        """Within a request that does not go on, whatever the broker says meanwhile."""
        self.assertEqual("", self.look(0.0))
        found = [self.look(now, (0, 0, int(now), 0), on_client=True) for now in (5.0, 10.0, 24.0, 25.0)]
        self.assertEqual(["", "", "", "stalled"], found)

    def test_upstream_stalled(self) -> None:
        """And within a response, whatever the client says."""
        self.assertEqual("", self.look(0.0))
        found = [self.look(now, (int(now), 0, 0, 0), on_broker=True) for now in (5.0, 10.0, 24.0, 25.0)]
        self.assertEqual(["", "", "", "upstream_stalled"], found)

    def test_slow(self) -> None:
        """A byte now and then will do, and so will a moment in which it waits for somebody else."""
        for n in range(50):
            self.assertEqual("", self.look(n * 19.0, (n, 0, 0, 0), on_client=True))
        self.setUp()
        for n in range(5):
            self.assertEqual("", self.look(n * 15.0, on_client=n % 2 == 0))
