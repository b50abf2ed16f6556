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
        self.assertEqual((1, "kafka", None, None), (row["times"], row["layer"], row["target"], row["waited_seconds"]))

    def test_same(self) -> None:
        """One failure of one target is one row, whatever its line says of who asked, of waits and of request ids."""
        for n, target in ((1, "web:80"), (2, "web:80"), (3, "db:5432")):
            parts = Failed("connect", target, "connect: refused", n / 10)
            self.recent.warn("tcp-UF", f"client 10.0.0.{n}: closed after {n / 10} s (request {n})", parts)
        other, same = self.recent.describe()
        self.assertEqual((1, 2), (other["times"], same["times"]))
        self.assertEqual(
            ("client 10.0.0.2: closed after 0.2 s (request 2)", 0.2), (same["text"], same["waited_seconds"])
        )
        self.assertNotEqual(other["key"], same["key"])

    def test_bounded(self) -> None:
        """Of many, those that are longest ago go, and a long one is cut, to a line."""
        self.warn(*(f"{n}\n" + "x" * 1000 for n in range(3 * MOST)))
        rows = self.recent.describe()
        self.assertEqual((MOST, LENGTH), (len(rows), max(len(row["text"]) for row in rows)))
        self.assertTrue(rows[0]["text"].startswith(f"{3 * MOST - 1}?x"))
