# -*- test-case-name: tests.benchmark.endurance.test_report -*-
"""
What was counted, as a table for each thing that was done, and what of it must not be.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmark.endurance.census import Census
from benchmark.endurance.tally import Kill, Tally, reasons


class Row(NamedTuple):
    """
    What came of one action.

    @ivar kills: workers that were killed meanwhile
    @ivar problems: what should have come of it, and did not
    """

    action: str
    tallies: Sequence[Tally]
    kills: Sequence[Kill]
    before: Census
    after: Census
    problems: Sequence[str]


def lines(row: Row) -> Iterator[str]:
    """For people."""
    yield f"{row.action}"
    yield f"  {'client':<16} {'begun':>7} {'done':>7} {'again':>6} {'lost':>5} {'though none was killed':>23}"
    for tally in row.tallies:
        wrong = tally.inexcusable(row.kills)
        lost = len(tally.losses)
        text = f"  {tally.client:<16} {tally.begun:>7} {tally.done:>7} {tally.again:>6} {lost:>5} {len(wrong):>23}"
        yield text + (f"  {reasons(wrong)}" if wrong else "")
    yield f"  before: {row.before}"
    yield f"  after:  {row.after}"


def missed(row: Row) -> Iterator[str]:
    """What must not be."""
    for tally in row.tallies:
        wrong = tally.inexcusable(row.kills)
        if wrong:
            yield f"{row.action}: {tally.client}: lost {len(wrong)} of {tally.begun}: {reasons(wrong)}"
        if not tally.done:
            yield f"{row.action}: {tally.client}: nothing was done"
    for more in row.after.grown(row.before):
        yield f"{row.action}: {more}"
    for problem in row.problems:
        yield f"{row.action}: {problem}"
