#!/usr/bin/env python3
# -*- test-case-name: tests.benchmark.test_plot -*-
"""
C{benchmark/plot.py A B}: two results in one picture; with A alone, all of its proxies.

A and B are run folders, summaries, or one proxy of them (C{FOLDER:PROXY}): two branches, two reactors, two proxies.
Bars are medians, and the lines on them reach from the least to the greatest of the rounds. One picture each for CPU,
throughput, latency and memory, as PNG and SVG, with a panel per scenario. It needs no display.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__" and not __package__:
    # run as a file: the folder with this package in it, not the package, whose profile.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmark.metrics import COST, METRICS, THROUGHPUT, of_group
from benchmark.peers import DIRECT
from benchmark.summary import Row, Spread, WrongSummary, paired, side, sides

#: always the same, so that pictures can be compared
COLOURS = {
    DIRECT: "#b8b8b8",
    "lproxy": "#e8743b",
    "nginx": "#4c9f70",
    "haproxy": "#3f7cac",
    "envoy": "#8e6bbf",
    "stock": "#c9a227",
}
#: for what is not there
OTHERS = ("#e8743b", "#3f7cac", "#4c9f70", "#8e6bbf", "#c9a227", "#2aa198", "#d1495b", "#6c757d", "#9c6644", "#495057")
TITLES = {
    "cpu": "CPU of the proxy for a unit of work (less is better)",
    "throughput": "Throughput (more is better)",
    "latency": "Latency (less is better)",
    "memory": "Memory of the proxy (less is better)",
}
PANEL_WIDTH, PANEL_HEIGHT, COLUMNS = 5.2, 3.9, 3
#: more bars than this in a panel, and there is no room for a number on each
NUMBERED = 16
#: when the largest bar of a latency is so many times the smallest, the small ones need a logarithmic axis to be seen
LOGARITHMIC = 30


IDLE = "idle_kib_per_connection"


class CannotPlot(Exception):
    """There is nothing to draw, or nothing to draw with; the text says which."""


@dataclass(frozen=True)
class Panel:
    """
    Bars side by side in groups.

    @ivar groups: what stands below the bars
    @ivar series: label -> for each group its bar, or None
    @ivar colours: for each series, or for each group where there is but one series
    """

    title: str
    unit: str
    groups: list[str]
    series: dict[str, list[Spread | None]]
    colours: list[str]

    @property
    def bars(self) -> int:
        return len(self.groups) * len(self.series)


def shown(name: str) -> str:
    return "direct" if name == DIRECT else name


def colours(names: Sequence[str]) -> list[str]:
    """One for each name, the known ones their own, and never the same for two."""
    found = {name: COLOURS[name] for name in names if name in COLOURS}
    free = [colour for colour in OTHERS if colour not in found.values()]
    for name in names:
        if name not in found:
            found[name] = free.pop(0) if free else OTHERS[len(found) % len(OTHERS)]
    return [found[name] for name in names]


def keys_of(group: str, rows: Sequence[Row], idle: bool) -> list[str]:
    """The metrics of a group's panels in one scenario: of what a unit costs, and of what got through, the first.

    Memory under load is only shown where no scenario has looked at it without: C{idle}.
    """
    there = [metric.key for metric in of_group(group) if any(metric.key in row.values for row in rows)]
    if group == "memory" and IDLE not in there and idle:
        return []
    first = next((key for key in (*COST, *THROUGHPUT) if key in there), None)
    return [first] if group in ("cpu", "throughput") and first else there


# one result


def panels(group: str, rows: Sequence[Row]) -> Iterator[Panel]:
    """All proxies of each scenario beside each other."""
    idle = any(IDLE in row.values for row in rows)
    for scenario in dict.fromkeys(row.scenario for row in rows):
        mine = [row for row in rows if row.scenario == scenario]
        keys = keys_of(group, mine, idle)
        mine = [row for row in mine if any(key in row.values for key in keys)]
        names = [row.proxy for row in mine]
        labels = [shown(name) for name in names]
        if group == "latency" and keys:
            series = {shown(row.proxy): [row.values.get(key) for key in keys] for row in mine}
            yield Panel(
                scenario, "ms", [METRICS[key].title.removesuffix(" ms") for key in keys], series, colours(names)
            )
            continue
        for key in keys:
            yield Panel(
                scenario, METRICS[key].title, labels, {"": [row.values.get(key) for row in mine]}, colours(names)
            )


# two results


def paired_panels(group: str, first: str, second: str) -> Iterator[Panel]:
    """Each proxy of A beside that of B."""
    one, two = sides(first, second)
    pairs, _ = paired(one, two)
    both = (one.label, two.label)
    idle = any(IDLE in row.values for pair in pairs for row in (pair.first, pair.second))
    for scenario in dict.fromkeys(pair.scenario for pair in pairs):
        mine = [pair for pair in pairs if pair.scenario == scenario]
        keys = keys_of(group, [row for pair in mine for row in (pair.first, pair.second)], idle)
        mine = [p for p in mine if any(key in p.first.values or key in p.second.values for key in keys)]
        if group == "latency" and keys:
            for pair in mine:
                rows = (pair.first, pair.second)
                series = {label: [row.values.get(key) for key in keys] for label, row in zip(both, rows, strict=True)}
                groups = [METRICS[key].title.removesuffix(" ms") for key in keys]
                yield Panel(f"{scenario}, {shown(pair.name)}", "ms", groups, series, list(OTHERS[:2]))
            continue
        for key in keys:
            series = {one.label: [pair.first.values.get(key) for pair in mine]}
            series[two.label] = [pair.second.values.get(key) for pair in mine]
            yield Panel(scenario, METRICS[key].title, [shown(pair.name) for pair in mine], series, list(OTHERS[:2]))


# on paper


def draw(group: str, found: Sequence[Panel], prefix: Path, logy: bool = False) -> list[Path]:
    """One picture of all panels, as PNG and SVG: C{prefix-group.png}."""
    try:
        import matplotlib

        # no display, and the same picture from the same figures
        matplotlib.use("agg")
        matplotlib.rcParams["svg.hashsalt"] = "lproxy"
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CannotPlot("matplotlib is not installed: pip install matplotlib (or lproxy[benchmark])") from error
    across = min(COLUMNS, len(found))
    down = math.ceil(len(found) / across)
    logy = logy or (group == "latency" and any(map(wide, found)))
    # half an inch for the title
    figure = Figure(figsize=(max(PANEL_WIDTH * across, 6.4), PANEL_HEIGHT * down + 0.5), layout="constrained")
    figure.suptitle(TITLES[group] + (", logarithmic" if logy else ""), fontsize=13)
    axes = figure.subplots(down, across, squeeze=False)
    for at, axis in enumerate(axes.flat):
        if at < len(found):
            bars(axis, found[at], logy)
        else:
            axis.set_axis_off()
    paths = [prefix.with_name(f"{prefix.name}-{group}.{kind}") for kind in ("png", "svg")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a date would make a difference where there is none
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def wide(panel: Panel) -> bool:
    """Whether its bars differ so much that some could not be seen."""
    heights = [spread.median for spreads in panel.series.values() for spread in spreads if spread and spread.median > 0]
    return bool(heights) and max(heights) > LOGARITHMIC * min(heights)


def bars(axis, panel: Panel, logy: bool) -> None:  # type: ignore[no-untyped-def]
    """One panel."""
    width = 0.8 / len(panel.series)
    top = 0.0
    for at, (label, spreads) in enumerate(panel.series.items()):
        there = [(group, spread) for group, spread in enumerate(spreads) if spread and (spread.median > 0 or not logy)]
        if not there:
            continue
        places = [group + (at - (len(panel.series) - 1) / 2) * width for group, _ in there]
        heights = [spread.median for _, spread in there]
        # a line below zero has no place on a logarithm's axis
        low = [spread.median - max(spread.least, spread.median / 100 if logy else spread.least) for _, spread in there]
        high = [spread.greatest - spread.median for _, spread in there]
        colour = [panel.colours[group] for group, _ in there] if len(panel.series) == 1 else panel.colours[at]
        drawn = axis.bar(places, heights, width * 0.92, label=label, color=colour, zorder=2)
        axis.errorbar(places, heights, [low, high], fmt="none", ecolor="#333333", elinewidth=1, capsize=2.5, zorder=3)
        top = max(top, *(spread.greatest for _, spread in there))
        if panel.bars <= NUMBERED:
            axis.bar_label(drawn, [brief(height) for height in heights], padding=3, fontsize=7.5, rotation=0)
    if logy:
        axis.set_yscale("log")
    else:
        # room for the numbers
        axis.set_ylim(0, top * 1.14 or 1)
    axis.set_title(panel.title, fontsize=10)
    axis.set_ylabel(panel.unit, fontsize=9)
    long = max(map(len, panel.groups), default=0) * len(panel.groups) > 52
    axis.set_xticks(range(len(panel.groups)), panel.groups, fontsize=8.5)
    if long:
        axis.tick_params("x", rotation=35)
        for tick in axis.get_xticklabels():
            tick.set_horizontalalignment("right")
            tick.set_rotation_mode("anchor")
    axis.tick_params("y", labelsize=8.5)
    axis.grid(axis="y", color="#dddddd", linewidth=0.7, zorder=0)
    axis.spines[["top", "right"]].set_visible(False)
    if len(panel.series) > 1:
        axis.legend(fontsize=8, framealpha=0.9)


def brief(value: float) -> str:
    """Three digits."""
    if value >= 9_950:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def pictures(first: str, second: str | None, prefix: Path, logy: bool = False) -> list[Path]:
    """
    Every picture for which there are figures. Raises L{WrongSummary} and L{CannotPlot}.

    @return: the files written, PNG and SVG of each
    """
    paths: list[Path] = []
    rows = side(first).rows if second is None else []
    for group in TITLES:
        found = list(panels(group, rows) if second is None else paired_panels(group, first, second))
        if found:
            paths += draw(group, found, prefix, logy)
    if not paths:
        raise CannotPlot(
            "nothing to draw: " + (first if second is None else f"{first} and {second} have nothing in common")
        )
    return paths


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="benchmark/plot.py",
        description=str(__doc__).replace("C{benchmark/plot.py A B}: two", "Two").replace("C{", "").replace("}", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("first", metavar="A")
    result.add_argument("second", metavar="B", nargs="?")
    result.add_argument("--logy", action="store_true", help="a logarithmic axis")
    result.add_argument(
        "-o", "--output", metavar="PREFIX", type=Path, default=Path("plot"), help="how files begin (default: plot)"
    )
    return result


def main(words: Sequence[str]) -> int:
    """Exit status 0, or 2 when there is nothing to draw, or nothing to draw with."""
    options = parser().parse_args(words)
    try:
        paths = pictures(options.first, options.second, options.output, options.logy)
    except (WrongSummary, CannotPlot, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(map(str, paths)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
