# -*- test-case-name: tests.benchmark.test_fortio -*-
"""
fortio: load at a fixed rate over a given number of connections, and an upstream whose answers have a given length.

It is built from source once, into a cache folder. Its percentiles come from a histogram whose default step is a
millisecond, which is more than most requests take: we ask for 10 microseconds. It measures from the moment a request is
sent, not from when it was due, so at a rate that is not reached the latencies say too little; such a run is marked.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.load import GRACE_SECONDS, Load
from benchmark.measure import Window, resident_kib
from benchmark.peers import Proxy
from benchmark.process import HOST, ProcessFailed, free_ports, run, running
from benchmark.scenarios import Measured, Metric, Scenario, Settings, port_of
from benchmark.upstreams import Upstreams

#: the last one that `go install` can build: later ones have a replace directive in their go.mod
VERSION = "v1.68.0"
BUILD_SECONDS = 600.0
#: what fortio's server sends at most unless told otherwise
MAX_BODY = 256 * 1024
#: the unit of the histogram's lowest steps, in seconds
RESOLUTION = "0.00001"
#: percentile -> our key
PERCENTILES = {50.0: "p50_ms", 90.0: "p90_ms", 99.0: "p99_ms", 99.9: "p999_ms"}
#: the share of the rate below which it counts as missed
REACHED = 0.99
#: which listener of the proxy each protocol goes through
LISTENERS = {"http": "http", "tcp": "echo"}


# the program


def program() -> Path:
    """Where the program is, or will be once it is built."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lproxy"
    return cache / f"fortio-{VERSION}" / "fortio"


def missing() -> str | None:
    """What is not installed and how to get it; None when fortio is there or can be built."""
    if program().exists() or shutil.which("go"):
        return None
    return "fortio is built with Go, which is not installed: https://go.dev/dl/ or apt-get install golang-go"


def ensure() -> Path:
    """The program, built now if it never was; this needs the network and takes about a minute."""
    path = program()
    if path.exists():
        return path
    if lack := missing():
        raise ProcessFailed(lack)
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"building fortio {VERSION} into {path.parent} (once; about a minute)", flush=True)
    try:
        done = subprocess.run(
            ["go", "install", f"fortio.org/fortio@{VERSION}"],
            env=os.environ | {"GOBIN": str(path.parent)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProcessFailed(f"fortio was not built: {error}") from error
    if done.returncode or not path.exists():
        raise ProcessFailed(f"fortio was not built: go install ended with {done.returncode}: {done.stderr[-1000:]}")
    return path


# load


def url(protocol: str, port: int, body: int) -> str:
    """What to ask for: over HTTP an answer of C{body} bytes; over TCP the payload decides."""
    return f"http://{HOST}:{port}/echo?size={body}" if protocol == "http" else f"tcp://{HOST}:{port}"


def command(protocol: str, port: int, body: int, rate: float, connections: int, seconds: float) -> list[str]:
    """
    The arguments of one load: C{rate} requests per second (0: as many as it can) on C{connections} kept alive.

    Over TCP a request is C{body} bytes sent and the same received.
    """
    arguments = ["load", "-c", str(connections), "-qps", f"{rate:.10g}", "-t", f"{seconds:g}s", "-timeout", "5s"]
    # spread over the connections, not in bursts of one each
    arguments += ["-uniform", "-r", RESOLUTION, "-p", ",".join(f"{percent:g}" for percent in PERCENTILES)]
    # errors are counted, all of them: one line in the log for each would be megabytes
    arguments += ["-allow-initial-errors", "-loglevel", "critical"]
    arguments += ["-log-errors=false"] if protocol == "http" else ["-payload-size", str(body)]
    return [*arguments, "-json", "-", url(protocol, port, body)]


def parse(text: str, body: int = 0) -> Load:
    """
    What C{text}, the JSON that fortio printed, says. Units: requests.

    Anything but answers 200 (over TCP: the bytes sent), or a shorter body than C{body}, is a problem.
    """
    try:
        found = json.loads(text)
        requests, seconds = int(found["DurationHistogram"]["Count"]), found["ActualDuration"] / 1e9
        codes: dict[str, int] = found["RetCodes"] or {}
        percentiles = {one["Percentile"]: one["Value"] for one in found["DurationHistogram"].get("Percentiles") or ()}
        values = {key: percentiles[percent] * 1e3 for percent, key in PERCENTILES.items()} if requests else {}
        sizes, heads = found.get("Sizes") or {}, found.get("HeaderSizes") or {}
        received = sizes["Sum"] if sizes else found["BytesReceived"]
        values |= {
            "rate": found["ActualQPS"],
            "max_ms": found["DurationHistogram"]["Max"] * 1e3,
            "bytes": received,
            "sockets": found["SocketCount"],
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ProcessFailed(f"fortio's result is not what it should be ({error!r}): {text[:500]}") from error
    wrong = {code: count for code, count in codes.items() if code not in ("200", "OK")}
    values["errors"] = sum(wrong.values())
    problem = ""
    if wrong:
        what = ", ".join(
            f"{'socket error' if code == '-1' else code}: {count}" for code, count in sorted(wrong.items())
        )
        problem = f"{values['errors']:.0f} of {requests} requests failed ({what})"
    elif not requests:
        problem = "no requests"
    elif sizes and received - heads["Sum"] < body * requests:
        problem = f"answers are too short: {(received - heads['Sum']) / requests:.0f} bytes of {body} on average"
    return Load(requests, seconds, {key: float(value) for key, value in values.items()}, problem)


def notes(done: Load, rate: float, connections: int) -> list[str]:
    """
    What a reader of the figures must know.

    Spread over the connections, the last requests are due up to one turn of them late: that is no missed rate, though
    it makes the achieved one look a little smaller.
    """
    words = []
    if rate and done.units < REACHED * rate * (done.seconds - connections / rate):
        words.append(f"missed the rate: {done.values['rate']:.0f} of {rate:.0f}/s")
    if done.values["sockets"] > connections:
        words.append(f"connections were not kept: {done.values['sockets']:.0f} for {connections}")
    return words


def load(
    protocol: str,
    port: int,
    seconds: float,
    core: int,
    *,
    body: int,
    rate: float,
    connections: int,
    raw: Path | None = None,
) -> Load:
    """One load on C{core}, run to its end; the JSON it prints is kept in C{raw} as well."""
    arguments = command(protocol, port, body, rate, connections, seconds)
    text = run([str(ensure()), *arguments], core, seconds + GRACE_SECONDS)
    if raw is not None:
        raw.write_text(text)
    return parse(text, body if protocol == "http" else 0)


# for the harness


@contextmanager
def server(directory: Path, core: int) -> Iterator[Upstreams]:
    """
    fortio's server on C{core}: C{http} answers as many bytes as the query asks for, C{tcp} and C{echo} send back.

    The same program as the load, so that a matrix needs nothing but fortio.
    """
    http, tcp = free_ports(2)
    off = [word for name in ("grpc", "redirect", "udp") for word in (f"-{name}-port", "disabled")]
    arguments = ["server", "-http-port", f"{HOST}:{http}", "-tcp-port", f"{HOST}:{tcp}", *off, "-ui-path", ""]
    arguments += ["-loglevel", "error"]
    log = directory / "upstream-fortio.log"
    with running("upstream fortio", [str(ensure()), *arguments], core, log, [http, tcp]):
        yield Upstreams(http, tcp, tcp)


METRICS = (
    Metric("cpu_us", "CPU us/req", 1, of_proxy=True, ranged=True),
    Metric("rate", "req/s", 0),
    Metric("p50_ms", "p50 ms", 3),
    Metric("p90_ms", "p90 ms", 3),
    Metric("p99_ms", "p99 ms", 3, ranged=True),
    Metric("p999_ms", "p99.9 ms", 3, ranged=True),
    Metric("errors", "errors", 0),
    Metric("bytes", "bytes", 0),
    Metric("core", "core %", 0, of_proxy=True),
    Metric("rss_mib", "MiB", 1, of_proxy=True),
)


def pace(rate: float) -> str:
    return f"{rate:.10g}" if rate else "max"


def name(protocol: str, body: int, rate: float, connections: int) -> str:
    """The scenario's name: no two loads share one, for files are named after it."""
    return f"{protocol}-b{body}-r{pace(rate)}-c{connections}"


def scenario(protocol: str, body: int, rate: float, connections: int, raw: Path | None = None) -> Scenario:
    """
    One load as a scenario of the harness; it wants L{server} behind the proxy.

    fortio's own output is left in the file C{raw}.
    """

    def measure(proxy: Proxy, settings: Settings) -> Measured:
        port = port_of(proxy, LISTENERS[protocol])

        def once(seconds: float) -> Load:
            core = settings.load_core
            return load(protocol, port, seconds, core, body=body, rate=rate, connections=connections, raw=raw)

        if settings.warmup:
            once(settings.warmup)
        with Window(proxy.pid, settings.proxy_core, settings.load_core) as window:
            done = once(settings.seconds)
        if done.problem:
            raise ProcessFailed(done.problem)
        values = dict(done.values)
        if proxy.pid is not None:
            values["cpu_us"] = window.cpu * 1e6 / done.units
            values["core"] = 100 * window.cpu / done.seconds
            values["rss_mib"] = resident_kib(proxy.pid) / 1024
        return Measured(values, notes(done, rate, connections), window.foreign_proxy, window.foreign_load)

    often = f"{pace(rate)}/s" if rate else "as fast as it goes"
    return Scenario(
        name(protocol, body, rate, connections),
        f"What does {protocol} cost? fortio, {often}, bodies of {body:,} bytes, {connections} connections kept alive",
        LISTENERS[protocol],
        (),
        METRICS,
        measure,
    )
