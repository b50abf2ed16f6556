# -*- test-case-name: tests.admin.test_overview -*-
"""
What the first page shows, as values: taken from what the proxy tells of itself and from its metrics, and nothing else.

Figures of traffic are of the last ten seconds while somebody watches, and of all time on the first look, which the page
says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from lproxy.admin.interface import Proxy, Standing
from lproxy.admin.order import AMOUNTS, NONE, WHOLE, Asked, Traffic, of_row, of_standing, of_traffic
from lproxy.admin.window import Window, added, quantile
from lproxy.metrics.caps import OTHER
from lproxy.metrics.family import Family, Labels

#: rows of services, routes and the like: those with the most to tell
ROWS = 100
#: rows of connections
SOME = 50

REQUESTS, LATENCY = "endpoint_request_total", "endpoint_latency_ms"
ROUTE_REQUESTS, ROUTE_RESPONSES, ROUTE_LATENCY = "request_total", "response_total", "response_latency_ms"
PROFILE_REQUESTS, PROFILE_RESPONSES = "route_request_total", "route_response_total"
PROFILE_LATENCY, PROFILE_TRIES = "route_response_latency_ms", "route_actual_request_total"
KAFKA_REQUESTS = "kafka_requests_total"
CERTIFICATES = "identity_cert_expiration_timestamp_seconds"
LAG = "reactor_lag_seconds"
IN_FLIGHT, LOCK_WAITERS = "in_flight", "lock_waiters"
#: the families that are looked at
NAMES = frozenset(
    (
        REQUESTS,
        LATENCY,
        ROUTE_REQUESTS,
        ROUTE_RESPONSES,
        ROUTE_LATENCY,
        PROFILE_REQUESTS,
        PROFILE_RESPONSES,
        PROFILE_LATENCY,
        PROFILE_TRIES,
        KAFKA_REQUESTS,
        CERTIFICATES,
        LAG,
        IN_FLIGHT,
        LOCK_WAITERS,
    )
)
#: requests, responses and latency, of what is shown as routes
ROUTES = (ROUTE_REQUESTS, ROUTE_RESPONSES, ROUTE_LATENCY)
PROFILED = (PROFILE_REQUESTS, PROFILE_RESPONSES, PROFILE_LATENCY)


class Shown(NamedTuple):
    """
    One picture.

    @ivar seconds: what the figures of traffic are of; 0 for all time
    @ivar live: which configuration serves
    @ivar figures: of the whole process, by their names
    @ivar workers: rows of C{/workers}; none where there is one process
    @ivar draining: processes of before a takeover
    @ivar services: rows of C{/services}, with their L{Traffic} and that of each endpoint
    @ivar more: how many services are used besides
    @ivar rest: traffic of services that are counted together, as there are more than may have series of their own
    @ivar connections: the oldest, and those that are wanted
    @ivar brokers: of Kafka
    @ivar routes: by authority
    @ivar profiled: routes of services with a profile, and how often their requests were sent
    """

    version: str
    not_ready: str | None
    seconds: float
    live: dict[str, Any]
    figures: dict[str, str]
    workers: list[dict[str, Any]]
    draining: list[dict[str, Any]]
    listeners: list[dict[str, Any]]
    services: list[tuple[dict[str, Any], Traffic, dict[str, Traffic]]]
    more: int
    rest: Traffic | None
    routes: list[tuple[dict[str, str], Traffic]]
    profiled: list[tuple[dict[str, str], Traffic, float]]
    kafka: list[tuple[str, float]]
    brokers: list[dict[str, Any]]
    connections: list[dict[str, Any]]
    certificates: list[tuple[dict[str, str], float]]
    failures: list[dict[str, Any]]


def overview(proxy: Proxy, window: Window, asked: Asked = WHOLE) -> Shown:
    """What there is to show now."""
    glance, spoken = proxy.glance(), proxy.spoken()
    standings = proxy.standings(asked.wanted)
    services, more, rest = _services(proxy, window, asked, standings)
    return Shown(
        proxy.version,
        proxy.ready(),
        window.seconds,
        glance.get("live", {}),
        _figures(window, sum(spoken.values()), standings if not asked.wanted else ()),
        proxy.workers(),
        proxy.draining(),
        _listeners(glance, proxy.addresses(), spoken),
        services,
        more,
        rest,
        [(dict(labels), traffic) for labels, traffic in _routes(window, asked, "authority", ROUTES)],
        [
            (dict(labels), traffic, _rate(window, window.grown(PROFILE_TRIES, labels)))
            for labels, traffic in _routes(window, asked, "dst", PROFILED)
        ],
        _kafka(window),
        [
            {"cluster": row.get("target"), **endpoint}
            for row, _, _ in services
            if row.get("protocol") == "kafka"
            for endpoint in row.get("endpoints", ())
        ],
        _connections(proxy, asked.wanted),
        sorted(
            ((dict(labels), window.value(CERTIFICATES, labels)) for labels in window.series(CERTIFICATES)),
            key=lambda one: one[1],
        ),
        proxy.failures(),
    )


def _connections(proxy: Proxy, wanted: str) -> list[dict[str, Any]]:
    if not wanted:
        return proxy.connections(SOME)[:SOME]
    return [row for row in proxy.connections() if about(row, wanted)][:SOME]


def about(row: dict[str, Any], wanted: str) -> bool:
    """Whether C{wanted} is in any of a row's words."""
    return any(wanted in value for value in row.values() if isinstance(value, str))


def look(window: Window, families: Iterable[Family], seconds: float) -> None:
    """Have C{window} see what metrics say at this moment."""
    window.look(families, seconds)


def _figures(window: Window, connections: int, standings: Sequence[Standing]) -> dict[str, str]:
    """
    Of the whole process.

    @param standings: all that there are, or none
    """
    lag = quantile(window.counts(LAG, ()), 0.99)
    serve = sum(one.serves for one in standings)
    services = {"services that serve": f"{serve} of {len(standings)}"} if standings else {}
    return {
        **services,
        "connections": str(connections),
        "requests and streams in flight": str(int(window.value(IN_FLIGHT, ()))),
        "waiting for a turn": str(int(window.value(LOCK_WAITERS, ()))),
        "reactor lag, p99": "-" if lag is None else f"{lag * 1000:.0f} ms",
    }


def _listeners(
    glance: dict[str, Any], addresses: dict[str, tuple[str, int]], spoken: Counter[tuple[str, str]]
) -> list[dict[str, Any]]:
    rows = []
    for listen in glance.get("listen", ()):
        name = listen["name"]
        mine = {protocol: n for (listener, protocol), n in spoken.items() if listener == name}
        speaks = ", ".join(f"{protocol} {n}" for protocol, n in mine.items())
        rows.append({**listen, "address": addresses.get(name), "connections": sum(mine.values()), "speaks": speaks})
    return rows


def _services(
    proxy: Proxy, window: Window, asked: Asked, found: Iterable[Standing]
) -> tuple[list[tuple[dict[str, Any], Traffic, dict[str, Traffic]]], int, Traffic | None]:
    """Those that come first: everything is asked of so many alone."""
    wanted, sort = asked
    by_service: dict[str, dict[str, Labels]] = {}
    for labels in window.series(LATENCY):
        names = dict(labels)
        by_service.setdefault(names.get("service", ""), {})[names.get("endpoint", "")] = labels
    traffic = {name: _traffic(window, series.values()) for name, series in by_service.items()}
    standings = sorted(
        found,
        key=lambda one: (*of_standing(sort, one, traffic.get(one.target, NONE)), one.target),
    )
    rows = [row for standing in standings[:ROWS] if (row := standing.row()) is not None]
    rows += islice(proxy.unused(wanted), ROWS - len(rows))
    shown = [
        (
            row,
            traffic.get(target := str(row.get("target")), NONE),
            {name: _traffic(window, [labels]) for name, labels in by_service.get(target, {}).items()},
        )
        for row in rows
    ]
    # which knows more than what it was chosen by
    shown.sort(key=lambda one: (*of_row(sort, one[0], one[1]), str(one[0].get("target"))))
    return shown, max(0, len(standings) - ROWS), traffic.get(OTHER)


def _traffic(window: Window, series: Iterable[Labels]) -> Traffic:
    """Of endpoints."""
    series = list(series)
    good, bad = (
        sum(window.grown(REQUESTS, (*labels, ("classification", word))) for labels in series)
        for word in ("success", "failure")
    )
    return _of(window, good, bad, added(c for labels in series if (c := window.counts(LATENCY, labels)) is not None))


def _of(window: Window, good: float, bad: float, counts: Any) -> Traffic:
    total = good + bad
    return Traffic(
        _rate(window, total),
        good / total if total else None,
        (quantile(counts, 0.5), quantile(counts, 0.95), quantile(counts, 0.99)),
    )


def _rate(window: Window, n: float) -> float:
    return n / window.seconds if window.seconds else n


def _routes(window: Window, asked: Asked, name: str, families: tuple[str, str, str]) -> list[tuple[Labels, Traffic]]:
    """
    Those that are to come first, else those with the most traffic.

    @param name: the label with what they are filtered by
    @param families: requests, responses and latency
    """
    requests, responses, latency = families
    outcomes: dict[Labels, Counter[str]] = {}
    for labels in window.series(responses):
        route = tuple(pair for pair in labels if pair[0] not in ("classification", "status_code", "grpc_status"))
        word = dict(labels).get("classification", "")
        outcomes.setdefault(route, Counter())[word] += int(window.grown(responses, labels))
    rows = []
    for labels in window.series(requests):
        if asked.wanted in dict(labels).get(name, ""):
            seen = outcomes.get(labels, Counter())
            rows.append((labels, _of(window, seen["success"], seen["failure"], window.counts(latency, labels))))
    sort = "requests" if asked.sort in ("", *AMOUNTS) else asked.sort
    rows.sort(key=lambda row: (*of_traffic(sort, row[1]), dict(row[0]).get(name, "")))
    return rows[:ROWS]


def _kafka(window: Window) -> list[tuple[str, float]]:
    apis: Counter[str] = Counter()
    for labels in window.series(KAFKA_REQUESTS):
        apis[dict(labels).get("api", "?")] += int(window.grown(KAFKA_REQUESTS, labels))
    return [(api, _rate(window, n)) for api, n in apis.most_common(ROWS)]
