# -*- test-case-name: tests.admin.test_page -*-
"""
The first page, as HTML: complete without a script, kept up to date by one where there is one.

Whatever it shows has an id, by which the script finds what has changed, and which links lead to.

Over 300 lines: a function for each table, which are alike and read side by side.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any
from zlib import crc32

from lproxy.admin import cells
from lproxy.admin.ages import DAY, span, took
from lproxy.admin.order import WHOLE, Asked
from lproxy.admin.overview import CERTIFICATES, Shown

_HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>lproxy</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><link rel="stylesheet" href="/lproxy.css"><script src="/lproxy.js" defer></script>
</head><body>
<header><h1><a href="/">lproxy</a> <small>{version}</small></h1>
<nav aria-label="Sections"><a href="#listeners">Listeners</a> <a href="#services">Services</a>
<a href="#routes">Routes</a> <a href="#connections">Connections</a> <a href="#failures">Failures</a>
<a href="#more">For programs</a></nav>
<form role="search" action="/">{sort}<input type="search" name="q" value="{wanted}" accesskey="f"
placeholder="service, route or client" aria-label="Show services, routes and connections whose names have">
<button>Filter</button></form></header>
<main>{main}</main>
<footer id="more"><h2>For programs</h2><dl>{pages}</dl>
<p>POST /reload, /log-level and /shutdown work from this machine, where the configuration turns them on.</p></footer>
</body></html>
"""

#: the page that has what a figure is made of
MADE_OF = {
    "services that serve": "services",
    "connections": "connections",
    "requests and streams in flight": "connections",
    "waiting for a turn": "services",
    "reactor lag, p99": "metrics",
}


def page(shown: Shown, pages: Mapping[str, str], now: float, asked: Asked = WHOLE) -> bytes:
    """
    The whole page.

    @param pages: what each of the others is about, by its name
    @param now: seconds of the epoch
    @param asked: what is shown of it
    """
    listed = "".join(
        f'<dt><a href="/{escape(name)}">/{escape(name)}</a></dt><dd>{escape(title)}</dd>'
        for name, title in pages.items()
        if name
    )
    sort = f'<input type="hidden" name="sort" value="{escape(asked.sort)}">' if asked.sort else ""
    text = _HTML.format(
        version=escape(shown.version),
        sort=sort,
        wanted=escape(asked.wanted),
        main=main(shown, now, asked),
        pages=listed,
    )
    return text.encode("utf-8", "replace")


def main(shown: Shown, now: float, asked: Asked = WHOLE) -> str:
    """
    What changes of the page.

    @param now: seconds of the epoch
    """
    workers = [_workers(shown)] if shown.workers else []
    draining = [_draining(shown)] if shown.draining else []
    parts = [_state(shown, now), *workers, *draining, _listeners(shown), _services(shown, asked), _routes(shown, asked)]
    if shown.profiled:
        parts.append(_profiled(shown, asked))
    if shown.kafka:
        rows = (
            cells.row(f"kafka-{api}", [cells.link("/metrics", f'api="{api}"', api), cells.per_second(rate)])
            for api, rate in shown.kafka
        )
        parts.append(cells.table("kafka", "Kafka: APIs", ["API", "requests/s" if shown.seconds else "requests"], rows))
    if shown.brokers:
        parts.append(_brokers(shown))
    parts.append(_connections(shown, asked.wanted))
    if shown.certificates:
        parts.append(_certificates(shown, now))
    parts.append(_failures(shown, now))
    return "\n".join(parts)


def _state(shown: Shown, now: float) -> str:
    ready = shown.not_ready is None
    said = "ready" if ready else f"not ready: {shown.not_ready}"
    figures = "".join(
        f'<div><dt>{escape(name)}</dt><dd><a href="/{MADE_OF.get(name, "metrics")}">{escape(text)}</a></dd></div>'
        for name, text in shown.figures.items()
    )
    of = f"the last {shown.seconds:.0f} seconds" if shown.seconds else "all time"
    live = shown.live
    config = f'<a href="/config">{escape(str(live.get("file") or "embedded defaults"))}</a>'
    since = f" since {_since(str(live['since']), now)}" if live.get("since") else ""
    return (
        f'<section id="state"><p role="status" class="ready {"good" if ready else "bad"}">{escape(said)}</p>'
        f"<p>Configuration: {config}{since}, hash {escape(str(live.get('hash', '-')))}. "
        f'Traffic is of <strong>{of}</strong>.</p><dl class="figures">{figures}</dl></section>'
    )


def _since(at: str, now: float) -> str:
    """A time in ISO 8601, and how long ago that was."""
    try:
        then = datetime.fromisoformat(at).astimezone(UTC)
    except ValueError:
        return escape(at)
    return f"{then:%Y-%m-%d %H:%M:%S}Z, {span(max(0.0, now - then.timestamp()))} ago"


def _workers(shown: Shown) -> str:
    rows = []
    for one in shown.workers:
        restarts = one.get("restarts") or {}
        replaced = ", ".join(f"{word} {n}" for word, n in restarts.items() if n) or "never"
        silent = float(one.get("silent_seconds") or 0.0)
        rows.append(
            cells.row(
                f"worker-{one.get('worker')}",
                [
                    f'<a href="/workers">{escape(str(one.get("worker")))}</a>',
                    escape(str(one.get("pid"))),
                    cells.tone(str(one.get("state"))),
                    span(float(one.get("seconds") or 0.0)),
                    span(silent) + " ago",
                    escape(replaced),
                    escape(str(one.get("held_by") or "")),
                ],
            )
        )
    head = ["worker", "process", "state", "since", "sign of life", "replaced", "held up by"]
    return cells.table("workers", "Workers", head, rows)


def _draining(shown: Shown) -> str:
    rows = (
        cells.row(
            f"draining-{one['pid']}",
            [
                escape(str(one["pid"])),
                escape(str(one["connections"])),
                escape(str(one["in_flight"])),
                span(float(one["seconds"])) + " ago",
                span(float(one["within"]) - float(one["seconds"])),
            ],
        )
        for one in shown.draining
    )
    head = ["process", "connections", "requests and streams in flight", "began", "ends within"]
    return cells.table("draining", "Processes of before the takeover, which drain", head, rows)


def _listeners(shown: Shown) -> str:
    rows = []
    for listen in shown.listeners:
        address = listen.get("address")
        where = f"{address[0]}:{address[1]}" if address else "closed"
        speaks = listen.get("speaks") or ""
        rows.append(
            cells.row(
                f"listener-{listen['name']}",
                [
                    escape(str(listen["name"])),
                    escape(str(listen.get("direction", ""))),
                    f"<code>{escape(where)}</code>" if address else '<span class="bad">closed</span>',
                    f"<code>{escape(str(listen.get('target', '')))}</code>",
                    escape(str(listen.get("protocol") or ", ".join(listen.get("detect", ())))),
                    escape(str(listen.get("tls") or "off")),
                    f"{cells.link('/connections', listen['name'], str(listen['connections']))} "
                    f"<small>{escape(speaks)}</small>",
                ],
            )
        )
    return cells.table(
        "listeners", "Listeners", ["name", "direction", "address", "target", "protocols", "TLS", "connections"], rows
    )


def _services(shown: Shown, asked: Asked) -> str:
    rows = []
    for row, traffic, endpoints in shown.services:
        target = str(row.get("target"))
        key = f"service-{row.get('direction', '')}-{row.get('protocol', '')}-{target}"
        name = f"{cells.link('/', target, target)} <small>{escape(_kind(row))}</small>"
        state = cells.link("/services", target, str(row.get("state")), cells.TONES.get(str(row.get("state")), "idle"))
        in_flight = cells.link("/connections", target, str(row.get("in_flight", 0)))
        line = [
            name,
            state,
            *cells.of_traffic(traffic, "service", target),
            in_flight,
            cells.waits(row),
            cells.last_error(row),
        ]
        rows.append(cells.row(key, line, "service"))
        for endpoint in row.get("endpoints", ()):
            address = str(endpoint.get("address"))
            of = endpoints.get(address)
            line = [
                f"<code>{cells.link('/', address, address)}</code>",
                cells.tone(str(endpoint.get("state", "-"))) + cells.passed_over(endpoint),
                *cells.of_traffic(of, "endpoint", address),
                cells.link("/connections", address, str(endpoint["in_flight"])) if "in_flight" in endpoint else "-",
                f"<small>{endpoint['idle']} idle</small>" if "idle" in endpoint else "",
                cells.last_error(endpoint),
            ]
            rows.append(cells.row(f"{key}-{address}", line, "endpoint"))
    title = "Services" + (f" with {asked.wanted!r} in their names" if asked.wanted else "")
    head = ["name", "state", *_traffic(shown), "in flight", "waiting", "last error"]
    more = ""
    if shown.more:
        more = f'<p>{shown.more} more are in use: filter, sort, or see <a href="/services">/services</a>.</p>'
    if shown.rest is not None:
        said = ", ".join(
            f"{name} {cell}" for name, cell in zip(_traffic(shown), cells.of_traffic(shown.rest), strict=True)
        )
        more += f"<p>Beyond metrics.target_cap services are counted together: {said}.</p>"
    return cells.table("services", title, head, rows, more, asked)


def _traffic(shown: Shown) -> list[str]:
    """The heads of L{cells.of_traffic}."""
    return ["requests/s" if shown.seconds else "requests", "success", "p50", "p95", "p99"]


def _kind(row: Mapping[str, Any]) -> str:
    return " ".join(str(row[key]) for key in ("direction", "protocol") if key in row)


def _routes(shown: Shown, asked: Asked) -> str:
    rows = (
        cells.row(
            "route-" + "-".join(labels.values()),
            [
                cells.link("/", labels.get("authority", ""), labels.get("authority", "")),
                escape(labels.get("listener", "")),
                *cells.of_traffic(traffic, "authority", labels.get("authority", "")),
            ],
        )
        for labels, traffic in shown.routes
    )
    head = ["authority", "listener", *_traffic(shown)]
    return cells.table("routes", "Routes (HTTP)", head, rows, asked=asked)


def _profiled(shown: Shown, asked: Asked) -> str:
    rows = (
        cells.row(
            "profiled-" + "-".join(labels.values()),
            [
                cells.link("/", labels.get("dst", ""), labels.get("dst", "")),
                escape(labels.get("rt_route", "(none)")),
                escape(labels.get("listener", "")),
                *cells.of_traffic(traffic, "rt_route", labels.get("rt_route", "")),
                cells.per_second(tries),
            ],
        )
        for labels, traffic, tries in shown.profiled
    )
    head = ["service", "route", "listener", *_traffic(shown), "tries/s" if shown.seconds else "tries"]
    return cells.table("profiled", "Routes of services with a profile", head, rows, asked=asked)


def _brokers(shown: Shown) -> str:
    rows = (
        cells.row(
            f"broker-{one['cluster']}-{one.get('address')}",
            [
                cells.link("/", str(one["cluster"]), str(one["cluster"])),
                escape(str(one.get("node") or "-")),
                f"<code>{escape(str(one.get('address')))}</code>",
                cells.tone(str(one.get("state", "-"))) + cells.passed_over(one),
                cells.link("/connections", str(one.get("address")), str(one.get("connections", 0))),
                str(one.get("in_flight", 0)),
                escape(", ".join(map(str, one.get("client_ids", ()))) or "-"),
            ],
        )
        for one in shown.brokers
    )
    head = ["cluster", "node", "address", "state", "connections", "in flight", "client ids"]
    return cells.table("brokers", "Kafka: brokers", head, rows)


def _connections(shown: Shown, wanted: str) -> str:
    seen: Counter[str] = Counter()
    rows = (
        cells.row(
            _once(f"connection-{one.get('listener')}-{one.get('client')}", seen),
            [
                f"<code>{cells.link('/connections', str(one.get('client')), str(one.get('client')))}</code>",
                escape(str(one.get("remote_identity") or one.get("sni") or "-")),
                escape(str(one.get("listener"))) + _worker(one),
                escape(str(one.get("protocol") or "undecided")),
                escape(str(one.get("state", "-"))),
                cells.link("/", str(one["target"]), str(one["target"])) if one.get("target") else "-",
                f"<code>{escape(str(one['upstream']))}</code>" if one.get("upstream") else "-",
                _age(one),
            ],
        )
        for one in shown.connections
    )
    title = "Connections" + (f" about {wanted!r}" if wanted else ", the oldest")
    head = ["client", "identity", "listener", "protocol", "state", "to", "upstream", "since"]
    return cells.table("connections", title, head, rows, '<p>All: <a href="/connections">/connections</a>.</p>')


def _age(row: Mapping[str, Any]) -> str:
    """Of a connection, or of what was asked on it."""
    if "seconds" in row:
        return span(float(row["seconds"]))
    asked = row.get("request_seconds")
    return "-" if asked is None else f"{took(float(asked))} <small>request</small>"


def _worker(row: Mapping[str, Any]) -> str:
    return f" <small>worker {escape(str(row['worker']))}</small>" if "worker" in row else ""


def _once(key: str, seen: Counter[str]) -> str:
    """C{key}, with a number where it was C{seen} before: so a row's key is still its own when another is gone."""
    seen[key] += 1
    return key if seen[key] == 1 else f"{key}-{seen[key]}"


def _certificates(shown: Shown, now: float) -> str:
    rows = []
    for labels, at in shown.certificates:
        left = at - now
        tone = "bad" if left <= 0 else "doubt" if left < 3 * DAY else "good"
        until = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
        name = " ".join(labels.values())
        rows.append(
            cells.row(
                f"certificate-{name}",
                [cells.link("/metrics", CERTIFICATES, name), until, f'<span class="{tone}">{span(left)}</span>'],
            )
        )
    return cells.table("certificates", "Certificates", ["name", "valid until", "that is in"], rows)


def _target(target: str) -> str:
    """A link to a service; a listener or a client, which are named as such, has none."""
    return escape(target) if target == "-" or " " in target else cells.link("/", target, target)


def _failures(shown: Shown, now: float) -> str:
    rows = (
        cells.row(
            f"failure-{crc32(one['key'].encode('utf-8', 'replace')):08x}",
            [
                span(now - one["at"]) + " ago",
                str(one["times"]),
                escape(one.get("layer") or str(one["kind"])),
                _target(one.get("target") or "-"),
                "-" if one.get("waited_seconds") is None else took(one["waited_seconds"]),
                escape(one["text"]),
            ],
        )
        for one in shown.failures
    )
    return cells.table("failures", "Recent failures", ["last", "times", "layer", "target", "waited", "what"], rows)
