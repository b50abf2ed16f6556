# -*- test-case-name: tests.benchmark.test_metrics -*-
"""
Every figure that a run can give, by its name: the key in results, and the column of C{summary.txt}, with its unit.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """
    One figure.

    @ivar key: its name in files, unit included
    @ivar title: the head of its column where people read
    @ivar digits: after the point
    @ivar group: the picture it belongs to: cpu, throughput, latency, memory, or none
    @ivar more_is_better: a rate
    @ivar of_proxy: it is about the proxy's process, so direct traffic has none
    @ivar added: it is not measured, but is the difference of that other metric to direct traffic's
    @ivar ranged: its column shows the least and the greatest, too
    """

    key: str
    title: str
    digits: int = 1
    group: str = ""
    more_is_better: bool = False
    of_proxy: bool = False
    added: str = ""
    ranged: bool = False


METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("cpu_us_per_request", "CPU us/req", 1, "cpu", of_proxy=True, ranged=True),
        Metric("cpu_us_per_connection", "CPU us/conn", 1, "cpu", of_proxy=True, ranged=True),
        Metric("cpu_us_per_handshake", "CPU us/handshake", 1, "cpu", of_proxy=True, ranged=True),
        Metric("cpu_us_per_message", "CPU us/message", 1, "cpu", of_proxy=True, ranged=True),
        Metric("cpu_s_per_gb", "CPU s/GB", 3, "cpu", of_proxy=True, ranged=True),
        Metric("requests_per_s", "req/s", 0, "throughput", more_is_better=True),
        Metric("connections_per_s", "conn/s", 0, "throughput", more_is_better=True),
        Metric("handshakes_per_s", "handshakes/s", 0, "throughput", more_is_better=True),
        Metric("messages_per_s", "messages/s", 0, "throughput", more_is_better=True),
        Metric("records_per_s", "records/s", 0, "throughput", more_is_better=True),
        Metric("gbit_per_s", "Gbit/s", 2, "throughput", more_is_better=True, ranged=True),
        Metric("p50_ms", "p50 ms", 3, "latency"),
        Metric("p90_ms", "p90 ms", 3, "latency"),
        Metric("p99_ms", "p99 ms", 3, "latency", ranged=True),
        Metric("p999_ms", "p99.9 ms", 3, "latency"),
        Metric("max_ms", "max ms", 2),
        Metric("p99_added_ms", "p99 added ms", 3, added="p99_ms", ranged=True),
        Metric("core_percent", "core %", 0, of_proxy=True),
        Metric("rss_mib", "MiB", 1, "memory", of_proxy=True),
        Metric("rss_start_mib", "MiB at start", 1, "memory", of_proxy=True),
        Metric("rss_full_mib", "MiB with all", 1, "memory", of_proxy=True),
        Metric("idle_kib_per_connection", "KiB/conn", 2, "memory", of_proxy=True, ranged=True),
        Metric("streams_kib", "KiB/100 streams", 0, of_proxy=True, ranged=True),
        Metric("unread_mib", "MiB/100 unread", 1, of_proxy=True, ranged=True),
        Metric("cpu_us_plaintext", "plaintext CPU us/req", 1, of_proxy=True, ranged=True),
        Metric("of_plaintext", "of plaintext", 2, of_proxy=True, ranged=True),
        Metric("cpu_us_unrouted", "unrouted CPU us/req", 1, of_proxy=True, ranged=True),
        Metric("of_unrouted", "of unrouted", 2, of_proxy=True, ranged=True),
        Metric("cpu_us_unobserved", "unobserved CPU us/req", 1, of_proxy=True, ranged=True),
        Metric("of_unobserved", "of unobserved", 3, of_proxy=True, ranged=True),
        Metric("observed_percent", "% observed", 1, of_proxy=True),
        Metric("p99_good_ms", "p99 good ms", 3, of_proxy=True, ranged=True),
        Metric("of_good", "p99 of that", 2, of_proxy=True, ranged=True),
        Metric("slow_percent", "% to the slow one", 2, of_proxy=True),
        Metric("start_s", "s to start", 2, of_proxy=True, ranged=True),
        Metric("start_added_s", "s added by profiles", 2, of_proxy=True, ranged=True),
        Metric("kib_per_profile", "KiB/profile", 1, of_proxy=True, ranged=True),
        Metric("reactor_lag_p99_ms", "lag p99 ms", 1),
        Metric("errors", "errors", 0),
    )
}
#: what only lproxy tells of itself; a result is complete without
OPTIONAL = frozenset({"reactor_lag_p99_ms"})


def metrics(*keys: str) -> tuple[Metric, ...]:
    """The metrics of these names, in this order."""
    return tuple(METRICS[key] for key in keys)


def of_group(group: str) -> list[Metric]:
    """The metrics in one picture."""
    return [metric for metric in METRICS.values() if metric.group == group]


#: per picture
GROUPS = ("cpu", "throughput", "latency", "memory")
#: the first of these that a scenario has is what a unit of work costs; likewise how much got through
COST = (
    *("cpu_us_per_request", "cpu_us_per_connection", "cpu_us_per_handshake", "cpu_us_per_message"),
    *("cpu_s_per_gb", "idle_kib_per_connection", "kib_per_profile"),
)
THROUGHPUT = (
    *("requests_per_s", "connections_per_s", "handshakes_per_s", "messages_per_s", "records_per_s"),
    "gbit_per_s",
)
