# -*- test-case-name: tests.benchmark.test_tail -*-
"""
What one slow endpoint of ten does to the slowest requests: first all ten answer at once, then one takes half a second.

Each proxy has a process of its own for this, with a service of ten endpoints: lproxy by its defaults, Envoy with
LEAST_REQUEST and outlier detection. The first second after the change, in which it is found out, is not measured.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark import load
from benchmark.clients.common import answer_length, connect
from benchmark.load import Load
from benchmark.measure import Window, resident_kib
from benchmark.metrics import metrics
from benchmark.peer import ENVOY, TAIL, Ports, Proxy, Setting
from benchmark.process import HOST, ProcessFailed, client_command, free_ports, running
from benchmark.scenarios import LATENCY, OF_PROXY, Measured, Scenario, Shape
from benchmark.settings import Settings
from benchmark.upstreams import Upstreams

ENDPOINTS = 10
#: milliseconds that the slow one takes
SLOW = 500
#: seconds that there are to find out
FIRST = 1.0
#: requests a second: what one core serves with ease, so that nothing but the slow endpoint is slow
RATE = 400.0

LPROXY = """
[[listen]]
name = "tail"
address = "{host}:{port}"
target = "service:ten"
protocol = "http"

[services.ten]
endpoints = [{endpoints}]
"""

ENVOY_CONFIG = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: {host}, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: tail
          route_config: {{virtual_hosts: [{{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: ten}}}}]}}]}}
          http_filters: [{{name: envoy.filters.http.router, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]
  clusters:
  - name: ten
    type: STATIC
    lb_policy: LEAST_REQUEST
    outlier_detection: {{}}
    load_assignment: {{cluster_name: ten, endpoints: [{{lb_endpoints: [{endpoints}]}}]}}
"""  # noqa: E501
ENVOY_ENDPOINT = "{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: {port}}}}}}}}}"


def configure(proxy: Proxy, directory: Path, port: int, endpoints: list[int]) -> list[str]:
    """Have C{proxy}'s program listen at C{port} for a service of C{endpoints}; its command."""
    assert proxy.peer.command is not None
    http, tcp, echo, admin, nobody = free_ports(5)
    behind = Upstreams(nobody, nobody, nobody)
    command = proxy.peer.command(Setting(directory, Ports(http, tcp, echo, admin), behind, connections=500))
    if proxy.peer.name == ENVOY:
        ends = ", ".join(ENVOY_ENDPOINT.format(host=HOST, port=end) for end in endpoints)
        (directory / "envoy.yaml").write_text(ENVOY_CONFIG.format(host=HOST, port=port, endpoints=ends))
    else:
        (config,) = directory.glob("*.toml")
        ends = ", ".join(f'"{HOST}:{end}"' for end in endpoints)
        config.write_text(config.read_text() + LPROXY.format(host=HOST, port=port, endpoints=ends))
    return command


@contextmanager
def ten(settings: Settings, directory: Path) -> Iterator[list[int]]:
    """The ports of ten endpoints, on the load core."""
    ports = free_ports(ENDPOINTS)
    command = client_command("ten", *map(str, ports))
    with running("ten endpoints", command, settings.load_core, directory / "ten.log", ports):
        yield ports


def tell(port: int, path: str) -> bytes:
    """What an endpoint answers to a request for C{path} that comes not by the proxy."""
    with connect(port) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: ten\r\n\r\n".encode())
        data = b""
        while (length := answer_length(data)) is None or len(data) < length:
            piece = connection.recv(65536)
            if not piece:
                raise ProcessFailed(f"an endpoint closed the connection behind {data!r}")
            data += piece
    return data.partition(b"\r\n\r\n")[2]


def offer(port: int, seconds: float, settings: Settings, raw: Path | None = None) -> Load:
    """The load."""
    done = load.http_rate(port, seconds, settings.load_core, RATE, raw)
    if done.problem:
        raise ProcessFailed(done.problem)
    return done


def run_tail(proxy: Proxy, settings: Settings) -> Measured:
    """p99 with one that is slow, and without."""
    with tempfile.TemporaryDirectory(prefix="lproxy-tail-") as name, ten(settings, Path(name)) as endpoints:
        directory = Path(name)
        (port,) = free_ports(1)
        command = configure(proxy, directory, port, endpoints)
        with running(proxy.peer.name, command, settings.proxy_core, directory / "log", [port]) as process:
            offer(port, max(FIRST, settings.warmup), settings)
            good = offer(port, settings.seconds, settings)
            tell(endpoints[0], f"/slow/{SLOW}")
            offer(port, FIRST, settings)
            tell(endpoints[0], "/asked")
            with Window(process.pid, settings.proxy_core, settings.load_core) as window:
                found = offer(port, settings.seconds, settings, proxy.raw)
            asked = int(tell(endpoints[0], "/asked"))
            values = {
                **found.values,
                "p99_good_ms": good.values["p99_ms"],
                "of_good": found.values["p99_ms"] / good.values["p99_ms"],
                "slow_percent": 100 * asked / found.units,
                "cpu_us_per_request": window.cpu * 1e6 / found.units,
                "core_percent": 100 * window.cpu / found.seconds,
                "rss_mib": resident_kib(process.pid) / 1024,
            }
    return Measured(values, list(found.notes), window.foreign_proxy, window.foreign_load, found.reached)


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "tail",
            f"One of ten endpoints takes {SLOW} ms: what is p99, after the first second, to that of good ones alone? "
            f"{RATE:.0f} requests a second on 32 connections, 20-byte answers",
            Shape("tail", "http", 20, RATE, 32),
            TAIL,
            metrics(
                *("cpu_us_per_request", "p99_good_ms", "of_good", "slow_percent", "requests_per_s"),
                *(*LATENCY, "max_ms"),
                *OF_PROXY,
            ),
            run_tail,
            direct=False,
        ),
    )
}
