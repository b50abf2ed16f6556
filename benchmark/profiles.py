# -*- test-case-name: tests.benchmark.test_profiles -*-
"""
What service profiles cost: a request through twenty routes, and a thousand services that have some.
"""

import contextlib
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from benchmark import load
from benchmark.load import Load
from benchmark.measure import Window, resident_kib
from benchmark.metrics import metrics
from benchmark.peer import Ports, Proxy, Setting
from benchmark.process import HOST, ProcessFailed, free_ports, running
from benchmark.scenarios import LATENCY, OF_PROXY, Measured, Scenario, Shape, loaded, need
from benchmark.settings import Settings
from benchmark.upstreams import Upstreams

#: services, and what each says
SERVICES = 1_000
SERVICE = """
[services."service{n}.local:80"]
endpoints = ["{host}:{upstream}"]
"""
PROFILE = """retry_budget = {{ ratio = 0.1, minimum = 5 }}
[services."service{n}.local:80".routes.list]
match = {{ method = "GET", path = "/items" }}
retries = true
[services."service{n}.local:80".routes.one]
match = {{ method = "GET", path_regex = "/items/[^/]+" }}
retries = {{ tries = 2 }}
timeouts = {{ response_headers = "2s" }}
[services."service{n}.local:80".routes.add]
match = {{ method = "POST", path = "/items" }}
response_classes = [{{ status = "400-599" }}]
[services."service{n}.local:80".routes.admin]
match = {{ path_prefix = "/admin" }}
request_headers = {{ set = {{ x-admin = "true" }} }}
[services."service{n}.local:80".routes.rest]
timeouts = {{ stream = "10s" }}
"""
#: goes by the names of services
LISTENER = """
[[listen]]
name = "services"
address = "{host}:{port}"
protocol = "http"
"""


def requests(port: int, seconds: float, settings: Settings, raw: Path | None) -> Load:
    """wrk, as in the scenario http."""
    return load.http(port, seconds, settings.load_core, raw=raw)


unrouted = loaded("unrouted", requests, "cpu_us_per_request")
routed = loaded("routes", requests, "cpu_us_per_request")


def run_routes(proxy: Proxy, settings: Settings) -> Measured:
    """
    One proxy's listener with twenty routes, between two runs of the one without, whose mean it is compared with: a
    machine that becomes slower, or faster, does so for both.
    """
    before, found, after = unrouted(proxy, settings), routed(proxy, settings), unrouted(proxy, settings)
    runs = (before, found, after)
    without = (before.values["cpu_us_per_request"] + after.values["cpu_us_per_request"]) / 2
    return Measured(
        found.values | {"cpu_us_unrouted": without, "of_unrouted": found.values["cpu_us_per_request"] / without},
        [note for run in runs for note in run.notes],
        max(run.foreign_proxy for run in runs),
        max(run.foreign_load for run in runs),
        found.reached,
    )


@dataclass(frozen=True)
class Started:
    """One start: seconds until it listened, and KiB once each service was asked for something."""

    seconds: float
    kib: float


def services(upstream: int, profiles: bool) -> str:
    """The tables of all services."""
    template = SERVICE + (PROFILE if profiles else "")
    return "".join(template.format(n=n, host=HOST, upstream=upstream) for n in range(SERVICES))


@contextmanager
def application() -> Iterator[int]:
    """The port of one that serves all services, and ends each connection, so that none stays in a pool."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

        Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def start(proxy: Proxy, settings: Settings, upstream: int, profiles: bool) -> Started:
    """Another process of C{proxy}'s program, with services that all are served at the port C{upstream}."""
    http, tcp, echo, admin, port = free_ports(5)
    with tempfile.TemporaryDirectory(prefix="lproxy-services-") as name:
        directory = Path(name)
        behind = Upstreams(upstream, upstream, upstream)
        assert proxy.peer.command is not None
        command = proxy.peer.command(Setting(directory, Ports(http, tcp, echo, admin), behind, 500))
        (config,) = directory.glob("*.toml")
        config.write_text(config.read_text() + LISTENER.format(host=HOST, port=port) + services(upstream, profiles))
        began = time.monotonic()
        with running(proxy.peer.name, command, settings.proxy_core, directory / "log", [http, port]) as process:
            seconds = time.monotonic() - began
            ask_all(port)
            return Started(seconds, resident_kib(process.pid))


def ask_all(port: int) -> None:
    """One request to each service."""
    with socket.create_connection((HOST, port), 10) as client:
        heard = b""
        for n in range(SERVICES):
            client.sendall(b"GET /items/%d HTTP/1.1\r\nHost: service%d.local\r\n\r\n" % (n, n))
            heard = answer(client, heard)


def answer(client: socket.socket, heard: bytes) -> bytes:
    """Read one answer, whose status is 200, and whose body the upstream's; returns what has come behind it."""
    while b"\r\n\r\n" not in heard:
        data = client.recv(65536)
        if not data:
            raise ProcessFailed(f"ended behind {heard[:200]!r}")
        heard += data
    head, _, body = heard.partition(b"\r\n\r\n")
    if b" 200 " not in head[:13]:
        raise ProcessFailed(f"a service's answer is {heard[:200]!r}")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2])
    while len(body) < length:
        body += client.recv(65536)
    return body[length:]


def run_services(proxy: Proxy, settings: Settings) -> Measured:
    """A start without profiles, and one with."""
    with Window(None, settings.proxy_core, settings.load_core) as window, application() as upstream:
        without, profiled = (start(proxy, settings, upstream, profiles) for profiles in (False, True))
    values = {
        "start_s": profiled.seconds,
        "start_added_s": profiled.seconds - without.seconds,
        "kib_per_profile": (profiled.kib - without.kib) / SERVICES,
        "rss_full_mib": profiled.kib / 1024,
        "errors": 0.0,
    }
    return Measured(values, [], window.foreign_proxy, window.foreign_load)


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "routes",
            "What do twenty routes cost, ten by prefix, ten by regular expression? As http, and beside it without any",
            Shape("routes", "http", 20, 0.0, 32),
            "routes",
            metrics(*("cpu_us_per_request", "requests_per_s", "cpu_us_unrouted", "of_unrouted"), *LATENCY, *OF_PROXY),
            run_routes,
            need("wrk", "nginx"),
            direct=False,
        ),
        Scenario(
            "services",
            f"What do profiles of {SERVICES:,} services add to lproxy's start, and to its memory once each was asked?",
            Shape("services", "http", 20, 0.0, 1),
            "services",
            metrics("kib_per_profile", "start_s", "start_added_s", "rss_full_mib", "reactor_lag_p99_ms", "errors"),
            run_services,
            direct=False,
            timed=False,
        ),
    )
}
