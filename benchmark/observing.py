# -*- test-case-name: tests.benchmark.test_observing -*-
"""
What it costs to be observed: a request that has a line in the access log, a trace, an id, or is counted while somebody
scrapes.

Beside the proxy that nobody observes runs another one of its kind that is, on the same core, and they take turns:
which of the two is measured changes within seconds, so that a slow minute of the machine hits both.
"""

import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from benchmark import load
from benchmark.collector import Collector, collecting, scraping
from benchmark.load import Load
from benchmark.measure import Window, resident_kib
from benchmark.metrics import metrics
from benchmark.observed import METRICS_PATH, SAMPLE, log_file
from benchmark.peer import IDS, LOG_JSON, LOG_TEXT, SCRAPED, TRACE_ALL, TRACE_SOME, Ports, Proxy, Setting
from benchmark.process import ProcessFailed, free_ports, running
from benchmark.scenarios import LATENCY, OF_PROXY, Measured, Scenario, Shape, need
from benchmark.settings import Settings

#: which of the two is measured when, the observed one or the other: whatever drifts meanwhile does so for both
TURNS = (False, True, True, False)


@dataclass
class Side:
    """
    One of the two, and what it has done so far.

    @ivar asked: requests, those included that were not measured
    @ivar cpu: seconds, for C{units} requests in C{seconds}
    """

    port: int
    pid: int
    asked: float = 0.0
    units: float = 0.0
    cpu: float = 0.0
    seconds: float = 0.0
    windows: list[Window] = field(default_factory=list)
    latencies: dict[str, float] = field(default_factory=dict)

    def offer(self, seconds: float, settings: Settings, raw: Path | None = None) -> Load:
        """The load: wrk, as in the scenario http."""
        done = load.http(self.port, seconds, settings.load_core, raw=raw)
        if done.problem or done.values["errors"]:
            raise ProcessFailed(done.problem or f"{done.values['errors']:.0f} errors")
        self.asked += done.units
        return done

    def measure(self, settings: Settings, raw: Path | None) -> None:
        """The same, and what it costs."""
        with Window(self.pid, settings.proxy_core, settings.load_core) as window:
            done = self.offer(settings.seconds, settings, raw)
        self.units += done.units
        self.cpu += window.cpu
        self.seconds += done.seconds
        self.windows.append(window)
        self.latencies = {key: value for key, value in done.values.items() if key.endswith("_ms")}

    @property
    def cost(self) -> float:
        """Microseconds of CPU for a request."""
        return self.cpu * 1e6 / self.units


@contextmanager
def beside(proxy: Proxy, settings: Settings, setting: Setting) -> Iterator[Side]:
    """Another process of C{proxy}'s program, which is observed."""
    assert proxy.peer.command is not None and setting.ports.http is not None
    command, log = proxy.peer.command(setting), setting.directory / "log"
    with running(f"observed {proxy.peer.name}", command, settings.proxy_core, log, [setting.ports.http]) as process:
        yield Side(setting.ports.http, process.pid)


def shown(proxy: str, setting: Setting, collector: Collector | None) -> int | None:
    """Of how many requests something is there now; C{None}: nothing is that could be counted."""
    if collector is not None:
        return collector.traces()
    if setting.observe not in (LOG_JSON, LOG_TEXT):
        return None
    with open(log_file(proxy, setting.directory), "rb") as lines:
        return sum(b"/item/" in line for line in lines)


def run(how: str, proxy: Proxy, settings: Settings) -> Measured:
    """The two of them, in turns."""
    assert proxy.pid is not None and proxy.ports.http is not None and proxy.setting is not None
    plain, name = Side(proxy.ports.http, proxy.pid), proxy.peer.name
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lproxy-observed-")))
        collector = stack.enter_context(collecting()) if how in SAMPLE else None
        http, tcp, echo, admin = free_ports(4)
        ports, port = Ports(http, tcp, echo, admin), None if collector is None else collector.port
        setting = replace(proxy.setting, directory=directory, ports=ports, observe=how, collector=port)
        with beside(proxy, settings, setting) as observed:
            for side in (plain, observed) if settings.warmup else ():
                side.offer(settings.warmup, settings)
            path = METRICS_PATH.get(name, "/metrics")
            with scraping(admin, path) if how == SCRAPED else nullcontext():
                for turn in TURNS:
                    (observed if turn else plain).measure(settings, proxy.raw)
            memory = resident_kib(observed.pid) / 1024
        # it has ended: what waited is written and sent
        seen = shown(name, setting, collector)
    values = {
        **observed.latencies,
        "cpu_us_per_request": observed.cost,
        "cpu_us_unobserved": plain.cost,
        "of_unobserved": observed.cost / plain.cost,
        "requests_per_s": observed.units / observed.seconds,
        "core_percent": 100 * observed.cpu / observed.seconds,
        "rss_mib": memory,
        "errors": 0.0,
    }
    if seen is not None:
        values["observed_percent"] = 100 * seen / observed.asked
    windows = plain.windows + observed.windows
    return Measured(values, [], max(one.foreign_proxy for one in windows), max(one.foreign_load for one in windows))


def missing(packages: Sequence[str] = ()) -> str | None:
    """What this machine lacks."""
    if lack := need("wrk", "nginx")():
        return lack
    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    return f"no {absent[0]}: pip install 'lproxy[otel]'" if absent else None


def scenario(name: str, question: str, counted: bool = False, packages: Sequence[str] = ()) -> Scenario:
    """One way to be observed; C{counted}: it can be seen of how many requests something is there."""
    observed = ("observed_percent",) if counted else ()
    own = ("cpu_us_per_request", "requests_per_s", "cpu_us_unobserved", "of_unobserved", *observed)
    return Scenario(
        name,
        f"{question} As http, and in turns with a process that does nothing of the kind",
        Shape(name, "http", 20, 0.0, 32),
        name,
        metrics(*own, *LATENCY, *OF_PROXY),
        partial(run, name),
        partial(missing, packages),
        direct=False,
    )


OTEL = ("opentelemetry",)
SCENARIOS: dict[str, Scenario] = {
    one.name: one
    for one in (
        scenario(LOG_JSON, "What does a line of the access log cost, as JSON with all that is known?", True),
        scenario(LOG_TEXT, "What does it cost in each proxy's usual format?", True),
        scenario(TRACE_SOME, "What does it cost to trace one request of a hundred?", True, OTEL),
        scenario(TRACE_ALL, "What does it cost to trace every request?", True, OTEL),
        scenario(IDS, "What does a request id cost, made for each request and sent to the upstream?"),
        scenario(SCRAPED, "What does it cost that metrics are scraped each second?"),
    )
}
