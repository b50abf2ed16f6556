# -*- test-case-name: tests.test_metrics -*-
"""
Every metric family: names, labels, help texts, and how they are read.

What is counted lives in L{lproxy.counters}, handed out here by label set; nothing on the data path knows a label. A
series goes away when nobody holds its counter any more and it has not moved for a while. Over a label's cap, its
value is C{other}.

Over 300 lines: the families stand together, to be compared with the page that lists them.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, Generic, TypeVar
from weakref import ref

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from twisted.internet.interfaces import IReactorTime

import lproxy
import twisted
from lproxy.build import build
from lproxy.config import Metrics as Config
from lproxy.counters import (
    SECONDS,
    AcquireCounter,
    DetectCounter,
    Family,
    Histogram,
    HttpCounter,
    HttpFaults,
    Labels,
    TransportCounter,
)

OTHER = "other"
#: distinct dst_addr values
DST_CAP = 1_000
#: from so many transport series on, new ones have src_addr C{other}; from twice as many, dst_addr as well
TRANSPORT_CAP = 2_000
#: characters of a value that a client chose; a DNS name with its port is shorter
LONGEST = 261
#: samples rendered before others get a turn: about a millisecond
SLICE = 1_000
#: seconds by which a timer is late
LAG_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

#: suffix behind the family's name, labels as they are written, value
Sample = tuple[str, str, float]
#: name, type, help and samples
Exposed = tuple[str, str, str, Iterator[Sample]]
C = TypeVar("C")


def written(labels: Labels) -> str:
    """Labels as the exposition has them, without the braces."""
    return ",".join([f'{key}="{_escape(value)}"' for key, value in labels])


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    # nothing is left of an infinite value: repr() has the word for it
    return str(int(value)) if value % 1 == 0 else repr(value)


def _and(text: str, key: str, value: str) -> str:
    """One label more."""
    last = f'{key}="{_escape(value)}"'
    return f"{text},{last}" if text else last


class Cap:
    """So many distinct values of a label, none too long; further ones are L{OTHER}."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.values: set[str] = set()

    def __call__(self, value: str) -> str:
        """C{value} or C{other}."""
        value = value[:LONGEST]
        if value in self.values:
            return value
        if len(self.values) >= self._most:
            return OTHER
        self.values.add(value)
        return value


@dataclass(slots=True, eq=False)
class Kept(Generic[C]):
    """One series: its labels as they are written (a scrape does so dozens of times), and when it last moved."""

    text: str
    counter: C
    mark: Any
    since: float

    def held(self) -> bool:
        """Whether anybody else has the counter: if not, it is gone now."""
        counter = ref(self.counter)
        del self.counter
        alive = counter()
        if alive is None:
            return False
        self.counter = alive
        return True


class Series(Generic[C]):
    """
    Counters by label set.

    Each stays as long as somebody holds it, and on until it has not moved for a while.

    @param mark: what of a counter changes whenever it counts, as long as nobody holds it
    """

    def __init__(self, make: Callable[[], C], mark: Callable[[C], Any]) -> None:
        self._make = make
        self._mark = mark
        self._kept: dict[Labels, Kept[C]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, labels: Labels) -> bool:
        return labels in self._kept

    def get(self, labels: Labels, now: float) -> C:
        """The counter of C{labels}."""
        kept = self._kept.get(labels)
        if kept is None:
            counter = self._make()
            kept = self._kept[labels] = Kept(written(labels), counter, self._mark(counter), now)
        kept.since = now
        return kept.counter

    def items(self) -> list[tuple[str, C]]:
        """All there are, with their labels as they are written."""
        return [(kept.text, kept.counter) for kept in self._kept.values()]

    def labels(self) -> Iterable[Labels]:
        """The label sets that there are."""
        return list(self._kept)

    def sweep(self, now: float, idle: float) -> None:
        """Let go of what nobody holds and has not moved for C{idle} seconds."""
        for labels, kept in list(self._kept.items()):
            mark = self._mark(kept.counter)
            if mark != kept.mark:
                kept.mark, kept.since = mark, now
            elif now - kept.since >= idle and not kept.held():
                del self._kept[labels]


class Metrics:
    """
    Hands out counters and renders them.

    @ivar lag: how late the reactor's timers fire
    """

    def __init__(self, config: Config, clock: IReactorTime, registry: CollectorRegistry | None = None) -> None:
        self._config = config
        self._clock = clock
        self._sources: list[Callable[[], Iterable[tuple[str, Labels, float]]]] = []
        self._protocols: list[Callable[[], Iterable[Family]]] = []
        self._plugin_errors: dict[str, int] = {}
        self._src = Cap(config.src_addr_cap)
        self._dst = Cap(DST_CAP)
        self._authorities = Cap(config.target_cap)
        # bytes move on live connections only, which hold their counter
        self._transport = Series(TransportCounter, lambda c: (c.opened, len(c.live)))
        self._http = Series(HttpCounter, lambda c: (c.requests, sum(c.responses.values())))
        self._faults = Series(HttpFaults, lambda c: (sum(c.errors.values()), sum(c.rejected.values())))
        self._acquire = Series(AcquireCounter, lambda c: (c.ready, len(c.durations)))
        self._detect = Series(DetectCounter, lambda c: sum(c.results.values()))
        self._forever: list[Any] = []
        self.lag = Histogram(LAG_SECONDS)
        # the standard families, by the library that defines them
        self._standard = registry or CollectorRegistry()
        ProcessCollector(registry=self._standard)
        GCCollector(registry=self._standard)

    # what sessions and stacks count into

    def transport(self, direction: str, peer: str, src_addr: str, dst_addr: str, protocol: str) -> TransportCounter:
        """Connections with these labels. Until TLS exists, all of them are without, because it is disabled."""
        source: Labels = ()
        if direction == "inbound" and self._config.src_addr:
            source = (("src_addr", self._src(src_addr)),)
        rest: Labels = (
            ("dst_addr", self._dst(dst_addr)),
            ("tls", "false"),
            ("no_tls_reason", "disabled"),
            ("protocol", protocol),
        )
        first: Labels = (("direction", direction), ("peer", peer))
        labels = first + source + rest
        if source and labels not in self._transport and len(self._transport) >= TRANSPORT_CAP:
            source = (("src_addr", OTHER),)
            labels = first + source + rest
        if labels not in self._transport and len(self._transport) >= 2 * TRANSPORT_CAP:
            labels = (*first, *source, ("dst_addr", OTHER), *rest[1:])
        return self._transport.get(labels, self._clock.seconds())

    def http(self, direction: str, authority: str) -> HttpCounter:
        """Requests to C{authority}."""
        labels = (("direction", direction), ("authority", self._authorities(authority)), ("tls", "false"))
        return self._http.get(labels, self._clock.seconds())

    def http_faults(self, direction: str) -> HttpFaults:
        """What was answered by ourselves or refused; for good."""
        return self._keep(self._faults.get((("direction", direction),), self._clock.seconds()))

    def acquire(self, direction: str) -> AcquireCounter:
        """One direction's acquisitions; for good."""
        return self._keep(self._acquire.get((("direction", direction),), self._clock.seconds()))

    def detect(self, listener: str) -> DetectCounter:
        """One listener's detections; for good."""
        return self._keep(self._detect.get((("listener", listener),), self._clock.seconds()))

    def plugin_error(self, plugin: str) -> None:
        """An exception in a protocol's code."""
        self._plugin_errors[plugin] = self._plugin_errors.get(plugin, 0) + 1

    def watch(self, source: Callable[[], Iterable[tuple[str, Labels, float]]]) -> None:
        """Have C{source} asked, at each scrape, for family names (those of L{STATE}), labels and values."""
        self._sources.append(source)

    def cap_target(self) -> Cap:
        """A cap for targets as labels, to be used for one scrape."""
        return Cap(self._config.target_cap)

    def families(self, source: Callable[[], Iterable[Family]]) -> None:
        """Have C{source} asked, at each scrape, for the families of a protocol."""
        self._protocols.append(source)

    def _keep(self, counter: C) -> C:
        self._forever.append(counter)
        return counter

    # how they are read

    def text(self) -> Iterator[bytes]:
        """
        The exposition (text format 0.0.4) in pieces, between which the reactor may turn.
        """
        self._sweep()
        lines: list[str] = []
        for name, kind, help, samples in self.exposed():
            lines.append(f"# HELP {name} {help}\n# TYPE {name} {kind}\n")
            for suffix, labels, value in samples:
                inner = f"{{{labels}}}" if labels else ""
                lines.append(f"{name}{suffix}{inner} {_number(value)}\n")
                if len(lines) >= SLICE:
                    yield "".join(lines).encode(errors="replace")
                    lines.clear()
        yield "".join(lines).encode(errors="replace")
        yield generate_latest(self._standard)

    def exposed(self) -> Iterator[Exposed]:
        """Name, type, help and samples of each family."""
        versions = {"version": lproxy.__version__, "python": platform.python_version(), "twisted": twisted.__version__}
        info = written((*versions.items(), ("build", build())))
        yield "proxy_build_info", "gauge", "Which lproxy this is.", iter((("", info, 1.0),))
        yield from self._transport_families()
        yield from self._other_families()
        state: dict[str, list[Sample]] = {}
        for source in self._sources:
            for name, labels, value in source():
                state.setdefault(name, []).append(("", written(labels), value))
        for name, (kind, help) in STATE.items():
            yield name, kind, help, iter(state.get(name, ()))
        yield from self._protocol_families()

    def _protocol_families(self) -> Iterator[Exposed]:
        """Those that protocols have of their own, each once however many listeners have some of it."""
        families: dict[str, list[Family]] = {}
        for source in self._protocols:
            for family in source():
                families.setdefault(family.name, []).append(family)
        for name, same in families.items():
            yield name, same[0].kind, same[0].help, (s for one in same for s in _samples(one))

    def _transport_families(self) -> Iterator[Exposed]:
        series = self._transport.items()

        def each(value: Callable[[TransportCounter], float]) -> Iterator[Sample]:
            return (("", labels, value(c)) for labels, c in series)

        yield (
            "tcp_open_total",
            "counter",
            "Connections: accepted ones are peer src, those to upstreams dst.",
            each(lambda c: c.opened),
        )
        yield "tcp_open_connections", "gauge", "Connections open now.", each(lambda c: len(c.live))
        yield (
            "tcp_read_bytes_total",
            "counter",
            "Bytes read from the peer, those of connections still open included.",
            each(lambda c: c.totals()[0]),
        )
        yield (
            "tcp_write_bytes_total",
            "counter",
            "Bytes written to the peer, those of connections still open included.",
            each(lambda c: c.totals()[1]),
        )
        closed = (("", _and(labels, "errno", e), n) for labels, c in series for e, n in list(c.closed.items()))
        yield "tcp_close_total", "counter", "Connections closed; errno is empty for a clean close.", closed
        spans = (s for labels, c in series for s in _histogram(labels, c.duration))
        yield "tcp_connection_duration_seconds", "histogram", "How long connections lasted.", spans

    def _other_families(self) -> Iterator[Exposed]:
        detect, acquire, http = self._detect.items(), self._acquire.items(), self._http.items()
        yield (
            "detect_total",
            "counter",
            "Connections by what their first bytes showed: a protocol, or why there was none.",
            _by("result", ((labels, c.results) for labels, c in detect)),
        )
        yield (
            "detect_duration_seconds",
            "histogram",
            "From the accept until the protocol was known.",
            (s for labels, c in detect for s in _histogram(labels, c.duration)),
        )
        yield (
            "accept_refused_total",
            "counter",
            "Connections closed at accept: the connection limit, or no more descriptors.",
            _by("reason", ((labels, c.refused) for labels, c in detect)),
        )
        yield "acquire_total", "counter", "Acquisitions of a service, by how they ended.", _acquired(acquire)
        yield (
            "acquire_duration_seconds",
            "histogram",
            "How long acquisitions took. Those that were ready at once took no time.",
            _waited(acquire),
        )
        yield (
            "request_total",
            "counter",
            "HTTP requests, answered or not.",
            (("", labels, c.requests) for labels, c in http),
        )
        yield "response_total", "counter", "HTTP answers, lproxy's own included.", _answered(http)
        yield (
            "response_latency_ms",
            "histogram",
            "From a request's head to the end of its answer.",
            (s for labels, c in http for s in _histogram(labels, c.latency)),
        )
        yield (
            "proxy_overhead_seconds",
            "histogram",
            "What a request spent in the proxy itself.",
            (s for labels, c in http for s in _histogram(labels, c.overhead)),
        )
        faults = self._faults.items()
        yield (
            "http_errors_total",
            "counter",
            "HTTP answers that lproxy made because it could not forward.",
            _by("reason", (("", _sum(c.errors for _, c in faults)),)),
        )
        yield (
            "http_rejected_total",
            "counter",
            "Bad HTTP input, refused.",
            _by("reason", (("", _sum(c.rejected for _, c in faults)),)),
        )
        yield (
            "reactor_lag_seconds",
            "histogram",
            "How late a timer of 100 ms fires: what everything waits for a busy process.",
            _histogram("", self.lag),
        )
        yield (
            "plugin_errors_total",
            "counter",
            "Exceptions in the code of protocols. Each ended one connection and is in the log.",
            (("", _and("", "plugin", plugin), n) for plugin, n in list(self._plugin_errors.items())),
        )

    def _sweep(self) -> None:
        now, idle = self._clock.seconds(), self._config.idle
        for series in (self._transport, self._http):
            series.sweep(now, idle)
        # places under a cap are free again when their series are gone
        used = [dict(labels) for labels in self._transport.labels()]
        self._src.values = {labels["src_addr"] for labels in used if "src_addr" in labels} - {OTHER}
        self._dst.values = {labels["dst_addr"] for labels in used} - {OTHER}
        self._authorities.values = {dict(labels)["authority"] for labels in self._http.labels()} - {OTHER}


#: families of state that somebody else holds, see L{Metrics.watch}
STATE = {
    "lock_waiters": ("gauge", "Requests that stand in line for a service."),
    "service_cache_size": ("gauge", "Services that are kept."),
    "service_cache_evictions_total": ("counter", "Services that were let go because they were idle."),
    "failfast_state": ("gauge", "1 where a service is so long not ready that requests fail at once."),
    "failfast_total": ("counter", "How often a service came to that."),
    "in_flight": ("gauge", "Requests and byte streams under way, those that wait included."),
    "in_flight_refused_total": ("counter", "Requests refused because there were too many under way."),
    "http_upstream_connections": ("gauge", "Connections to HTTP upstreams: active or idle."),
}


@lru_cache(64)
def _bounds(bounds: tuple[float, ...]) -> list[str]:
    return [f'le="{_number(bound)}"' for bound in bounds] + ['le="+Inf"']


def _histogram(labels: str, histogram: Histogram) -> Iterator[Sample]:
    # all of it as of now, even if a slice ends in between
    counts, total = list(accumulate(histogram.counts)), histogram.total
    for bound, count in zip(_bounds(histogram.bounds), counts, strict=True):
        yield "_bucket", f"{labels},{bound}" if labels else bound, count
    yield "_sum", labels, total
    yield "_count", labels, counts[-1]


def _samples(family: Family) -> Iterator[Sample]:
    for labels, value in family.samples:
        if isinstance(value, Histogram):
            yield from _histogram(written(labels), value)
        else:
            yield "", written(labels), value


def _by(name: str, series: Iterable[tuple[str, dict[str, int]]]) -> Iterator[Sample]:
    return (("", _and(labels, name, value), n) for labels, counts in series for value, n in list(counts.items()))


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total


def _acquired(series: list[tuple[str, AcquireCounter]]) -> Iterator[Sample]:
    for labels, counter in series:
        yield "", _and(labels, "outcome", "ready"), counter.ready
        for outcome, histogram in list(counter.durations.items()):
            yield "", _and(labels, "outcome", outcome), sum(histogram.counts)


def _waited(series: list[tuple[str, AcquireCounter]]) -> Iterator[Sample]:
    for labels, counter in series:
        ready = Histogram(SECONDS)
        ready.counts[0] = counter.ready
        yield from _histogram(_and(labels, "outcome", "ready"), ready)
        for outcome, histogram in list(counter.durations.items()):
            yield from _histogram(_and(labels, "outcome", outcome), histogram)


def _answered(series: list[tuple[str, HttpCounter]]) -> Iterator[Sample]:
    for labels, counter in series:
        for status, n in list(counter.responses.items()):
            classified = _and(labels, "classification", "failure" if status >= 500 else "success")
            yield "", _and(classified, "status_code", str(status)), n
