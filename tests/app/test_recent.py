# -*- test-case-name: tests.app.test_recent -*-
"""
L{lproxy.app.recent}: what went wrong lately.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.recent import LENGTH, MOST, Recent
from lproxy.errors import Failed


class RecentTests(SynchronousTestCase):
    """Failures, as they are told to the log."""

    def setUp(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.now = 1000.0
        self.recent = Recent(lambda kind, text: self.told.append((kind, text)), lambda: self.now)

    def warn(self, *texts: str) -> None:
        for text in texts:
            self.now += 1.0
            self.recent.warn("http", text)

    def shown(self) -> list[tuple[Any, ...]]:
        return [(row["at"], row["text"], row["times"]) for row in self.recent.describe()]

    def test_latest_first(self) -> None:
        """Each goes to the log as well; the latest is shown first, what comes again is counted."""
        self.warn("a", "b", "a")
        self.assertEqual([(1003.0, "a", 2), (1002.0, "b", 1)], self.shown())
        self.assertEqual([("http", "a"), ("http", "b"), ("http", "a")], self.told)

    def test_kinds(self) -> None:
        """The same words of another kind are something else."""
        self.warn("a")
        self.recent.warn("kafka", "a")
        self.assertEqual(["kafka", "http"], [row["kind"] for row in self.recent.describe()])

    def test_parts(self) -> None:
        """Layer, target, cause and wait are shown of the last time, where they are known."""
        self.recent.warn("http", "a", Failed("connect", "web:80", "connect:\nrefused", 0.12345))
        self.warn("b")
        plain, row = self.recent.describe()
        names = ("layer", "target", "cause", "waited_seconds")
        self.assertEqual(("connect", "web:80", "connect:?refused", 0.123), tuple(row[name] for name in names))
        self.assertEqual([None] * 4, [plain[name] for name in names])
        self.recent.warn("http", "a", Failed("kafka", "", "why", None))
        row = self.recent.describe()[0]
        self.assertEqual((2, "kafka", None, None), (row["times"], row["layer"], row["target"], row["waited_seconds"]))

    def test_bounded(self) -> None:
        """Of many, those that are longest ago go, and a long one is cut, to a line."""
        self.warn(*(f"{n}\n" + "x" * 1000 for n in range(3 * MOST)))
        rows = self.recent.describe()
        self.assertEqual((MOST, LENGTH), (len(rows), max(len(row["text"]) for row in rows)))
        self.assertTrue(rows[0]["text"].startswith(f"{3 * MOST - 1}?x"))
