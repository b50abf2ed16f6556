# -*- test-case-name: tests.integration.test_sample_plugin -*-
"""
What is counted of memo.
"""

from __future__ import annotations

from collections.abc import Iterable

from lproxy.api import SECONDS, Family, Histogram, Runtime


class CommandCounter:
    """One command of one listener."""

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.seconds = Histogram(SECONDS)

    def mark(self) -> int:
        """Changes whenever something was counted: a command that nobody gives any more is forgotten."""
        return sum(self.outcomes.values())

    def held(self) -> bool:
        """Nobody keeps a counter: it is asked for anew for each answer."""
        return False


class MemoMetrics:
    """Commands by name. Names are the clients' to choose, so there is a bound on how many are told apart."""

    def __init__(self, runtime: Runtime) -> None:
        self._listener = runtime.listen.name
        self._commands = runtime.counters.series(CommandCounter, "command")
        runtime.counters.families(self.families)

    def count(self, command: str, outcome: str, seconds: float) -> None:
        """C{command} was answered."""
        counter = self._commands.get((("listener", self._listener), ("command", command)))
        counter.outcomes[outcome] = counter.outcomes.get(outcome, 0) + 1
        counter.seconds.observe(seconds)

    def families(self) -> Iterable[Family]:
        """Asked at each scrape."""
        commands = self._commands.items()
        yield Family(
            "memo_commands_total",
            "counter",
            "Memo commands, by how they were answered.",
            [((*labels, ("outcome", outcome)), n) for labels, c in commands for outcome, n in c.outcomes.items()],
        )
        yield Family(
            "memo_command_seconds",
            "histogram",
            "Time from a memo command until its answer.",
            [(labels, counter.seconds) for labels, counter in commands],
        )
