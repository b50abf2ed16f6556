# -*- test-case-name: tests.benchmark.test_http2 -*-
"""
What HTTP/2 and gRPC cost: a call, at a fixed rate too, a message on an open stream, a crossing of versions, a gigabyte,
and what is idle or unread. Without TLS, with prior knowledge; every call has a path and a request id of its own.
"""

import time
from pathlib import Path

from benchmark import load
from benchmark.load import Load, at_rate, bytes_of, timed
from benchmark.measure import Window, resident_kib
from benchmark.metrics import metrics
from benchmark.peer import Proxy
from benchmark.process import ProcessFailed
from benchmark.scenarios import (
    FIRST_CONNECTIONS,
    LATENCY,
    OF_PROXY,
    Generate,
    Measured,
    Scenario,
    Shape,
    loaded,
    need,
    port_of,
)
from benchmark.settings import Settings
from benchmark.upstreams import BULK

CONNECTIONS, STREAMS = 4, 10
#: bytes of a gRPC message
MESSAGE = 20
#: calls a second, where latency is looked at
RATE = 1_000
BULK_STREAMS = 4
#: connections for the memory that one takes; streams, for which one hundred is too little to be seen in pages
IDLE, IDLE_STREAMS = 2_000, 1_000
#: answers that nobody reads
UNREAD = 100
#: while these come in and are held, the memory is looked at so many times, so many seconds apart
LOOKS, PAUSE = 15, 0.2


def calls(**options: str | int) -> Generate:
    """As many as it can, so many at a time."""

    def generate(port: int, seconds: float, settings: Settings, raw: Path | None) -> Load:
        more = {"connections": CONNECTIONS, "streams": STREAMS} | options
        return timed(load.h2("calls", port, seconds, settings.load_core, raw, **more), "requests")

    return generate


def rate(port: int, seconds: float, settings: Settings, raw: Path | None) -> Load:
    """gRPC calls on schedule."""
    more = {"connections": CONNECTIONS, "rate": RATE, "message": MESSAGE}
    return at_rate(timed(load.h2("rate", port, seconds, settings.load_core, raw, **more), "requests"), RATE)


def messages(port: int, seconds: float, settings: Settings, raw: Path | None) -> Load:
    """Messages there and back on open streams."""
    more = {"connections": CONNECTIONS, "streams": STREAMS, "message": MESSAGE}
    found = load.h2("messages", port, seconds, settings.load_core, raw, **more)
    return timed(found | {"messages": found["requests"]}, "messages")


def bulk(port: int, seconds: float, settings: Settings, raw: Path | None) -> Load:
    """Large answers, on one connection so many at a time."""
    more: dict[str, str | int] = {"connections": 1, "streams": BULK_STREAMS, "path": "/bulk/"}
    return bytes_of(load.h2("calls", port, seconds, settings.load_core, raw, **more))


def run_idle(proxy: Proxy, settings: Settings) -> Measured:
    """What connections, streams and unread answers add to the memory, one kind after the other."""
    assert proxy.pid is not None
    pid, settle = proxy.pid, settings.idle_settle
    ports = [str(port_of(proxy, listener)) for listener in ("h2", "grpc")]
    count, streams = min(IDLE, settings.idle), min(IDLE_STREAMS, 5 * settings.idle)
    with Window(pid, settings.proxy_core, settings.load_core) as window:
        time.sleep(min(1.0, settle))
        at_start = resident_kib(pid)
        with load.holding(settings.load_core, "hold", *ports) as holder:

            def grown(what: str, first: int, more: int) -> float:
                holder.open(first, what)
                time.sleep(settle)
                before = resident_kib(pid)
                holder.open(more, what)
                time.sleep(settle)
                return resident_kib(pid) - before

            connection = grown("connections", FIRST_CONNECTIONS, count) / count
            full = resident_kib(pid)
            stream = grown("streams", FIRST_CONNECTIONS, streams) / streams
            with Window(pid, settings.proxy_core, settings.load_core) as quiet:
                time.sleep(settle)
            before, most = resident_kib(pid), 0.0
            holder.open(UNREAD, "unread")
            for _ in range(LOOKS):
                time.sleep(PAUSE)
                most = max(most, resident_kib(pid))
            closed = holder.finish()
    if closed:
        raise ProcessFailed(f"the proxy closed {closed} connections")
    values = {
        "idle_kib_per_connection": connection,
        "rss_start_mib": at_start / 1024,
        "rss_full_mib": full / 1024,
        "streams_kib": 100 * stream,
        "unread_mib": (most - before) / 1024,
        "core_percent": 100 * quiet.cpu / quiet.seconds,
        "errors": 0.0,
    }
    return Measured(values, [], window.foreign_proxy, window.foreign_load)


def crossing(name: str, question: str, run: Generate) -> Scenario:
    """Short answers through the listener of that name, whatever is spoken on either side."""
    first = name.partition("-")[0]
    return Scenario(
        name,
        question,
        Shape(name, first, 20, 0.0, CONNECTIONS if first == "h2" else 32),
        name,
        metrics("cpu_us_per_request", "requests_per_s", *LATENCY, *OF_PROXY),
        loaded(name, run, "cpu_us_per_request"),
        need("nginx") if first == "h2" else need("nginx", "wrk"),
        direct=False,
    )


def many(what: str) -> str:
    return f"{what}, {CONNECTIONS} connections of {STREAMS} at a time, closed loop"


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "grpc",
            f"What does a gRPC call cost? {many(f'Unary, messages of {MESSAGE} bytes')}",
            Shape("grpc", "grpc", MESSAGE, 0.0, CONNECTIONS),
            "grpc",
            metrics("cpu_us_per_request", "requests_per_s", *LATENCY, *OF_PROXY),
            loaded("grpc", calls(message=MESSAGE, path="/bench.Echo/"), "cpu_us_per_request"),
            direct=False,
        ),
        Scenario(
            "grpc-rate",
            f"What does it cost, and delay, at a fixed rate? {RATE:,} calls a second, open loop",
            Shape("grpc-rate", "grpc", MESSAGE, RATE, CONNECTIONS),
            "grpc",
            metrics("cpu_us_per_request", "requests_per_s", *LATENCY, "p99_added_ms", "max_ms", *OF_PROXY),
            loaded("grpc", rate, "cpu_us_per_request"),
        ),
        Scenario(
            "grpc-stream",
            f"What does a message on an open stream cost? {many('There and back')}",
            Shape("grpc-stream", "grpc", MESSAGE, 0.0, CONNECTIONS),
            "grpc",
            metrics("cpu_us_per_message", "messages_per_s", *LATENCY, *OF_PROXY),
            loaded("grpc", messages, "cpu_us_per_message"),
            direct=False,
        ),
        crossing(
            "h2",
            f"What does an HTTP/2 request to an HTTP/2 upstream cost? {many('20-byte answers')}",
            calls(),
        ),
        crossing(
            "h2-h1",
            "And to an HTTP/1.1 upstream?",
            calls(),
        ),
        crossing(
            "h1-h2",
            "And an HTTP/1.1 request to an HTTP/2 upstream? As http",
            lambda port, seconds, to, raw: load.http(port, seconds, to.load_core, raw=raw),
        ),
        Scenario(
            "h2-bulk",
            f"What do bytes cost over HTTP/2, to HTTP/2? Answers of {BULK:,} bytes, {BULK_STREAMS} at a time",
            Shape("h2-bulk", "h2", BULK, 0.0, 1),
            "h2",
            metrics("cpu_s_per_gb", "gbit_per_s", *OF_PROXY),
            loaded("h2", bulk, "cpu_s_per_gb"),
            need("nginx"),
            direct=False,
        ),
        Scenario(
            "h2-idle",
            f"What do idle HTTP/2 connections and streams hold, and {UNREAD} answers of {BULK:,} bytes unread?",
            Shape("h2-idle", "h2", 20, 0.0, IDLE),
            "h2",
            metrics(
                *("idle_kib_per_connection", "rss_start_mib", "rss_full_mib", "streams_kib", "unread_mib"),
                *("core_percent", "reactor_lag_p99_ms", "errors"),
            ),
            run_idle,
            need("nginx"),
            direct=False,
            timed=False,
        ),
    )
}
