# -*- test-case-name: tests.benchmark.test_report -*-
"""
Turn runs into something to read: a table per scenario, and what a figure is worth nothing without.

A cell is the median of the rounds, in some columns with the least and the greatest in parentheses. Rounds in which
others used our two cores are left out as long as a quiet one remains; a row without one is marked. Ratios are those of
C{summary.txt}.
"""

import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmark import fortio, summary
from benchmark.metrics import Metric
from benchmark.peer import DIRECT, ENVOY, Peer, first_line
from benchmark.scenarios import Scenario
from benchmark.session import Plan, Run, counted
from benchmark.settings import Settings


@dataclass(frozen=True)
class Cell:
    """A metric of one proxy over the rounds."""

    median: float
    least: float
    greatest: float

    def text(self, metric: Metric) -> str:
        """The median, and the range where the metric's column has room for it and there is one."""
        middle, least, greatest = (f"{value:,.{metric.digits}f}" for value in (self.median, self.least, self.greatest))
        return f"{middle} ({least}-{greatest})" if metric.ranged and least != greatest else middle


def cell(runs: Sequence[Run], metric: Metric) -> Cell | None:
    """The metric over the runs that count; None when none of them has it."""
    values = [run.values[metric.key] for run in counted(runs) if metric.key in run.values]
    return Cell(statistics.median(values), min(values), max(values)) if values else None


def ratio(mine: Sequence[Run], theirs: Sequence[Run], metric: Metric) -> str:
    """What C{summary.txt} has as well, or a dash."""
    found = summary.ratio(mine, theirs, metric.key)
    return "-" if found is None else f"{found:.2f}"


def remarks(runs: Sequence[Run]) -> str:
    """What a reader of the row must know."""
    good = [run for run in runs if not run.error]
    words = []
    if failed := len(runs) - len(good):
        words.append(f"{failed} of {len(runs)} FAILED")
    noisy = sum(run.noisy for run in good)
    if noisy and noisy == len(good):
        words.append(f"NOISY: others disturbed all rounds (up to {worst(good):.0%} of a core)")
    elif noisy:
        words.append(f"{noisy} noisy left out")
    words += sorted({note for run in counted(runs) for note in run.notes})
    return "; ".join(words)


def worst(runs: Sequence[Run]) -> float:
    """The greatest share of a core that others used in a run; direct traffic does not use the proxy's core."""
    return max((max(run.foreign_load, run.foreign_proxy * (run.proxy != DIRECT)) for run in runs), default=0.0)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows with their columns aligned, the first and the last to the left."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [text.rjust(width) for text, width in zip(row, widths, strict=True)]
        cells[0], cells[-1] = row[0].ljust(widths[0]), row[-1]
        lines.append("  ".join(cells).rstrip())
    return lines


def reference(names: Sequence[str]) -> str | None:
    """The proxy that others are compared with: Envoy, or the first there is, if there is another."""
    proxies = [name for name in names if name != DIRECT]
    if len(proxies) < 2:
        return None
    return ENVOY if ENVOY in proxies else proxies[0]


def table(scenario: Scenario, names: Sequence[str], runs: Sequence[Run]) -> list[str]:
    """The lines of one scenario's table."""
    of = {name: [run for run in runs if run.scenario == scenario.name and run.proxy == name] for name in names}
    shown = [name for name in names if of[name]]
    # a column of zeros tells nothing that the absence of a remark does not
    shown_metrics = [metric for metric in scenario.metrics if metric.key != "errors"]
    base = reference(shown)
    ratios = [metric for metric in scenario.metrics if base and (metric.added or metric is scenario.metrics[0])]
    rows = [["", *(metric.title for metric in shown_metrics), *(f"{metric.title} / {base}'s" for metric in ratios), ""]]
    for name in shown:
        cells = [(cell(of[name], metric), metric) for metric in shown_metrics]
        texts = ["-" if found is None else found.text(metric) for found, metric in cells]
        against = [ratio(of[name], of[base], metric) for metric in ratios if base]
        rows.append(["direct" if name == DIRECT else name, *texts, *against, remarks(of[name])])
    return [f"{scenario.name}: {scenario.question}", *("  " + line for line in columns(rows)), ""]


def tables(what: Plan, runs: Sequence[Run]) -> str:
    """All tables."""
    lines: list[str] = []
    for scenario in what.scenarios:
        names = list(dict.fromkeys(peer.name for of, peer in what.pairs() if of is scenario))
        lines += table(scenario, names, runs)
    lines.append(f"Others used up to {worst(runs):.0%} of a core of ours during a run.")
    return "\n".join(lines)


def version_line(tool: str, command: Sequence[str]) -> str:
    """What C{command} says of itself, with the tool's name."""
    said = first_line(*command).partition(" Copyright")[0].removeprefix("nginx version: ")
    return said if said.startswith(tool) else f"{tool} {said}"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def environment(peers: Sequence[Peer], settings: Settings, cores: int, branch: str) -> dict[str, object]:
    """Date, machine, versions and settings: what a figure is worth nothing without."""
    tools = {"wrk": ("wrk", "--version"), "iperf3": ("iperf3", "--version"), "nginx": ("nginx", "-v")}
    if fortio.program().exists():
        tools["fortio"] = (str(fortio.program()), "version")
    return {
        "branch": branch,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "processor": f"{processor()}, {cores} cores",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_average": Path("/proc/loadavg").read_text().split()[0],
        "proxies": {peer.name: peer.version() for peer in peers if peer.name != DIRECT},
        "tools": {tool: version_line(tool, command) for tool, command in tools.items()},
        "settings": asdict(settings),
    }


def heading(about: dict[str, object]) -> str:
    """C{about}, an L{environment}, as lines."""
    lines = []
    for key, value in about.items():
        if isinstance(value, dict):
            inner = [f"{name}={it}" if key == "settings" else f"{it}" for name, it in value.items()]
            lines.append(f"{key + ':':14}{(' ' if key == 'settings' else '; ').join(inner)}")
        else:
            lines.append(f"{key + ':':14}{value}")
    return "\n".join(lines)
