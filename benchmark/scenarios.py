"""
One question each: which load goes through which listener, and which figures come out.

A figure is a L{Metric} of its scenario; a scenario's C{run} returns a value for every one of its metrics, which is what
makes a result complete. The first metric is the one that ratios are taken of.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmark import load
from benchmark.load import Load
from benchmark.measure import Window, resident_kib
from benchmark.peers import DIRECT, Proxy
from benchmark.process import ProcessFailed


@dataclass(frozen=True)
class Metric:
    """
    A column of the report.

    C{of_proxy}: it is about the proxy's process, so direct traffic has none. C{added}: it is not measured but is the
    difference of metric C{added} to direct traffic's. C{ranged}: its column shows the least and the greatest too.
    """

    key: str
    title: str
    digits: int = 1
    of_proxy: bool = False
    added: str | None = None
    ranged: bool = False


@dataclass(frozen=True)
class Settings:
    """How long, how often, how much, and where. Times in seconds."""

    warmup: float = 2.0
    seconds: float = 10.0
    rounds: int = 3
    rate: float = 2000.0
    idle: int = 10_000
    idle_settle: float = 2.0
    noise: float = 0.1  #: share of either core that others may use before a run is marked
    proxy_core: int = 0
    load_core: int = 1


@dataclass(frozen=True)
class Measured:
    """What one run found: metric key -> value, what was odd, and how much others used the two cores (0 to 1)."""

    values: dict[str, float]
    notes: list[str] = field(default_factory=list)
    foreign_proxy: float = 0.0
    foreign_load: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """C{tools} must be on the PATH; C{listener} is the proxy's port that it uses; C{run} measures one proxy once."""

    name: str
    question: str
    listener: str
    tools: tuple[str, ...]
    metrics: tuple[Metric, ...]
    run: Callable[[Proxy, Settings], Measured]
    direct: bool = True  #: does it make sense without a proxy?
    timed: bool = True  #: can others on the proxy's core spoil it?

    def expected(self, proxy: str) -> list[Metric]:
        """The metrics that a complete result of C{proxy} has."""
        return [metric for metric in self.metrics if proxy != DIRECT or not (metric.of_proxy or metric.added)]


Generate = Callable[[int, float, Settings], Load]


def port_of(proxy: Proxy, listener: str) -> int:
    port = proxy.ports.of(listener)
    assert port is not None, f"{proxy.peer.name} has no listener {listener}"
    return port


def loaded(listener: str, generate: Generate, cpu_key: str, cpu_scale: float) -> Callable[[Proxy, Settings], Measured]:
    """
    A run that warms up, then puts load on C{listener} and divides the proxy's CPU by the units of work done.

    C{cpu_key} is the metric for that, C{cpu_scale} how many of its units make a second.
    """

    def run(proxy: Proxy, settings: Settings) -> Measured:
        port = port_of(proxy, listener)
        if settings.warmup:
            generate(port, settings.warmup, settings)
        with Window(proxy.pid, settings.proxy_core, settings.load_core) as window:
            done = generate(port, settings.seconds, settings)
        if done.problem:
            raise ProcessFailed(done.problem)
        values = dict(done.values)
        if proxy.pid is not None:
            values[cpu_key] = window.cpu * cpu_scale / done.units
            values["core"] = 100 * window.cpu / done.seconds
        notes = []
        if listener == "http" and "max_us" in values and values["rate"] < 0.99 * settings.rate:
            notes.append(f"missed the rate: {values['rate']:.0f} of {settings.rate:.0f}/s")
        return Measured(values, notes, window.foreign_proxy, window.foreign_load)

    return run


#: connections opened before the first look at the memory, so that pools and tables of first use are not counted
FIRST_CONNECTIONS = 100


def run_idle(proxy: Proxy, settings: Settings) -> Measured:
    """Memory at start, and what each further idle keep-alive connection adds to it."""
    assert proxy.pid is not None
    with Window(proxy.pid, settings.proxy_core, settings.load_core) as window:
        time.sleep(min(1.0, settings.idle_settle))
        at_start = resident_kib(proxy.pid)
        with load.holding(port_of(proxy, "http"), settings.load_core) as holder:
            holder.open(FIRST_CONNECTIONS)
            time.sleep(min(1.0, settings.idle_settle))
            before = resident_kib(proxy.pid)
            held = holder.open(settings.idle)
            time.sleep(settings.idle_settle)
            after = resident_kib(proxy.pid)
            with Window(proxy.pid, settings.proxy_core, settings.load_core) as quiet:
                time.sleep(settings.idle_settle)
            closed = holder.finish()
    if closed:
        raise ProcessFailed(f"the proxy closed {closed} of {held} idle connections")
    values = {
        "per_connection_kib": (after - before) / settings.idle,
        "start_mib": at_start / 1024,
        "full_mib": after / 1024,
        "idle_core": 100 * quiet.cpu / quiet.seconds,
    }
    return Measured(values, [], window.foreign_proxy, window.foreign_load)


def cpu(key: str, title: str, digits: int = 1) -> Metric:
    """The proxy's CPU per unit of work, and first of the metrics."""
    return Metric(key, title, digits, of_proxy=True, ranged=True)


CORE = Metric("core", "core %", 0, of_proxy=True)

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "http",
            "What does an HTTP/1.1 request cost? wrk, 32 keep-alive connections, closed loop, 20-byte answers",
            "http",
            ("wrk", "nginx"),
            (
                cpu("cpu_us", "CPU us/req"),
                Metric("rate", "req/s", 0),
                Metric("p50_us", "p50 us", 0),
                Metric("p99_us", "p99 us", 0, ranged=True),
                CORE,
            ),
            loaded("http", lambda port, s, to: load.http(port, s, to.load_core), "cpu_us", 1e6),
        ),
        Scenario(
            "http-rate",
            "What does it cost, and delay, at a fixed rate? Open loop, 32 keep-alive connections, 20-byte answers",
            "http",
            ("nginx",),
            (
                cpu("cpu_us", "CPU us/req"),
                Metric("rate", "req/s", 0),
                Metric("p50_us", "p50 us", 0),
                Metric("p99_us", "p99 us", 0, ranged=True),
                Metric("p99_added_us", "p99 added us", 0, added="p99_us", ranged=True),
                Metric("max_us", "max us", 0),
                CORE,
            ),
            loaded("http", lambda port, s, to: load.http_rate(port, s, to.load_core, to.rate), "cpu_us", 1e6),
        ),
        Scenario(
            "tcp",
            "What do bytes cost? One iperf3 stream; lproxy through a detecting listener",
            "tcp",
            ("iperf3",),
            (cpu("cpu_s_per_gb", "CPU s/GB", 3), Metric("gbit", "Gbit/s", 2), CORE),
            loaded("tcp", lambda port, s, to: load.tcp(port, s, to.load_core), "cpu_s_per_gb", 1.0),
        ),
        Scenario(
            "churn",
            "What does a new TCP connection cost? Connect, 11 bytes there and back, close; 8 at a time",
            "echo",
            (),
            (
                cpu("cpu_us", "CPU us/conn"),
                Metric("rate", "conn/s", 0),
                Metric("p50_us", "p50 us", 0),
                Metric("p99_us", "p99 us", 0, ranged=True),
                CORE,
            ),
            loaded("echo", lambda port, s, to: load.churn(port, s, to.load_core), "cpu_us", 1e6),
        ),
        Scenario(
            "idle",
            "What does an idle keep-alive HTTP connection hold? One request on each, then silence",
            "http",
            ("nginx",),
            (
                Metric("per_connection_kib", "KiB/conn", 2, of_proxy=True, ranged=True),
                Metric("start_mib", "MiB at start", 1, of_proxy=True),
                Metric("full_mib", "MiB with all", 1, of_proxy=True),
                Metric("idle_core", "core %", 1, of_proxy=True),
            ),
            run_idle,
            direct=False,
            timed=False,
        ),
    )
}
