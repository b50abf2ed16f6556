# -*- test-case-name: tests.terminal.test_top -*-
"""
What a proxy is doing, as lines for a terminal: made of the first page's JSON, C{/overview.json}.

As much of it as there is room for: services first, of which those come first that somebody should look at, then routes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from lproxy.admin.ages import DAY, span
from lproxy.terminal.text import clean, cut, fit, width

#: SGR codes (ECMA-48, 8.3.117) of states
GOOD, DOUBT, BAD, DIM, BOLD = "32", "33", "31", "2", "1"
COLOURS: Final = {
    **dict.fromkeys(("ready", "healthy"), GOOD),
    **dict.fromkeys(("waiting", "degraded", "probing"), DOUBT),
    **dict.fromkeys(("down", "failfast", "backoff", "unhealthy"), BAD),
}
#: failures that are shown, and endpoints of one service that are passed over
FAILURES, ENDPOINTS = 5, 3
#: columns of a name, at least and at most
NARROW, BROAD = 16, 60
#: columns after that, and how wide they are; the first is a state
COLUMNS: Final = {"STATE": -10, "RATE": 8, "OK %": 6, "P50": 7, "P95": 7, "P99": 7, "BUSY": 5, "WAIT": 5}
#: those that are left out, one after the other, where a line has no room for all
LEFT_OUT: Final = ("P50", "BUSY", "P95", "WAIT", "P99", "OK %", "RATE")

Paint = Callable[[str, str], str]


class Size(NamedTuple):
    """
    How much there is room for.

    @ivar rows: C{0}: for everything
    """

    columns: int
    rows: int


#: for a pipe or a file
WHOLE: Final = Size(120, 0)
#: what is there of every lproxy
PARTS: Final = frozenset(("version", "not_ready", "seconds", "live", "figures", "services", "more", "failures"))


def plain(text: str, code: str) -> str:
    """No colours."""
    return text


def coloured(text: str, code: str) -> str:
    """For a terminal that knows ANSI's."""
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


def lines(
    shown: dict[str, Any], paint: Paint = plain, size: Size = WHOLE, now: float = 0.0, trouble: str = ""
) -> list[str]:
    """
    One picture.

    @param shown: what C{/overview.json} says
    @param now: seconds of the epoch
    @param trouble: why it is not of now
    """
    columns = Columns(size.columns, paint)
    head = [columns.text(text, code) for text, code in _head(shown, now, trouble)]
    failures = [columns.text(text, code) for text, code in _failures(shown["failures"])]
    left = size.rows - len(head) if size.rows else 1_000_000
    if left - len(failures) < FAILURES + 2:
        # what there is of everything comes before what went wrong of it
        failures = []
    services = _fitted(
        _services(shown, columns), left - len(failures) - 2, shown["more"], columns, columns.head("SERVICE", "STATE")
    )
    left -= len(failures) + len(services)
    routes = _fitted(_routes(shown, columns), left - 2, 0, columns, columns.head("ROUTE", "LISTENER"))
    return [*head, *services, *(routes if len(routes) > 3 or not size.rows else []), *failures]


class Columns:
    """
    What a line has room for.

    @ivar width: of it all
    """

    def __init__(self, columns: int, paint: Paint) -> None:
        self.width = max(columns, NARROW)
        self.paint = paint
        self._kept = dict(COLUMNS)
        for name in LEFT_OUT:
            if NARROW + self._wide() <= self.width:
                break
            del self._kept[name]
        self.name = max(NARROW, min(BROAD, self.width - self._wide()))

    def _wide(self) -> int:
        return sum(abs(wide) + 1 for wide in self._kept.values())

    def text(self, text: str, code: str = "") -> str:
        """Words."""
        return self.paint(cut(clean(text), self.width), code)

    def head(self, title: str, state: str) -> str:
        """What columns are, that of C{state} included."""
        return self.paint(self._line(title, {**{name: name for name in COLUMNS}, "STATE": state}), BOLD)

    def row(self, name: str, cells: dict[str, str]) -> str:
        """
        A line of a table.

        @param cells: by their columns
        """
        text = self._line(clean(name), cells)
        start = len(fit(clean(name), self.name)) + 1
        end = start + len(fit(clean(cells["STATE"]), -COLUMNS["STATE"]))
        # of what is as wide as it is to be: colours have no width
        return f"{text[:start]}{self.paint(text[start:end], COLOURS.get(cells['STATE'], ''))}{text[end:]}"

    def _line(self, name: str, cells: dict[str, str]) -> str:
        parts = [fit(name, self.name)]
        for column, wide in self._kept.items():
            cell = cut(clean(cells.get(column, "-")), abs(wide))
            gap = " " * (abs(wide) - width(cell))
            parts.append(cell + gap if wide < 0 else gap + cell)
        return cut(" ".join(parts).rstrip(), self.width)


def _head(shown: dict[str, Any], now: float, trouble: str) -> Iterator[tuple[str, str]]:
    """Of the whole process: words and their colour."""
    if trouble:
        yield trouble, BAD
    why = shown["not_ready"]
    state = "ready" if why is None else f"not ready: {why}"
    file = shown["live"].get("file") or "embedded defaults"
    yield f"lproxy {shown['version']}, {state}; {file}", "" if why is None else BAD
    seconds = shown["seconds"]
    of = f"the last {seconds:.0f} s, a second" if seconds else "all time"
    yield f"of {of}: " + ", ".join(f"{name} {value}" for name, value in shown["figures"].items()), ""
    for one in shown.get("workers", ()):
        if one.get("state") != "serving":
            yield f"worker {one.get('worker')} (process {one.get('pid')}) is {one.get('state')}", BAD
    for one in shown.get("draining", ()):
        left = f"{one.get('connections')} connections, {one.get('in_flight')} requests and streams in flight"
        yield f"process {one.get('pid')}, whose place this one has taken, drains: {left}", DOUBT
    if listeners := shown.get("listeners"):
        yield "listeners: " + ", ".join(map(_listener, listeners)), ""
    if kafka := [f"{api} {rate:.1f}" for api, rate in shown.get("kafka", ()) if rate]:
        yield "kafka: " + ", ".join(kafka), ""
    for labels, at in shown.get("certificates", ()):
        if at - now < 3 * DAY:
            yield f"certificate {' '.join(labels.values())}: its time is over in {span(at - now)}", BAD


def _listener(one: dict[str, Any]) -> str:
    where = f"{one['connections']} {one.get('speaks', '')}".rstrip() if one.get("address") else "closed"
    return f"{one.get('name')} {where}"


def _failures(failures: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    if failures:
        yield "", ""
        yield "RECENT FAILURES", BOLD
        for one in failures[:FAILURES]:
            yield f"{one['times']:>6} x {one['text']}", ""


def _fitted(blocks: Iterable[list[str]], room: int, hidden: int, columns: Columns, head: str) -> list[str]:
    """
    A table, of C{blocks} of lines that are shown whole or not at all, but for the first; and how many are not.

    @param room: lines, without the head
    @param hidden: how many there are besides
    """
    blocks = list(blocks)
    if not blocks and not hidden:
        return []
    found: list[str] = []
    fit_in = 0
    for n, block in enumerate(blocks):
        last = n == len(blocks) - 1 and not hidden
        if len(found) + len(block) > room - (0 if last else 1):
            if not found:
                found = block[: max(room - 1, 0)]
                fit_in = min(1, len(found))
            break
        found += block
        fit_in += 1
    hidden += len(blocks) - fit_in
    return ["", head, *found, *([columns.text(f"and {hidden} more", DIM)] if hidden else [])]


def _services(shown: dict[str, Any], columns: Columns) -> Iterator[list[str]]:
    for row, traffic, endpoints in shown["services"]:
        yield list(_service(row, traffic, endpoints, columns))


def _service(
    row: dict[str, Any], traffic: dict[str, Any], endpoints: dict[str, Any], columns: Columns
) -> Iterator[str]:
    """A service, and of its endpoints those that there is something to say about."""
    name = " ".join(str(row[key]) for key in ("target", "protocol", "direction") if row.get(key))
    yield columns.row(name, {**_traffic(traffic), **_busy(row), "WAIT": str(row.get("waiters", 0))})
    ailing = [one for one in row.get("endpoints", ()) if one.get("state", "healthy") != "healthy"]
    for one in ailing[:ENDPOINTS]:
        of = endpoints.get(str(one.get("address")))
        yield columns.row(f"  {one.get('address')}", {**_traffic(of), **_busy(one), "WAIT": ""})
        if one.get("last_error"):
            yield columns.text(f"    {one['last_error']}", DIM)
    if len(ailing) > ENDPOINTS:
        yield columns.text(f"  and {len(ailing) - ENDPOINTS} more endpoints like this", DIM)


def _routes(shown: dict[str, Any], columns: Columns) -> Iterator[list[str]]:
    for labels, traffic, _ in shown.get("profiled", ()):
        name = f"{labels.get('dst')} {labels.get('rt_route', '(none)')}"
        yield [
            columns.row(name, {"STATE": str(labels.get("listener", "")), **_traffic(traffic), "BUSY": "", "WAIT": ""})
        ]
    for labels, traffic in shown.get("routes", ()):
        name = str(labels.get("authority"))
        yield [
            columns.row(name, {"STATE": str(labels.get("listener", "")), **_traffic(traffic), "BUSY": "", "WAIT": ""})
        ]


def _busy(row: dict[str, Any]) -> dict[str, str]:
    return {"STATE": str(row.get("state", "-")), "BUSY": str(row.get("in_flight", "-"))}


def _traffic(traffic: dict[str, Any] | None) -> dict[str, str]:
    if traffic is None:
        return {}
    quantiles = zip(("P50", "P95", "P99"), traffic["quantiles"], strict=True)
    return {
        "RATE": f"{traffic['rate']:.1f}",
        "OK %": "-" if traffic["success"] is None else f"{100 * traffic['success']:.2f}",
        **{name: "-" if ms is None else f"{ms:.1f}" for name, ms in quantiles},
    }
