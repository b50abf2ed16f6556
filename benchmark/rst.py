# -*- test-case-name: tests.benchmark.test_rst -*-
"""
C{python -m benchmark rst FOLDER}: the tables of a result as reStructuredText, as docs/performance.rst has them.

A test holds the document against the results that are kept beside it, so that no figure in a table can be made up.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.metrics import COST, METRICS, THROUGHPUT
from benchmark.peer import DIRECT
from benchmark.summary import Row, Spread, WrongSummary, read

#: of whose cost a proxy's is shown as a ratio: the first of them that is there
REFERENCES = ("envoy", "haproxy")
#: the columns, as far as a scenario has them: of the first two sorts the first there is
SHOWN = (
    *(COST, THROUGHPUT, ("p50_ms",), ("p99_ms",), ("p999_ms",), ("rss_start_mib",), ("rss_full_mib",)),
    *(("streams_kib",), ("unread_mib",), ("cpu_us_plaintext",), ("of_plaintext",)),
)


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """Scenario -> its table."""
    scenarios = dict.fromkeys(row.scenario for row in rows)
    return {name: table([row for row in rows if row.scenario == name]) for name in scenarios}


def table(rows: Sequence[Row]) -> str:
    """All proxies of one scenario."""
    there = {key for row in rows for key in row.values}
    keys = [key for sort in SHOWN if (key := next((key for key in sort if key in there), None))]
    base = next((f"cost_of_{name}" for name in REFERENCES if any(f"cost_of_{name}" in row.ratios for row in rows)), "")
    head = ["proxy", *(METRICS[key].title for key in keys), "rounds that count"]
    head += [f"cost of {base.removeprefix('cost_of_')}'s"] if base else []
    lines = [head]
    for row in rows:
        cells = ["direct" if row.proxy == DIRECT else row.proxy]
        cells += [cell(row.values.get(key), METRICS[key].digits) for key in keys]
        cells.append(f"{row.counts['counted']} of {row.counts['runs']}")
        if base:
            own = base == f"cost_of_{row.proxy}"
            cells.append("1.00" if own else f"{row.ratios[base]:.2f}" if base in row.ratios else "-")
        lines.append(cells)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = " ".join("=" * width for width in widths)
    text = [" ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([rule, text[0], rule, *text[1:], rule]) + "\n"


def cell(at: Spread | None, digits: int) -> str:
    if at is None:
        return "-"
    middle, least, greatest = (f"{value:,.{digits}f}" for value in (at.median, at.least, at.greatest))
    return middle if least == greatest else f"{middle} ({least} to {greatest})"


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmark rst", description="A result's tables, for a document.")
    parser.add_argument("folder", type=Path)
    try:
        for name, text in tables(read(parser.parse_args(words).folder)).items():
            print(f"{name}\n\n{text}")
    except WrongSummary as error:
        print(error, file=sys.stderr)
        return 2
    return 0
