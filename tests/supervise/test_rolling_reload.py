# -*- test-case-name: tests.supervise.test_rolling_reload -*-
"""
L{lproxy.supervise.rolling_reload}: a reload, worker by worker.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise.rolling_reload import Round


class RoundTests(SynchronousTestCase):
    """Three workers."""

    def setUp(self) -> None:
        self.asked: list[int] = []
        self.live: list[str] = []
        self.replaced: list[int] = []
        self.done: list[tuple[bool, str]] = []
        self.said: list[str] = []

    def round(self, *workers: int) -> Round:
        round_ = Round(
            "text",
            workers,
            lambda index, text: self.asked.append(index),
            self.live.append,
            self.replaced.append,
            lambda well, text: self.done.append((well, text)),
            self.said.append,
        )
        round_.start()
        return round_

    def test_all(self) -> None:
        """One after the other is asked; the first says what there is to say, and from then on the text is live."""
        round_ = self.round(0, 1, 2)
        self.assertEqual(([0], []), (self.asked, self.live))
        round_.answered(0, "applied", "f is live\nf: warning")
        self.assertEqual(([0, 1], ["text"]), (self.asked, self.live))
        round_.answered(0, "applied", "again")
        round_.answered(1, "applied", "f is live")
        round_.answered(2, "unchanged", "")
        self.assertEqual([(True, "f is live\nf: warning")], self.done)
        self.assertEqual(["text"], self.live)

    def test_invalid(self) -> None:
        """What the first refuses nobody else is asked for, and nothing changes."""
        round_ = self.round(0, 1)
        round_.answered(0, "invalid", "f is refused")
        self.assertEqual(([0], [], [(False, "f is refused")]), (self.asked, self.live, self.done))

    def test_later_refusal(self) -> None:
        """One that would not have what the first has is replaced, and that is said."""
        round_ = self.round(0, 1, 2)
        round_.answered(0, "applied", "f is live")
        round_.answered(1, "failed", "cannot be started\nmore")
        round_.answered(2, "applied", "f is live")
        self.assertEqual([1], self.replaced)
        said = "f is live\nworker 1 would not have it, and another takes its place: cannot be started"
        self.assertEqual([(True, said)], self.done)

    def test_dies(self) -> None:
        """A text that the first dies of is not live, and nobody else gets it."""
        round_ = self.round(0, 1)
        round_.lost(0)
        self.assertEqual(([0], []), (self.asked, self.live))
        why = "worker 0 ended while it read the configuration, and what was live stays so"
        self.assertEqual(([(False, why)], [why]), (self.done, self.said))

    def test_dies_later(self) -> None:
        """One that is gone is not waited for: its successor begins with what is live."""
        round_ = self.round(0, 1, 2)
        round_.lost(2)
        round_.answered(0, "applied", "f is live")
        round_.lost(1)
        self.assertEqual(([0, 1], [(True, "f is live")]), (self.asked, self.done))

    def test_leaves(self) -> None:
        """One that somebody has told to end says nothing against a text: the next one is asked, whatever it says."""
        round_ = self.round(0, 1, 2)
        round_.leaves(0)
        round_.answered(0, "failed", "lproxy is not running")
        round_.answered(1, "applied", "f is live")
        round_.leaves(2)
        self.assertEqual(([0, 1, 2], [(True, "f is live")], []), (self.asked, self.done, self.said))

    def test_leaves_unasked(self) -> None:
        """One that is still to be asked is not."""
        round_ = self.round(0, 1)
        round_.leaves(1)
        round_.answered(0, "applied", "f is live")
        self.assertEqual(([0], [(True, "f is live")]), (self.asked, self.done))

    def test_nobody(self) -> None:
        """Where nobody serves any more, nobody can say whether it is good."""
        self.round(0).leaves(0)
        why = "no worker serves any more that could read it, and what was live stays so"
        self.assertEqual(([(False, why)], [why]), (self.done, self.said))
