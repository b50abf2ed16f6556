# -*- test-case-name: tests.benchmark.test_rst -*-
"""
C{python -m benchmark rst FOLDER}: the tables of a result as reStructuredText, as docs/performance.rst has them.

With C{--into FILE} they take the place of those in a document that stand behind a comment C{.. figures: NAME}, where
NAME is a scenario, or one of L{benchmark.aims.AIMS}; what the result does not have stays as it is. A test holds the
document against the results that are kept beside it, so that no figure in a table can be made up.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark import aims
from benchmark.metrics import COST, METRICS, THROUGHPUT
from benchmark.peer import DIRECT
from benchmark.summary import Row, Spread, WrongSummary, read

#: of whose cost a proxy's is shown as a ratio: the first of them that is there
REFERENCES = ("envoy", "haproxy")
#: the columns, as far as a scenario has them: of the first two sorts the first there is
SHOWN = (
    *(COST, THROUGHPUT, ("p50_ms",), ("p99_ms",), ("p999_ms",), ("rss_start_mib",), ("rss_full_mib",)),
    *(("streams_kib",), ("unread_mib",), ("cpu_us_plaintext",), ("of_plaintext",)),
    *(("cpu_us_unrouted",), ("of_unrouted",), ("start_s",), ("start_added_s",)),
    *(("cpu_us_unobserved",), ("of_unobserved",), ("observed_percent",)),
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
    return aims.grid(lines)


def cell(at: Spread | None, digits: int) -> str:
    if at is None:
        return "-"
    middle, least, greatest = (f"{value:,.{digits}f}" for value in (at.median, at.least, at.greatest))
    return middle if least == greatest else f"{middle} ({least} to {greatest})"


#: a table with the comment before it that says which it is, or such a comment alone
PLACE = re.compile(
    r"^\.\. figures: (?P<name>\S+)\n"
    r"(?:\n(?P<table>(?P<rule>=+(?: =+)+)\n.*?\n(?P=rule)\n.*?\n(?P=rule)\n))?",
    re.M | re.S,
)


def replaced(document: str, found: Mapping[str, str]) -> tuple[str, list[str]]:
    """C{document} with the tables C{found} in their places, and the names of those that have none."""
    placed: set[str] = set()

    def new(place: re.Match[str]) -> str:
        name = place["name"]
        if name not in found:
            return place[0]
        placed.add(name)
        return f".. figures: {name}\n\n{found[name]}"

    text = PLACE.sub(new, document)
    return text, [name for name in found if name not in placed]


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmark rst", description="A result's tables, for a document.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--into", metavar="FILE", type=Path, help="a document whose tables are replaced")
    options = parser.parse_args(words)
    try:
        rows = read(options.folder)
    except WrongSummary as error:
        print(error, file=sys.stderr)
        return 2
    found = tables(rows) | aims.tables(rows)
    if options.into is None:
        for name, text in found.items():
            print(f"{name}\n\n{text}")
        return 0
    text, homeless = replaced(options.into.read_text(), found)
    options.into.write_text(text)
    for name in homeless:
        print(f"{options.into} has no place for {name}: write '.. figures: {name}' on a line of its own")
    return 0
