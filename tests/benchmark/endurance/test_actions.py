# -*- test-case-name: tests.benchmark.endurance.test_actions -*-
"""
L{benchmark.endurance.actions}: what is done, how often, and what is told where it does not come to that.
"""

import random
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark.endurance import actions
from benchmark.endurance.actions import Amount, Chaos
from benchmark.process import ProcessFailed


class FakeProxy:
    """Remembers what is done to it; its files are what a test says."""

    def __init__(self, log: Path) -> None:
        self.workers = 2
        self.done: list[str] = []
        self.log = log
        self.fails = False

    def reload(self) -> str:
        self.done.append("reload")
        return "x is refused" if self.fails else "x is live"

    def take_over(self) -> None:
        self.done.append("take over")
        if self.fails:
            raise ProcessFailed("not within 60 s: a takeover")

    def in_charge(self) -> int:
        return 7

    def kill(self) -> None:
        self.done.append("kill")

    def fill(self) -> None:
        self.done.append("fill")

    def clear(self) -> None:
        self.done.append("clear")

    def ready(self) -> bool:
        return True

    def write(self, text: str | None = None) -> None:
        self.done.append("write" if text is None else "bad")

    def live(self) -> dict[str, Any]:
        return {"hash": 0 if self.fails else len(self.done), "differs_in_workers": []}

    def on_disk(self, name: str) -> Path:
        return self.log


class ChaosTests(SynchronousTestCase):
    """Each action by itself."""

    def setUp(self) -> None:
        for name in ("RELOADS", "TAKEOVERS", "KILLS", "CHANGES", "WATCHED", "DRAIN"):
            self.patch(actions, name, 0.0)
        log = Path(self.mktemp())
        log.write_text("a line\n")
        self.proxy: Any = FakeProxy(log)
        self.chaos = Chaos(self.proxy, Amount(0.01, 3, 2, 4, 3, 0.01, 0.01), random.Random(1))

    def test_all(self) -> None:
        """As many as there are to be, in their order; nothing is wrong."""
        found = {}
        self.patch(actions.time, "sleep", lambda seconds: None)
        for name, act in self.chaos.actions().items():
            act()
            found[name], self.proxy.done = self.proxy.done, []
        mixed = found.pop("all of it, mixed")
        self.assertEqual({"reload", "take over", "kill", "fill", "clear", "write"}, set(mixed))
        self.assertEqual(
            {
                "nothing": [],
                "3 reloads": ["reload"] * 3,
                "2 takeovers": ["take over"] * 2,
                "kill -9, 4 workers": ["kill"] * 4,
                "3 changes of the file": ["write", "write", "bad", "write"],
                "a full disk": ["fill", "reload", "take over", "kill", "clear"],
            },
            found,
        )
        self.assertEqual([], self.chaos.problems)

    def test_problems(self) -> None:
        """A reload that is refused, a change that nobody sees, a log that nobody writes."""
        self.proxy.fails = True
        self.chaos.reload()
        self.chaos.change()
        self.proxy.fails = False
        self.proxy.log.write_text("")
        self.chaos.fill()
        self.assertEqual(
            [
                *["a reload: x is refused"] * 3,
                *["not within 0 s: a changed file"] * 3,
                "not within 0 s: the access log is written again",
            ],
            self.chaos.problems,
        )

    def test_alone(self) -> None:
        """One process has no workers to kill; nothing is mixed where there is no time for that."""
        self.proxy.workers = 1
        chaos = Chaos(self.proxy, Amount(1.0, 1, 1, 1, 1, 0.01, 0.0), random.Random(1))
        self.assertEqual(
            ["nothing", "1 reloads", "1 takeovers", "1 changes of the file", "a full disk"], list(chaos.actions())
        )
