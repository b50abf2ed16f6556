# -*- test-case-name: tests.benchmark.test_scenarios -*-
"""
One question each: which load goes through which listener to what stands behind, and which figures come out.

A figure is a L{Metric} of its scenario; a scenario's C{run} returns a value for every one of its metrics, which is what
makes a result complete. The first metric is what a unit of work costs.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmark import load
from benchmark.load import Load
from benchmark.measure import Window, resident_kib
from benchmark.metrics import OPTIONAL, Metric, metrics
from benchmark.peer import DIRECT, Proxy
from benchmark.process import ProcessFailed
from benchmark.settings import Settings

#: how to get the tools that scenarios need
TOOLS = {"wrk": "apt-get install wrk", "iperf3": "apt-get install iperf3", "nginx": "apt-get install nginx"}


@dataclass(frozen=True)
class Shape:
    """
    What a load looks like, for names and tables.

    @ivar kind: the load program's way; scenarios that differ in nothing but numbers share it
    @ivar body: bytes of an answer (over TCP: of a message); 0 where there is no such thing
    @ivar rate: requests per second to aim at; 0: as many as it can; None: what the settings say
    """

    kind: str
    protocol: str
    body: int = 0
    rate: float | None = 0.0
    connections: int = 1

    def labels(self, settings: Settings) -> dict[str, str | int | float]:
        """As they stand in results."""
        rate = settings.rate if self.rate is None else self.rate
        return {
            "load": self.kind,
            "protocol": self.protocol,
            "body_bytes": self.body,
            "target_per_s": f"{rate:.10g}" if rate else "max",
            "connections": self.connections or settings.idle,
        }


@dataclass(frozen=True)
class Measured:
    """
    What one run found: metric key -> value, what was odd, and how much others used the two cores (0 to 1).

    C{reached} is false when the rate aimed at was not.
    """

    values: dict[str, float]
    notes: list[str] = field(default_factory=list)
    foreign_proxy: float = 0.0
    foreign_load: float = 0.0
    reached: bool = True


def nothing_missing() -> str | None:
    return None


def need(*tools: str) -> Callable[[], str | None]:
    """In words which of C{tools} is not on the PATH, and how to get it."""

    def missing() -> str | None:
        absent = [tool for tool in tools if shutil.which(tool) is None]
        return "; ".join(f"no {tool}: {TOOLS[tool]}" for tool in absent) or None

    return missing


@dataclass(frozen=True)
class Scenario:
    """
    One question.

    @ivar listener: the proxy's port that it uses
    @ivar missing: in words what this machine lacks for it, or None
    @ivar run: measures one proxy once
    @ivar behind: what stands behind the proxies, a key of L{benchmark.session.BEHIND}
    @ivar direct: whether it makes sense without a proxy
    @ivar timed: whether others on the proxy's core can spoil it
    """

    name: str
    question: str
    shape: Shape
    listener: str
    metrics: tuple[Metric, ...]
    run: Callable[[Proxy, Settings], Measured]
    missing: Callable[[], str | None] = nothing_missing
    behind: str = "usual"
    direct: bool = True
    timed: bool = True

    def expected(self, proxy: str) -> list[Metric]:
        """The metrics that a complete result of C{proxy} has."""
        measured = [metric for metric in self.metrics if metric.key not in OPTIONAL]
        return [metric for metric in measured if proxy != DIRECT or not (metric.of_proxy or metric.added)]


#: puts load on a port for so many seconds; the program's own output goes to the file
Generate = Callable[[int, float, Settings, Path | None], Load]


def port_of(proxy: Proxy, listener: str) -> int:
    port = proxy.ports.of(listener)
    assert port is not None, f"{proxy.peer.name} has no listener {listener}"
    return port


def loaded(listener: str, generate: Generate, cpu_key: str, warm: bool = True) -> Callable[[Proxy, Settings], Measured]:
    """
    A run that warms up, then puts load on C{listener} and divides the proxy's CPU by the units of work done.

    C{cpu_key} is the metric for that.
    """
    per_second = 1.0 if cpu_key.startswith("cpu_s_") else 1e6

    def run(proxy: Proxy, settings: Settings) -> Measured:
        port = port_of(proxy, listener)
        if settings.warmup and warm:
            generate(port, settings.warmup, settings, None)
        with Window(proxy.pid, settings.proxy_core, settings.load_core) as window:
            done = generate(port, settings.seconds, settings, proxy.raw)
        if done.problem:
            raise ProcessFailed(done.problem)
        values = {"errors": 0.0, **done.values}
        if values["errors"] and proxy.peer.ours:
            raise ProcessFailed(f"{values['errors']:.0f} errors")
        notes = [*done.notes, *([f"{values['errors']:.0f} errors"] if values["errors"] else [])]
        if proxy.pid is not None:
            values[cpu_key] = window.cpu * per_second / done.units
            values["core_percent"] = 100 * window.cpu / done.seconds
            values["rss_mib"] = resident_kib(proxy.pid) / 1024
        return Measured(values, notes, window.foreign_proxy, window.foreign_load, done.reached)

    return run


#: connections opened before the first look at the memory, so that pools and tables of first use are not counted
FIRST_CONNECTIONS = 100


def run_idle(proxy: Proxy, settings: Settings) -> Measured:
    """Memory at start, and what each further idle keep-alive connection adds to it."""
    return idle(proxy, settings, settings.idle, "http")


def idle(proxy: Proxy, settings: Settings, count: int, listener: str, *options: str) -> Measured:
    """The same for so many connections to that listener; C{options} are for the program that holds them."""
    assert proxy.pid is not None
    with Window(proxy.pid, settings.proxy_core, settings.load_core) as window:
        time.sleep(min(1.0, settings.idle_settle))
        at_start = resident_kib(proxy.pid)
        with load.holding(settings.load_core, "idle", str(port_of(proxy, listener)), *options) as holder:
            holder.open(FIRST_CONNECTIONS)
            time.sleep(min(1.0, settings.idle_settle))
            before = resident_kib(proxy.pid)
            held = holder.open(count)
            time.sleep(settings.idle_settle)
            after = resident_kib(proxy.pid)
            with Window(proxy.pid, settings.proxy_core, settings.load_core) as quiet:
                time.sleep(settings.idle_settle)
            closed = holder.finish()
    if closed:
        raise ProcessFailed(f"the proxy closed {closed} of {held} idle connections")
    values = {
        "idle_kib_per_connection": (after - before) / count,
        "rss_start_mib": at_start / 1024,
        "rss_full_mib": after / 1024,
        "core_percent": 100 * quiet.cpu / quiet.seconds,
        "errors": 0.0,
    }
    return Measured(values, [], window.foreign_proxy, window.foreign_load)


LATENCY = ("p50_ms", "p90_ms", "p99_ms", "p999_ms")
OF_PROXY = ("core_percent", "rss_mib", "reactor_lag_p99_ms", "errors")

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "http",
            "What does an HTTP/1.1 request cost? wrk, 32 keep-alive connections, closed loop, 20-byte answers",
            Shape("http", "http", 20, 0.0, 32),
            "http",
            metrics("cpu_us_per_request", "requests_per_s", *LATENCY, *OF_PROXY),
            loaded("http", lambda port, s, to, raw: load.http(port, s, to.load_core, raw=raw), "cpu_us_per_request"),
            need("wrk", "nginx"),
        ),
        Scenario(
            "http-rate",
            "What does it cost, and delay, at a fixed rate? Open loop, 32 keep-alive connections, 20-byte answers",
            Shape("http-rate", "http", 20, None, 32),
            "http",
            metrics("cpu_us_per_request", "requests_per_s", *LATENCY, "p99_added_ms", "max_ms", *OF_PROXY),
            loaded(
                "http",
                lambda port, s, to, raw: load.http_rate(port, s, to.load_core, to.rate, raw=raw),
                "cpu_us_per_request",
            ),
            need("nginx"),
        ),
        Scenario(
            "tcp",
            "What do bytes cost? One iperf3 stream; lproxy through a detecting listener",
            Shape("tcp", "tcp"),
            "tcp",
            metrics("cpu_s_per_gb", "gbit_per_s", *OF_PROXY),
            loaded("tcp", lambda port, s, to, raw: load.tcp(port, s, to.load_core, raw=raw), "cpu_s_per_gb"),
            need("iperf3"),
        ),
        Scenario(
            "churn",
            "What does a new TCP connection cost? Connect, 11 bytes there and back, close; 8 at a time",
            Shape("churn", "tcp", 11, 0.0, 8),
            "echo",
            metrics("cpu_us_per_connection", "connections_per_s", *LATENCY, *OF_PROXY),
            loaded(
                "echo", lambda port, s, to, raw: load.churn(port, s, to.load_core, raw=raw), "cpu_us_per_connection"
            ),
        ),
        Scenario(
            "idle",
            "What does an idle keep-alive HTTP connection hold? One request on each, then silence",
            Shape("idle", "http", 20, 0.0, 0),
            "http",
            metrics(
                *("idle_kib_per_connection", "rss_start_mib", "rss_full_mib"),
                *("core_percent", "reactor_lag_p99_ms", "errors"),
            ),
            run_idle,
            need("nginx"),
            direct=False,
            timed=False,
        ),
    )
}
