# -*- test-case-name: tests.benchmark.test_page -*-
"""
C{index.html} of a run folder: its figures, pictures and flame graphs on one page, made from the files in it alone.

C{python -m benchmark page FOLDER} makes it anew, after a picture was added by hand for example.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmark.metrics import METRICS
from benchmark.peer import DIRECT
from benchmark.plot import TITLES
from benchmark.summary import OF, Row, Spread, WrongSummary, read

#: whom a table compares with, of those that there are
REFERENCES = ("nginx", "haproxy", "envoy")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1180px; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 1.7em; margin-bottom: 0; }
h2 { margin: 2em 0 .3em; border-bottom: 2px solid #e8743b; font-size: 1.25em; }
p.question { margin: .2em 0 .6em; color: #555; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13.5px; }
div.wide { overflow-x: auto; }
th, td { padding: .25em .8em; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap; }
th:first-child, td:first-child, td.remark, th.remark { text-align: left; }
tr.ours td { background: #fdf1ea; font-weight: 600; }
small { color: #888; font-weight: 400; } .bad { color: #b00020; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1em 1em; font-size: 13.5px; } dt { color: #777; }
dd { margin: 0; } img { max-width: 100%; height: auto; } pre { overflow-x: auto; font-size: 12.5px; }
"""


def build(folder: Path) -> Path:
    """Write the page. Raises L{WrongSummary} when the folder is none of ours."""
    # a session that only profiled has none
    rows = read(folder) if (folder / "summary.txt").exists() else []
    try:
        results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    except (OSError, ValueError) as error:
        raise WrongSummary(f"{folder / 'results.json'}: {error}") from error
    page = folder / "index.html"
    page.write_text("\n".join(html(folder, rows, results)))
    return page


def html(folder: Path, rows: Sequence[Row], results: Mapping[str, Any]) -> Iterable[str]:
    """The page's lines."""
    about: Mapping[str, Any] = results.get("environment", {})
    yield '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
    yield f"<title>lproxy measured: {escape(folder.resolve().name)}</title><style>{STYLE}</style></head><body>"
    yield f"<h1>lproxy, measured</h1><p class=question>{escape(folder.resolve().name)}. Only figures of one page may "
    yield "be compared, best as ratios. Medians of the rounds that count, with the least and the greatest.</p>"
    yield from problems(results.get("lacking", []))
    for group in TITLES:
        yield from picture(folder, group)
    scenarios: Mapping[str, Any] = results.get("scenarios", {})
    for name in dict.fromkeys(row.scenario for row in rows):
        of = scenarios.get(name, {})
        yield f"<h2>{escape(name)}</h2><p class=question>{escape(of.get('question', ''))}</p>"
        yield from table([row for row in rows if row.scenario == name], of.get("metrics") or list(METRICS))
    yield from comparisons(folder)
    yield from profiles(folder)
    yield "<h2>Where and how</h2><dl>"
    for key, value in about.items():
        yield f"<dt>{escape(key)}</dt><dd>{words(value)}</dd>"
    yield "</dl><h2>Files</h2><p>"
    there = [part for part in ("summary.txt", "results.json", "runs", "raw", "proxies") if (folder / part).exists()]
    yield ", ".join(f'<a href="{part}">{part}</a>' for part in there)
    yield "</p></body></html>\n"


def words(value: object) -> str:
    """A part of the environment, as text."""
    if isinstance(value, Mapping):
        return escape("; ".join(f"{key}: {inner}" for key, inner in value.items()))
    return escape(str(value))


def problems(lacking: Sequence[str]) -> Iterable[str]:
    if lacking:
        yield "<h2 class=bad>Not complete</h2><ul class=bad>"
        yield from (f"<li>{escape(line.splitlines()[0])}</li>" for line in lacking if line)
        yield "</ul>"


def picture(folder: Path, group: str) -> Iterable[str]:
    """The overall picture of a group, with a link to the one that can be magnified."""
    for png in sorted(folder.glob(f"*-{group}.png")):
        svg = png.with_suffix(".svg")
        target = svg.name if svg.exists() else png.name
        yield f'<p><a href="{escape(target)}"><img src="{escape(png.name)}" alt="{escape(TITLES[group])}"></a></p>'


def table(rows: Sequence[Row], keys: Sequence[str]) -> Iterable[str]:
    """One scenario's."""
    metrics = [METRICS[key] for key in keys if key in METRICS and any(key in row.values for row in rows)]
    if not any(row.values["errors"].greatest for row in rows if "errors" in row.values):
        metrics = [metric for metric in metrics if metric.key != "errors"]
    found = list(dict.fromkeys(key for row in rows for key in row.ratios if key.startswith(f"cost{OF}")))
    # all are in summary.txt, too many to read
    against = [key for key in found if key.partition(OF)[2] in REFERENCES] or found[:1]
    yield "<div class=wide><table><tr><th></th>"
    yield "".join(f"<th>{escape(metric.title)}</th>" for metric in metrics)
    yield "".join(f"<th>cost / {escape(key.partition(OF)[2])}'s</th>" for key in against)
    yield "<th class=remark></th></tr>"
    for row in rows:
        ours = row.labels["product"].startswith("lproxy")
        yield f"<tr{' class=ours' if ours else ''}><td>{'direct' if row.proxy == DIRECT else escape(row.proxy)}</td>"
        for metric in metrics:
            yield f"<td>{cell(row.values.get(metric.key), metric.digits)}</td>"
        for key in against:
            yield f"<td>{row.ratios[key]:.2f}</td>" if key in row.ratios else "<td>-</td>"
        yield f"<td class=remark>{remarks(row)}</td></tr>"
    yield "</table></div>"


def cell(at: Spread | None, digits: int) -> str:
    if at is None:
        return "-"
    middle, least, greatest = (f"{value:,.{digits}f}" for value in (at.median, at.least, at.greatest))
    return middle if least == greatest else f"{middle} <small>{least} to {greatest}</small>"


def remarks(row: Row) -> str:
    """What a reader of the row must know."""
    of = row.counts
    said = []
    if of.get("failed"):
        said.append(f"<span class=bad>{of['failed']} of {of['runs']} runs failed</span>")
    if of.get("noisy") and of["noisy"] < of["runs"] - of.get("failed", 0):
        said.append(f"{of['noisy']} noisy left out")
    elif of.get("noisy"):
        said.append("<span class=bad>all rounds disturbed by other programs</span>")
    if of.get("missed_target"):
        said.append(f"<span class=bad>{of['missed_target']} missed the target rate</span>")
    return ", ".join(said)


def comparisons(folder: Path) -> Iterable[str]:
    for file in sorted(folder.glob("compare*.txt")):
        yield f"<h2>{escape(file.stem)}</h2><pre>{escape(file.read_text())}</pre>"


def profiles(folder: Path) -> Iterable[str]:
    found = sorted(path for kind in ("*.svg", "*.html") for path in (folder / "profiles").glob(kind))
    if found:
        yield "<h2>Profiles</h2><ul>"
        for path in found:
            yield f'<li><a href="profiles/{escape(path.name)}">{escape(path.name)}</a></li>'
        yield "</ul>"
        svg = next((path for path in found if path.suffix == ".svg"), None)
        if svg:
            yield f'<p><a href="profiles/{escape(svg.name)}"><img src="profiles/{escape(svg.name)}" alt=""></a></p>'


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmark page", description="Make a run folder's page anew.")
    parser.add_argument("folder", type=Path)
    try:
        print(build(parser.parse_args(argv).folder))
    except WrongSummary as error:
        print(error, file=sys.stderr)
        return 2
    return 0
