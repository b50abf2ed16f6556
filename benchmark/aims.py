# -*- test-case-name: tests.benchmark.test_aims -*-
"""
What was aimed at, and what came of it: a table for a document, of a result's figures alone.

An aim is a limit for one figure, or its ratio to another proxy's in the same run, of lproxy as it is and compiled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.compiled import NAME as COMPILED
from benchmark.peer import ENVOY, LPROXY
from benchmark.summary import OF, Row

NGINX = "nginx"


@dataclass(frozen=True)
class Aim:
    """
    Less is better.

    @ivar figure: a metric; C{cost}, what a unit of work costs, where it is a ratio
    @ivar of: the other proxy, or none
    @ivar compiled: the limit there, where it is another
    """

    what: str
    scenario: str
    figure: str
    of: str
    pure: float
    compiled: float | None = None


COST = "cost"
#: table -> its lines
AIMS: dict[str, tuple[Aim, ...]] = {
    "aims-tls": (
        Aim("HTTPS, a request, to Envoy's", "tls-http", COST, ENVOY, 1.0, 0.8),
        Aim("two hops, mutual TLS to plaintext", "mtls", "of_plaintext", "", 1.25),
        # as many a second of CPU as 0.75 and 0.7 of nginx's
        Aim("a full handshake, to nginx's", "tls-handshake", COST, NGINX, 1.33),
        Aim("a resumed handshake, to nginx's", "tls-resume", COST, NGINX, 1.43),
        Aim("a gigabyte over TLS, to Envoy's", "tls-bulk", COST, ENVOY, 1.3),
        Aim("an idle TLS connection, KiB", "tls-idle", "idle_kib_per_connection", "", 40.0),
    ),
    "aims-http2": (
        Aim("a gRPC call, to Envoy's", "grpc", COST, ENVOY, 0.8, 0.55),
        Aim("1,000 calls a second, to Envoy's", "grpc-rate", COST, ENVOY, 0.9, 0.75),
        Aim("what that adds to p99, to Envoy's", "grpc-rate", "p99_added_ms", ENVOY, 1.0),
        Aim("a message on a stream, to Envoy's", "grpc-stream", COST, ENVOY, 1.0, 0.8),
        Aim("HTTP/2 to HTTP/1.1, to Envoy's", "h2-h1", COST, ENVOY, 0.8, 0.55),
        Aim("a gigabyte over HTTP/2, to Envoy's", "h2-bulk", COST, ENVOY, 1.4),
        Aim("an idle HTTP/2 connection, KiB", "h2-idle", "idle_kib_per_connection", "", 12.0),
        Aim("100 idle streams, KiB", "h2-idle", "streams_kib", "", 300.0),
        Aim("100 answers of 10 MB unread, MiB", "h2-idle", "unread_mib", "", 16.0),
    ),
    "aims-profiles": (
        Aim("a request through 20 routes, to one without", "routes", "of_unrouted", "", 1.1),
        Aim("the same, to Envoy's", "routes", COST, ENVOY, 1.0, 0.8),
        Aim("p99 with one slow endpoint of ten, to that of good ones", "tail", "of_good", "", 1.5),
        Aim("1,000 services with profiles, added start, s", "services", "start_added_s", "", 2.0),
        Aim("what each adds to memory, KiB", "services", "kib_per_profile", "", 40.0),
    ),
    "aims-observing": (
        Aim("a request where one of a hundred is traced, to one without", "trace-1", "of_unobserved", "", 1.05),
        Aim("a request with a line of JSON in the access log, to Envoy's", "log-json", COST, ENVOY, 1.0, 0.8),
        Aim("a request with a line in Envoy's format, to Envoy's", "log-text", COST, ENVOY, 1.0, 0.8),
    ),
}


def found(aim: Aim, rows: Sequence[Row], proxy: str) -> float | None:
    """What C{proxy} came to, if that was measured."""
    there = {row.proxy: row for row in rows if row.scenario == aim.scenario}
    mine = there.get(proxy)
    if mine is None:
        return None
    if aim.figure == COST:
        return mine.ratios.get(f"{COST}{OF}{aim.of}")
    value = mine.values.get(aim.figure)
    if value is None:
        return None
    if not aim.of:
        return value.median
    other = there[aim.of].values.get(aim.figure) if aim.of in there else None
    return value.median / other.median if other is not None and other.median > 0 else None


def table(aims: Sequence[Aim], rows: Sequence[Row]) -> str:
    """Those of C{aims} whose scenarios were measured; what was missed is said."""
    lines = [["what", "aim, pure", "pure", "aim, compiled", "compiled"]]
    for aim in aims:
        if all(row.scenario != aim.scenario for row in rows):
            continue
        cells = [aim.what]
        for proxy, limit in ((LPROXY, aim.pure), (COMPILED, aim.compiled or aim.pure)):
            value = found(aim, rows, proxy)
            cells += [f"{limit:g}", "-" if value is None else said(value) + ("" if value <= limit else " missed")]
        lines.append(cells)
    return grid(lines)


def said(value: float) -> str:
    """With two digits behind the point, where that says something."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def grid(lines: Sequence[Sequence[str]]) -> str:
    """A simple table of reStructuredText; the first line is its head."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = " ".join("=" * width for width in widths)
    text = [" ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([rule, text[0], rule, *text[1:], rule]) + "\n"


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """Name -> table, of those for which there is a figure."""
    measured = {row.scenario for row in rows}
    return {name: table(aims, rows) for name, aims in AIMS.items() if any(aim.scenario in measured for aim in aims)}
