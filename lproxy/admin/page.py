# -*- test-case-name: tests.admin.test_page -*-
"""
The first page, as HTML: complete without a script, kept up to date by one where there is one.

Whatever it shows has an id, by which the script finds what has changed, and which links lead to.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from lproxy.admin.overview import Shown, Traffic

_HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>lproxy</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><link rel="stylesheet" href="/lproxy.css"><script src="/lproxy.js" defer></script>
</head><body>
<header><h1>lproxy <small>{version}</small></h1>
<nav aria-label="Sections"><a href="#listeners">Listeners</a> <a href="#services">Services</a>
<a href="#routes">Routes</a> <a href="#failures">Failures</a> <a href="#more">For programs</a></nav>
<form role="search"><input type="search" name="q" value="{wanted}" placeholder="service or route"
aria-label="Show services and routes whose name has"> <button>Filter</button></form></header>
<main>{main}</main>
<footer id="more"><h2>For programs</h2><dl>{pages}</dl>
<p>POST /reload, /log-level and /shutdown work from this machine, where the configuration turns them on.</p></footer>
</body></html>
"""

#: how good or bad a state is: a class of the style
TONES = {
    "ready": "good",
    "open": "good",
    "healthy": "good",
    "unused": "idle",
    "waiting": "doubt",
    "degraded": "doubt",
    "probing": "doubt",
    "backoff": "bad",
    "down": "bad",
    "failing": "bad",
}
#: part of the answers that succeeded, from which on that is good, and below which it is bad
GOOD, BAD = 0.999, 0.95
DAY = 86_400


def page(shown: Shown, pages: Mapping[str, str], now: float, wanted: str = "") -> bytes:
    """
    The whole page.

    @param pages: what each of the others is about, by its name
    @param now: seconds of the epoch
    @param wanted: what the services and routes that are shown have in their names
    """
    listed = "".join(
        f'<dt><a href="/{escape(name)}">/{escape(name)}</a></dt><dd>{escape(title)}</dd>'
        for name, title in pages.items()
        if name
    )
    text = _HTML.format(
        version=escape(shown.version), wanted=escape(wanted), main=main(shown, now, wanted), pages=listed
    )
    return text.encode("utf-8", "replace")


def main(shown: Shown, now: float, wanted: str = "") -> str:
    """
    What changes of the page.

    @param now: seconds of the epoch
    """
    parts = [_state(shown), _listeners(shown), _services(shown, wanted), _routes(shown)]
    if shown.profiled:
        parts.append(_profiled(shown))
    if shown.kafka:
        rows = (_row(f"kafka-{api}", [escape(api), _rate(rate)]) for api, rate in shown.kafka)
        parts.append(_table("kafka", "Kafka", ["API", "requests/s" if shown.seconds else "requests"], rows))
    if shown.certificates:
        parts.append(_certificates(shown, now))
    parts.append(_failures(shown, now))
    return "\n".join(parts)


def _state(shown: Shown) -> str:
    ready = shown.not_ready is None
    said = "ready" if ready else f"not ready: {shown.not_ready}"
    figures = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in shown.figures.items()
    )
    of = f"the last {shown.seconds:.0f} seconds" if shown.seconds else "all time"
    live = shown.live
    config = f'<a href="/config">{escape(str(live.get("file") or "embedded defaults"))}</a>'
    since = f" since {escape(str(live['since']))}" if live.get("since") else ""
    return (
        f'<section id="state" aria-live="polite"><p class="ready {"good" if ready else "bad"}">{escape(said)}</p>'
        f"<p>Configuration: {config}{since}, hash {escape(str(live.get('hash', '-')))}. "
        f'Traffic is of <strong>{of}</strong>.</p><dl class="figures">{figures}</dl></section>'
    )


def _listeners(shown: Shown) -> str:
    rows = []
    for listen in shown.listeners:
        address = listen.get("address")
        where = f"{address[0]}:{address[1]}" if address else "closed"
        speaks = listen.get("speaks") or ""
        rows.append(
            _row(
                f"listener-{listen['name']}",
                [
                    escape(str(listen["name"])),
                    escape(str(listen.get("direction", ""))),
                    f"<code>{escape(where)}</code>" if address else '<span class="bad">closed</span>',
                    f"<code>{escape(str(listen.get('target', '')))}</code>",
                    escape(str(listen.get("protocol") or ", ".join(listen.get("detect", ())))),
                    escape(str(listen.get("tls") or "off")),
                    f'<a href="/connections">{listen["connections"]}</a> <small>{escape(speaks)}</small>',
                ],
            )
        )
    return _table(
        "listeners", "Listeners", ["name", "direction", "address", "target", "protocols", "TLS", "connections"], rows
    )


def _services(shown: Shown, wanted: str) -> str:
    rows = []
    for row, traffic, endpoints in shown.services:
        target = str(row.get("target"))
        key = f"service-{row.get('direction', '')}-{row.get('protocol', '')}-{target}"
        waits = f"{row.get('waiters', 0)}" + (
            f" <small>lock {escape(str(row['lock']))}</small>" if "lock" in row else ""
        )
        name = (
            f'<a href="?q={quote(target, errors="replace")}">{escape(target)}</a> <small>{escape(_kind(row))}</small>'
        )
        cells = [name, _tone(str(row.get("state"))), *_cells(traffic), str(row.get("in_flight", 0)), waits, _error(row)]
        rows.append(_row(key, cells, "service"))
        for endpoint in row.get("endpoints", ()):
            address = str(endpoint.get("address"))
            of = endpoints.get(address)
            cells = [
                f"<code>{escape(address)}</code>",
                _tone(str(endpoint.get("state", "-"))),
                *(_cells(of) if of is not None else ["-"] * 5),
                str(endpoint.get("in_flight", "-")),
                f"{endpoint['idle']} idle" if "idle" in endpoint else "",
                _error(endpoint),
            ]
            rows.append(_row(f"{key}-{address}", cells, "endpoint"))
    title = "Services" + (f" with {wanted!r} in their names" if wanted else "")
    rate = "requests/s" if shown.seconds else "requests"
    head = ["name", "state", rate, "success", "p50", "p95", "p99", "in flight", "waiting", "last error"]
    more = f"<p>{shown.more} more: filter by name, or see <a href='/services'>/services</a>.</p>" if shown.more else ""
    return _table("services", title, head, rows, more)


def _kind(row: Mapping[str, Any]) -> str:
    return " ".join(str(row[key]) for key in ("direction", "protocol") if key in row)


def _routes(shown: Shown) -> str:
    rows = (
        _row(
            "route-" + "-".join(labels.values()),
            [escape(labels.get("authority", "")), escape(labels.get("listener", "")), *_cells(traffic)],
        )
        for labels, traffic in shown.routes
    )
    rate = "requests/s" if shown.seconds else "requests"
    return _table("routes", "Routes (HTTP)", ["authority", "listener", rate, "success", "p50", "p95", "p99"], rows)


def _profiled(shown: Shown) -> str:
    rows = (
        _row(
            "profiled-" + "-".join(labels.values()),
            [
                escape(labels.get("dst", "")),
                escape(labels.get("rt_route", "(none)")),
                escape(labels.get("listener", "")),
                *_cells(traffic),
                _rate(tries),
            ],
        )
        for labels, traffic, tries in shown.profiled
    )
    requests, tries = ("requests/s", "tries/s") if shown.seconds else ("requests", "tries")
    head = ["service", "route", "listener", requests, "success", "p50", "p95", "p99", tries]
    return _table("profiled", "Routes of services with a profile", head, rows)


def _certificates(shown: Shown, now: float) -> str:
    rows = []
    for labels, at in shown.certificates:
        left = at - now
        tone = "bad" if left <= 0 else "doubt" if left < 3 * DAY else "good"
        until = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
        name = " ".join(labels.values())
        rows.append(_row(f"certificate-{name}", [escape(name), until, f'<span class="{tone}">{_span(left)}</span>']))
    return _table("certificates", "Certificates", ["name", "valid until", "that is in"], rows)


def _failures(shown: Shown, now: float) -> str:
    rows = (
        _row(f"failure-{n}", [_span(now - one["at"]) + " ago", str(one["times"]), escape(one["text"])])
        for n, one in enumerate(shown.failures)
    )
    return _table("failures", "Recent failures", ["last", "times", "what"], rows)


def _table(key: str, title: str, head: Iterable[str], rows: Iterable[str], more: str = "") -> str:
    body = "\n".join(rows)
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    inner = f"<table><thead><tr>{columns}</tr></thead><tbody>\n{body}\n</tbody></table>" if body else "<p>None.</p>"
    return f'<section id="{key}"><h2>{escape(title)}</h2><div class="wide" tabindex="0">{inner}</div>{more}</section>'


def _row(key: str, cells: Iterable[str], style: str = "") -> str:
    inner = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr id="{escape(key)}"{f" class={style}" if style else ""}>{inner}</tr>'


def _tone(state: str) -> str:
    return f'<span class="{TONES.get(state, "idle")}">{escape(state)}</span>'


def _cells(traffic: Traffic) -> list[str]:
    if traffic.success is None:
        success = "-"
    else:
        tone = "good" if traffic.success >= GOOD else "bad" if traffic.success < BAD else "doubt"
        success = f'<span class="{tone}">{traffic.success * 100:.4g} %</span>'
    return [_rate(traffic.rate), success, *("-" if ms is None else f"{ms:.3g} ms" for ms in traffic.quantiles)]


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 or rate == int(rate) else f"{rate:.1f}"


def _error(row: Mapping[str, Any]) -> str:
    if not row.get("last_error"):
        return ""
    ago = f" <small>{_span(row['last_error_seconds'])} ago</small>" if "last_error_seconds" in row else ""
    return escape(str(row["last_error"])) + ago


def _span(seconds: float) -> str:
    """A time, by its two largest units."""
    if seconds < 0:
        return f"-{_span(-seconds)}"
    if seconds < 60:
        return f"{seconds:.0f} s"
    for unit, length, less, shorter in (("d", DAY, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= length:
            n, rest = divmod(int(seconds), length)
            return f"{n} {unit} {rest // shorter} {less}"
    return "0 s"
