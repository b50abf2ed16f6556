# -*- test-case-name: tests.benchmark.test_summary -*-
"""
C{summary.txt}: one header line, then a line per scenario and proxy, comma separated, units in the columns' names.

First what was measured, then how many runs there were and how many count, then for each metric its median, least and
greatest (C{p99_ms}, C{p99_ms_min}, C{p99_ms_max}), last the ratios to direct traffic and to the other proxies: what a
unit of work costs, how much got through, and p99. A ratio is the median of the rounds' own ratios, so that what a slow
minute did to both is not in it. A cell is empty where there is nothing. Columns are padded, for people.
"""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.metrics import COST, METRICS, THROUGHPUT
from benchmark.peer import DIRECT
from benchmark.session import Run, counted

NAME = "summary.txt"
LABELS = (
    *("scenario", "proxy", "product", "reactor", "python", "load", "protocol"),
    *("body_bytes", "target_per_s", "connections"),
)
COUNTS = ("runs", "counted", "noisy", "failed", "missed_target")
MIN, MAX, OF = "_min", "_max", "_of_"
#: the metrics that ratios are taken of; the first that a scenario has
RATIOS = {"cost": COST, "throughput": THROUGHPUT, "p99": ("p99_ms",)}


class WrongSummary(Exception):
    """A file is no summary, or not there; the text names it and says why."""


@dataclass(frozen=True)
class Spread:
    """A metric over the rounds that count."""

    median: float
    least: float
    greatest: float

    def overlaps(self, other: "Spread") -> bool:
        """Whether the two have a value in common."""
        return self.least <= other.greatest and other.least <= self.greatest


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Row:
    """
    One scenario with one proxy.

    @ivar labels: the value of each of L{LABELS}, as text
    @ivar counts: the value of each of L{COUNTS}
    @ivar values: metric -> spread
    @ivar ratios: C{cost_of_envoy} and the like -> ratio
    """

    labels: dict[str, str]
    counts: dict[str, int] = field(default_factory=dict)
    values: dict[str, Spread] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)

    @property
    def scenario(self) -> str:
        return self.labels["scenario"]

    @property
    def proxy(self) -> str:
        return self.labels["proxy"]


# from runs


def rows(runs: Sequence[Run]) -> list[Row]:
    """A row for each scenario and proxy, in the order in which they first ran."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.scenario, run.proxy), []).append(run)
    order = {name: at for at, name in enumerate(dict.fromkeys(run.scenario for run in runs))}
    found = [row(mine, groups) for mine in groups.values()]
    return sorted(found, key=lambda one: order[one.scenario])


def row(mine: Sequence[Run], groups: dict[tuple[str, str], list[Run]]) -> Row:
    """The runs of one scenario with one proxy; C{groups} has the others that ratios are taken to."""
    good = [run for run in mine if not run.error]
    used = counted(mine)
    first = mine[0]
    labels = {"scenario": first.scenario, "proxy": first.proxy} | {k: str(v) for k, v in first.labels.items()}
    counts = (
        len(mine),
        len(used),
        sum(run.noisy for run in good),
        len(mine) - len(good),
        sum(not run.reached for run in used),
    )
    keys = dict.fromkeys(key for run in used for key in run.values)
    values = {key: spread([run.values[key] for run in used if key in run.values]) for key in keys if key in METRICS}
    return Row(
        {label: labels.get(label, "") for label in LABELS},
        dict(zip(COUNTS, counts, strict=True)),
        values,
        dict(ratios(mine, [runs for (scenario, _), runs in groups.items() if scenario == first.scenario])),
    )


def ratios(mine: Sequence[Run], others: Sequence[Sequence[Run]]) -> Iterable[tuple[str, float]]:
    """Each ratio's column and value."""
    for theirs in others:
        if theirs[0].proxy == mine[0].proxy:
            continue
        name = "direct" if theirs[0].proxy == DIRECT else theirs[0].proxy
        for what, keys in RATIOS.items():
            for key in keys:
                if (found := ratio(mine, theirs, key)) is not None:
                    yield f"{what}{OF}{name}", found
                    break


def ratio(mine: Sequence[Run], theirs: Sequence[Run], key: str) -> float | None:
    """The median of the rounds' ratios; of the medians, where no round counts for both."""
    ours, others = (
        {run.round: run.values[key] for run in counted(runs) if key in run.values} for runs in (mine, theirs)
    )
    each = [ours[number] / others[number] for number in ours if others.get(number, 0) > 0]
    if each:
        return statistics.median(each)
    if ours and others and (base := statistics.median(others.values())) > 0:
        return statistics.median(ours.values()) / base
    return None


# to and from text


def write(found: Sequence[Row]) -> str:
    """The file's text."""
    keys = [key for key in METRICS if any(key in one.values for one in found)]
    # in the order of RATIOS, and of the proxies
    against = sorted(
        dict.fromkeys(key for one in found for key in one.ratios),
        key=lambda key: list(RATIOS).index(key.partition(OF)[0]),
    )
    table = [[*LABELS, *COUNTS, *(key + end for key in keys for end in ("", MIN, MAX)), *against]]
    for one in found:
        cells = [one.labels.get(label, "") for label in LABELS]
        cells += [str(one.counts.get(count, "")) for count in COUNTS]
        for key in keys:
            at = one.values.get(key)
            cells += ["", "", ""] if at is None else [number(value) for value in (at.median, at.least, at.greatest)]
        cells += [number(one.ratios[key]) if key in one.ratios else "" for key in against]
        table.append(cells)
    table = [[quoted(cell) for cell in line] for line in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = (", ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in table)
    return "".join(line.rstrip() + "\n" for line in lines)


def number(value: float) -> str:
    """Five digits, without an exponent."""
    return (
        f"{value:.0f}"
        if abs(value) >= 10_000
        else f"{value:.5g}"
        if abs(value) >= 1e-4 or not value
        else f"{value:.8f}"
    )


def quoted(cell: str) -> str:
    """As CSV has it where a cell contains a comma or a quote."""
    if not set(cell) & set(',"\n'):
        return cell
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([cell])
    return text.getvalue()


def read(path: Path) -> list[Row]:
    """The rows of a summary, or of the one in that folder. Raises L{WrongSummary}."""
    file = path / NAME if path.is_dir() else path
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSummary(f"{file}: {getattr(error, 'strerror', None) or 'not text'}") from error
    lines = [[cell.strip() for cell in line] for line in csv.reader(text.splitlines(), skipinitialspace=True) if line]
    if not lines or lines[0][:2] != list(LABELS[:2]):
        raise WrongSummary(
            f"{file}: not a summary of a benchmark: its first line should begin with {', '.join(LABELS[:2])}"
        )
    header, found = lines[0], []
    if len(set(header)) < len(header):
        raise WrongSummary(f"{file}: a column stands there twice")
    for at, cells in enumerate(lines[1:], 2):
        if len(cells) > len(header):
            raise WrongSummary(f"{file}: line {at} has {len(cells)} cells for {len(header)} columns")
        # what is empty at a line's end may have been cut
        found.append(
            parsed(dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=True)), f"{file}: line {at}")
        )
    if not found:
        raise WrongSummary(f"{file}: it has no results")
    return found


def parsed(cells: dict[str, str], where: str) -> Row:
    """One line."""

    def figure(column: str) -> float:
        try:
            value = float(cells[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise WrongSummary(f"{where}: {column}: {cells[column]!r} is no number")
        return value

    values = {}
    for key in METRICS:
        if cells.get(key):
            middle = figure(key)
            values[key] = Spread(middle, *(figure(key + end) if cells.get(key + end) else middle for end in (MIN, MAX)))
    return Row(
        {label: cells.get(label, "") for label in LABELS},
        {count: int(figure(count)) for count in COUNTS if cells.get(count)},
        values,
        {key: figure(key) for key, cell in cells.items() if cell and key.partition(OF)[0] in RATIOS and OF in key},
    )
