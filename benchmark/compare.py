# -*- test-case-name: tests.benchmark.test_compare -*-
"""
C{python -m benchmark compare A B}: what differs between two results, and by how much more than chance.

A and B are run folders, summaries, or one proxy of them (C{FOLDER:PROXY}): two branches, two reactors, two proxies.
Where the spreads of the rounds overlap, a difference is within noise, however large it looks.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.metrics import GROUPS, METRICS, Metric
from benchmark.pairs import Pair, paired, sides
from benchmark.report import columns
from benchmark.summary import Spread, WrongSummary

EPILOG = """\
exit status: 0 nothing is worse by more than the factor; 1 something is, or has failed in B; 2 nothing to compare.
"""
#: how much worse is too much
FACTOR = 1.25
#: what is compared: all that has a picture, and errors
COMPARED = [metric for metric in METRICS.values() if metric.group in GROUPS or metric.key == "errors"]


@dataclass(frozen=True)
class Difference:
    """
    One metric of a pair.

    @ivar change: B to A, or None where A is zero
    @ivar worse: by which factor B is worse; below 1 it is better
    @ivar noise: the spreads overlap
    """

    pair: Pair
    metric: Metric
    first: Spread
    second: Spread

    @property
    def change(self) -> float | None:
        return self.second.median / self.first.median if self.first.median else None

    @property
    def worse(self) -> float:
        good, bad = (self.second, self.first) if self.metric.more_is_better else (self.first, self.second)
        if good.median == bad.median:
            return 1.0
        return bad.median / good.median if good.median else float("inf")

    @property
    def noise(self) -> bool:
        return self.first.overlaps(self.second)

    def verdict(self, factor: float) -> str:
        """One or two words."""
        if self.first.median == self.second.median:
            return "same"
        if self.noise:
            return "within noise"
        if self.worse <= 1:
            return "better"
        return "WORSE" if self.worse > factor else "worse"

    def cells(self, factor: float) -> list[str]:
        """The line of the table."""
        change = "" if self.change is None else f"{self.change:.2f}"
        names = [self.pair.scenario, self.pair.name, self.metric.title]
        return [*names, self._text(self.first), self._text(self.second), change, self.verdict(factor)]

    def _text(self, at: Spread) -> str:
        middle, least, greatest = (f"{v:,.{self.metric.digits}f}" for v in (at.median, at.least, at.greatest))
        return f"{middle} ({least} to {greatest})" if least != greatest else middle


def differences(pairs: Sequence[Pair]) -> list[Difference]:
    """Every metric that both of a pair have."""
    return [
        Difference(pair, metric, pair.first.values[metric.key], pair.second.values[metric.key])
        for pair in pairs
        for metric in COMPARED
        if metric.key in pair.first.values and metric.key in pair.second.values
    ]


def lost(pairs: Sequence[Pair]) -> list[str]:
    """In words what A has and B has not: runs that failed, metrics that are gone."""
    words = []
    for pair in pairs:
        gone = [key for key in pair.first.values if key not in pair.second.values]
        if gone and not pair.second.values:
            words.append(f"{pair.scenario}, {pair.name}: failed in B")
        elif gone:
            words.append(f"{pair.scenario}, {pair.name}: not in B: {', '.join(gone)}")
    return words


def report(first: str, second: str, factor: float = FACTOR) -> tuple[str, int]:
    """The table with all that is to be said about it, and the exit status. Raises L{WrongSummary}."""
    one, two = sides(first, second)
    pairs, alone = paired(one, two)
    found = differences(pairs)
    if not found:
        raise WrongSummary(f"{first} and {second} have nothing in common")
    head = ["scenario", "proxy", "metric", f"A: {one.label}", f"B: {two.label}", "B / A", "verdict"]
    lines = columns([head, *(one.cells(factor) for one in found)])
    bad = [one for one in found if one.verdict(factor) == "WORSE"]
    gone = lost(pairs)
    lines += ["", *(f"note: {words}" for words in alone), *(f"LOST: {words}" for words in gone)]
    if any(pair.first.counts.get("counted", 2) < 2 or pair.second.counts.get("counted", 2) < 2 for pair in pairs):
        lines.append("note: what was measured only once has no spread, so that every difference looks real")
    if bad:
        lines.append(f"{len(bad)} of {len(found)} figures are worse by more than {factor:g}, beyond the noise:")
        lines += [f"  {one.pair.scenario}, {one.pair.name}: {one.metric.title} {one.worse:.2f}" for one in bad]
    else:
        lines.append(f"of {len(found)} figures none is worse by more than {factor:g}, beyond the noise")
    return "\n".join(lines) + "\n", 1 if bad or gone else 0


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmark compare",
        description=__doc__.partition("\n\n")[2].replace("C{", "").replace("}", ""),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("first", metavar="A", help="what was before")
    parser.add_argument("second", metavar="B", help="what is now")
    parser.add_argument("--factor", type=float, default=FACTOR, help=f"how much worse is too much (default: {FACTOR})")
    options = parser.parse_args(words)
    if not options.factor >= 1:
        parser.error("--factor is at least 1")
    try:
        text, status = report(options.first, options.second, options.factor)
    except WrongSummary as error:
        print(error, file=sys.stderr)
        return 2
    print(text, end="")
    return status
