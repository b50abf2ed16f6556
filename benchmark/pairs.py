# -*- test-case-name: tests.benchmark.test_pairs -*-
"""
What of two results belongs together: the same scenario and proxy, or two proxies, two branches, two reactors.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmark.summary import NAME, Row, WrongSummary, read


@dataclass(frozen=True)
class Side:
    """What is compared: rows, and what to call them."""

    label: str
    rows: list[Row]


def side(text: str) -> Side:
    """C{FOLDER} or C{FILE}, or one of their proxies alone: C{FOLDER:PROXY}. Raises L{WrongSummary}."""
    if Path(text).exists():
        path = Path(text).absolute()
        return Side((path.parent if path.name == NAME else path).name, read(path))
    place, colon, proxy = text.rpartition(":")
    if not colon:
        raise WrongSummary(f"{text}: no such file or folder")
    found = read(Path(place))
    chosen = [one for one in found if one.proxy == proxy]
    if not chosen:
        names = ", ".join(dict.fromkeys(one.proxy for one in found))
        raise WrongSummary(f"{text}: no proxy called {proxy} in {place} (there are {names})")
    return Side(proxy, chosen)


def sides(first: str, second: str) -> tuple[Side, Side]:
    """Two of them, with names that differ."""
    one, two = side(first), side(second)
    if one.label == two.label:
        labels = (
            (first.rstrip("/"), second.rstrip("/")) if first != second else (f"{one.label} (A)", f"{two.label} (B)")
        )
        one, two = Side(labels[0], one.rows), Side(labels[1], two.rows)
    return one, two


@dataclass(frozen=True)
class Pair:
    """The same measurement on both sides. C{name} is the proxy's, or both."""

    name: str
    first: Row
    second: Row

    @property
    def scenario(self) -> str:
        return self.first.scenario


def paired(one: Side, two: Side) -> tuple[list[Pair], list[str]]:
    """
    Rows of the same scenario and proxy; and if each side has just one more proxy in a scenario, those two.

    Also in words what has no counterpart.
    """
    pairs, alone = [], []
    for scenario in dict.fromkeys(row.scenario for row in one.rows + two.rows):
        mine, theirs = ({row.proxy: row for row in s.rows if row.scenario == scenario} for s in (one, two))
        shared = [name for name in mine if name in theirs]
        pairs += [Pair(name, mine[name], theirs[name]) for name in shared]
        left, right = ([row for name, row in rows.items() if name not in shared] for rows in (mine, theirs))
        if len(left) == len(right) == 1:
            pairs.append(Pair(f"{left[0].proxy} / {right[0].proxy}", left[0], right[0]))
        else:
            for rows, label in ((left, one.label), (right, two.label)):
                alone += [f"{row.scenario}, {row.proxy}: only in {label}" for row in rows]
    return pairs, alone
