# -*- test-case-name: tests.terminal.test_top -*-
"""
What a proxy is doing, as lines for a terminal: made of the first page's JSON, C{/overview.json}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

#: SGR codes (ECMA-48, 8.3.117) of states
GOOD, DOUBT, BAD, DIM, BOLD = "32", "33", "31", "2", "1"
COLOURS: Final = {
    **dict.fromkeys(("ready", "healthy"), GOOD),
    **dict.fromkeys(("waiting", "degraded", "probing"), DOUBT),
    **dict.fromkeys(("down", "failfast", "backoff"), BAD),
}
#: rows of services and failures where nobody says how many there is room for
SERVICES, FAILURES = 30, 5
NAME: Final = 40
#: columns after that, and how wide they are; the first is a state
COLUMNS: Final = {"STATE": -10, "RATE": 8, "OK %": 6, "P50": 7, "P95": 7, "P99": 7, "BUSY": 5, "WAIT": 5}

Paint = Callable[[str, str], str]


def plain(text: str, code: str) -> str:
    """No colours."""
    return text


def coloured(text: str, code: str) -> str:
    """For a terminal that knows ANSI's."""
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


def lines(shown: dict[str, Any], paint: Paint = plain, room: int = SERVICES) -> Iterator[str]:
    """
    One picture.

    @param shown: what C{/overview.json} says
    @param room: rows of services
    """
    ready = shown["not_ready"] is None
    state = paint("ready", GOOD) if ready else paint(f"not ready: {clean(shown['not_ready'])}", BAD)
    seconds = shown["seconds"]
    of = f"the last {seconds:.0f} s, a second" if seconds else "all time"
    yield f"lproxy {clean(shown['version'])}, {state}; {clean(shown['live'].get('file') or 'embedded defaults')}"
    yield ", ".join(f"{name} {clean(value)}" for name, value in shown["figures"].items()) + f"; figures are of {of}"
    yield ""
    yield paint(_columns("SERVICE", list(COLUMNS)), BOLD)
    left = room
    for row, traffic, endpoints in shown["services"]:
        rows = list(_service(row, traffic, endpoints, paint))
        if left < len(rows):
            break
        left -= len(rows)
        yield from rows
    hidden = len(shown["services"]) + shown["more"] - _fitting(shown["services"], room)
    if hidden > 0:
        yield paint(f"and {hidden} more", DIM)
    if shown["failures"]:
        yield ""
        yield paint("RECENT FAILURES", BOLD)
        for one in shown["failures"][:FAILURES]:
            yield f"{one['times']:>6} x {clean(one['text'])}"


def _service(row: dict[str, Any], traffic: dict[str, Any], endpoints: dict[str, Any], paint: Paint) -> Iterator[str]:
    """A service, and of its endpoints those that there is something to say about."""
    name = " ".join(str(row[key]) for key in ("target", "protocol", "direction") if row.get(key))
    yield _line(name, row, traffic, paint, str(row.get("waiters", 0)))
    for endpoint in _ailing(row):
        of = endpoints.get(str(endpoint.get("address")))
        yield _line(f"  {endpoint.get('address')}", endpoint, of, paint, "")
        if endpoint.get("last_error"):
            yield paint(f"    {clean(endpoint['last_error'])}", DIM)


def _ailing(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in row.get("endpoints", ()) if one.get("state", "healthy") != "healthy"]


def _fitting(services: list[Any], room: int) -> int:
    """How many services there is room for."""
    fit = 0
    for row, _, _ in services:
        ailing = _ailing(row)
        room -= 1 + len(ailing) + sum(1 for one in ailing if one.get("last_error"))
        if room < 0:
            break
        fit += 1
    return fit


def _line(name: str, row: dict[str, Any], traffic: dict[str, Any] | None, paint: Paint, waits: str) -> str:
    state = clean(row.get("state", "-"))
    rate, success, quantiles = "-", "-", ["-"] * 3
    if traffic is not None:
        rate = f"{traffic['rate']:.1f}"
        success = "-" if traffic["success"] is None else f"{100 * traffic['success']:.2f}"
        quantiles = ["-" if ms is None else f"{ms:.1f}" for ms in traffic["quantiles"]]
    cells = [state, rate, success, *quantiles, str(row.get("in_flight", "-")), waits]
    line = _columns(clean(name), cells)
    # of what is as wide as it is to be: colours have no width
    start = NAME + 1
    return f"{line[:start]}{paint(line[start : start + 10], COLOURS.get(state, ''))}{line[start + 10 :]}"


def _columns(name: str, cells: list[str]) -> str:
    widths = COLUMNS.values()
    parts = [
        f"{cell:<{-width}}" if width < 0 else f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
    ]
    return " ".join([fit(name, NAME), *parts])


def fit(text: str, width: int) -> str:
    """C{text} in C{width} columns, its end cut off where it is longer."""
    return f"{text:<{width}}" if len(text) <= width else f"{text[: width - 1]}~"


def clean(text: object) -> str:
    """C{text} without what a terminal would obey: peers have a say in names and errors."""
    return "".join(c if c.isprintable() else "?" for c in str(text))
