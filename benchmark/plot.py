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
from benchmark.pairs import paired, side, sides
from benchmark.peer import DIRECT
from benchmark.summary import Row, Spread, WrongSummary

#: always the same, so that pictures can be compared
COLOURS = {
    DIRECT: "#b8b8b8",
    "lproxy": "#e8743b",
    "lproxy-compiled": "#b5431f",
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
PANEL_WIDTH, PANEL_HEIGHT = 4.8, 3.9
#: panels in a row, where three would leave one alone in the next
ROWS = {4: 4, 7: 4, 8: 4}
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
    @ivar series: label -> for each group its bar, or None; a single one with the label "" is nobody's
    @ivar colours: for each series, or for each group where the series is nobody's
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
    across = ROWS.get(len(found), min(3, len(found)))
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
    # one legend for all, where it hides nothing
    labelled = {label: one for axis in axes.flat for one, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if any(len(panel.series) > 1 for panel in found):
        figure.legend(labelled.values(), labelled, loc="outside lower center", ncols=min(6, len(labelled)), fontsize=9)
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
    top, bottom = 0.0, math.inf
    for at, (label, spreads) in enumerate(panel.series.items()):
        there = [(group, spread) for group, spread in enumerate(spreads) if spread and (spread.median > 0 or not logy)]
        if not there:
            continue
        places = [group + (at - (len(panel.series) - 1) / 2) * width for group, _ in there]
        heights = [spread.median for _, spread in there]
        # a line below zero has no place on a logarithm's axis
        low = [spread.median - max(spread.least, spread.median / 100 if logy else spread.least) for _, spread in there]
        high = [spread.greatest - spread.median for _, spread in there]
        colour = [panel.colours[group] for group, _ in there] if label == "" else panel.colours[at]
        axis.bar(places, heights, width * 0.92, label=label, color=colour, zorder=2)
        axis.errorbar(places, heights, [low, high], fmt="none", ecolor="#333333", elinewidth=1, capsize=2.5, zorder=3)
        top = max(top, *(spread.greatest for _, spread in there))
        bottom = min(bottom, *heights, *(spread.least for _, spread in there if spread.least > 0))
        if panel.bars <= NUMBERED:
            for place, height, above in zip(places, heights, high, strict=True):
                # above the line that shows the spread, or neither could be read
                at_top = (place, height + above)
                axis.annotate(
                    brief(height), at_top, (0, 3), textcoords="offset points", ha="center", fontsize=7.5, zorder=4
                )
    if logy:
        axis.set_yscale("log")
        if top:
            # from a power of ten on, or small differences would look large
            axis.set_ylim(10 ** math.floor(math.log10(bottom * 0.9)), top * 1.4)
        # 0.5, not 5 x 10 to the power of -1
        axis.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
        axis.yaxis.set_minor_formatter(lambda value, place: f"{value:g}" if f"{value:e}"[0] in "25" else "")
        axis.tick_params("y", which="minor", labelsize=7.5)
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
