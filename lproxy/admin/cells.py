# -*- test-case-name: tests.admin.test_cells -*-
"""
The cells that the first page's tables are made of, as HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from lproxy.admin.ages import span
from lproxy.admin.order import NONE, SORTS, Asked, Traffic

#: how good or bad a state is: a class of the style
TONES = {
    "ready": "good",
    "serving": "good",
    "open": "good",
    "healthy": "good",
    "unused": "idle",
    "split": "idle",
    "waiting": "doubt",
    "degraded": "doubt",
    "probing": "doubt",
    "backoff": "bad",
    "unhealthy": "bad",
    "down": "bad",
    "hung": "bad",
    "failing": "bad",
}
#: part of the answers that succeeded, from which on that is good, and below which it is bad
GOOD, BAD = 0.999, 0.95


def waits(row: Mapping[str, Any]) -> str:
    """Who waits for what, and for how long whoever is first has."""
    lock = row.get("lock")
    if not isinstance(lock, dict):
        return str(row.get("waiters", 0))
    acquiring = f"{lock.get('holders', 0)} acquiring, for {span(float(lock.get('held_seconds', 0)))}"
    return f'<span class="doubt">{row.get("waiters", 0)}</span> <small>behind {acquiring}</small>'


def passed_over(endpoint: Mapping[str, Any]) -> str:
    """For how long it is, and has been."""
    said = []
    if "down_seconds" in endpoint:
        said.append(f"for {span(float(endpoint['down_seconds']))}")
    if "backoff_seconds" in endpoint:
        said.append(f"next try in {span(float(endpoint['backoff_seconds']))}")
    return f" <small>{escape(', '.join(said))}</small>" if said else ""


def table(
    key: str, title: str, head: Iterable[str], rows: Iterable[str], more: str = "", asked: Asked | None = None
) -> str:
    """
    A section.

    @param asked: what is shown of it, where it can be sorted
    """
    body = "\n".join(rows)
    columns = "".join(
        _heading("name" if n == 0 else name.removesuffix("/s").replace(" ", "-"), name, asked)
        for n, name in enumerate(head)
    )
    inner = f"<table><thead><tr>{columns}</tr></thead><tbody>\n{body}\n</tbody></table>"
    # who has no mouse scrolls by keys
    wide = f'<div class="wide" role="region" aria-labelledby="{key}-title" tabindex="0">{inner}</div>'
    heading = f'<h2 id="{key}-title">{escape(title)}</h2>'
    return f'<section id="{key}">{heading}{wide if body else "<p>None.</p>"}{more}</section>'


def _heading(sort: str, text: str, asked: Asked | None) -> str:
    """Of a column; a link that sorts by it, or no more."""
    if asked is None or sort not in SORTS:
        return f'<th scope="col">{escape(text)}</th>'
    by = asked.sort == sort
    query = urlencode({name: value for name, value in (("q", asked.wanted), ("sort", "" if by else sort)) if value})
    order = f' aria-sort="{"ascending" if sort in ("name", "success") else "descending"}"' if by else ""
    where = f"/?{query}" if query else "/"
    return f'<th scope="col"{order}><a href="{escape(where)}">{escape(text)}</a></th>'


def row(key: str, cells: Iterable[str], style: str = "") -> str:
    inner = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr id="{escape(key)}"{f" class={style}" if style else ""}>{inner}</tr>'


def link(page: str, wanted: str, text: str, style: str = "") -> str:
    """To what C{text} is made of: C{page}, as far as it is about C{wanted}."""
    look = f' class="{style}"' if style else ""
    return f'<a href="{page}?q={escape(quote(wanted, errors="replace"))}"{look}>{escape(text)}</a>'


def tone(state: str) -> str:
    return f'<span class="{TONES.get(state, "idle")}">{escape(state)}</span>'


def of_traffic(traffic: Traffic | None, label: str = "", value: str = "") -> list[str]:
    """
    Five cells; dashes where nobody has measured anything.

    @param label: of metrics, that of the samples that it is made of, and C{value} what it is there
    """
    if traffic is None or traffic is NONE:
        return ["-"] * 5
    if traffic.success is None:
        success = "-"
    else:
        tone = "good" if traffic.success >= GOOD else "bad" if traffic.success < BAD else "doubt"
        success = f'<span class="{tone}">{traffic.success * 100:.4g} %</span>'
    rate = per_second(traffic.rate)
    if label:
        rate = link("/metrics", f'{label}="{value}"', rate)
    return [rate, success, *("-" if ms is None else f"{ms:.3g} ms" for ms in traffic.quantiles)]


def per_second(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 or rate == int(rate) else f"{rate:.1f}"


def last_error(row: Mapping[str, Any]) -> str:
    if not row.get("last_error"):
        return ""
    ago = f" <small>{span(row['last_error_seconds'])} ago</small>" if "last_error_seconds" in row else ""
    return escape(str(row["last_error"])) + ago
