# -*- test-case-name: tests.benchmark.test_workers -*-
"""
What several workers cost, and what a takeover costs whom: C{python -m benchmark.workers} says it.

Two workers use what one uses for a request, if nothing is shared that should not be: where the load has no machine of
its own, that is the figure, not requests per second, at the same rate for each worker. The supervisor's CPU is part of
it. Takeovers are made one after the other (SIGUSR2) under clients that open a connection for each request, and count.
"""

import argparse
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmark import load
from benchmark.measure import cpu_seconds
from benchmark.process import HOST, ProcessFailed, Running, free_ports, running

CONFIG = """\
workers = {workers}
[admin]
address = "{host}:{admin}"
[[listen]]
name = "http"
address = "{host}:{port}"
target = "{host}:{upstream}"
protocol = "http"
"""
NGINX = """\
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log stderr error;
events {{ worker_connections 2000; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{ listen {host}:{port} backlog=4096; location / {{ return 200 "twenty bytes of text"; }} }} }}
"""

#: requests per second, for each worker
RATE = 2_000.0
#: what two workers may use for a request, of what one does; and the supervisor's memory
CPU_RATIO, SUPERVISOR_MIB = 1.05, 25.0
#: takeovers, and by how much they may lengthen the slowest requests
TAKEOVERS, P99_RATIO = 20, 2.0
#: seconds for one to be done
PATIENCE = 60.0


@dataclass
class Found:
    """
    What was measured.

    @ivar cpu: microseconds for a request, by the number of workers, one for each round
    @ivar rate: requests per second, likewise
    """

    cpu: dict[int, list[float]] = field(default_factory=dict)
    rate: dict[int, list[float]] = field(default_factory=dict)
    supervisor_mib: float = 0.0
    takeovers: int = 0
    answered: int = 0
    refused: int = 0
    lost: int = 0
    p99_quiet_ms: float = 0.0
    p99_ms: float = 0.0

    def cpu_ratio(self) -> float:
        """Two workers to one."""
        return median(self.cpu[2]) / median(self.cpu[1])

    def lines(self) -> Iterator[str]:
        """For people."""
        for workers, cpu in self.cpu.items():
            rate = median(self.rate[workers])
            yield f"{workers} worker(s): {median(cpu):.1f} us of CPU for a request, {rate:,.0f} requests/s"
        yield f"2 workers to 1: {self.cpu_ratio():.2f} of the CPU for a request (aim: {CPU_RATIO})"
        yield f"supervisor: {self.supervisor_mib:.1f} MiB (aim: {SUPERVISOR_MIB:.0f})"
        yield (
            f"{self.takeovers} takeovers: {self.answered} requests on as many connections, {self.refused} refused, "
            f"{self.lost} lost (aim: 0, 0)"
        )
        ratio = self.p99_ms / self.p99_quiet_ms
        yield f"p99 meanwhile: {self.p99_ms:.1f} ms, {ratio:.1f} of {self.p99_quiet_ms:.1f} ms (aim: {P99_RATIO})"

    def missed(self) -> list[str]:
        """What must not be, on whatever machine."""
        found = [f"{name} {n}" for name, n in (("refused", self.refused), ("lost", self.lost)) if n]
        if self.supervisor_mib > SUPERVISOR_MIB:
            found.append(f"the supervisor has {self.supervisor_mib:.1f} MiB")
        return found


class Counting:
    """Clients of a connection for each request: how many were answered, refused, lost, and how long that took."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self._port = port
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        self.seconds: list[float] = []
        self.refused = self.lost = 0

    def __enter__(self) -> "Counting":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def p99_ms(self) -> float:
        """The time that one request in a hundred takes longer than."""
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)] * 1000 if self.seconds else 0.0

    def _run(self) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            try:
                client = socket.create_connection((HOST, self._port), 10)
            except OSError:
                with self._lock:
                    self.refused += 1
                continue
            with client:
                well = answered(client)
            with self._lock:
                if well:
                    self.seconds.append(time.monotonic() - began)
                else:
                    self.lost += 1


def answered(client: socket.socket) -> bool:
    """Whether a request is answered, to the end."""
    data = b""
    try:
        client.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
        while more := client.recv(65536):
            data += more
    except OSError:
        return False
    return data.startswith(b"HTTP/1.1 200") and data.endswith(b"twenty bytes of text")


@contextmanager
def lproxy(directory: Path, workers: int, port: int, admin: int, upstream: int) -> Iterator[Running]:
    """A proxy that may use all cores."""
    path = directory / f"lproxy-{workers}.toml"
    path.write_text(CONFIG.format(workers=workers, host=HOST, admin=admin, port=port, upstream=upstream))
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    command = ["taskset", "-c", cores, sys.executable, "-m", "lproxy", "run", str(path)]
    log = directory / f"lproxy-{workers}.log"
    core = min(os.sched_getaffinity(0))
    with running(f"lproxy with {workers} workers", command, core, log, [port, admin]) as started:
        if workers > 1:
            until(lambda: log.read_text().count(" serves") >= workers, "all workers serve")
        yield started


def until(done: Callable[[], bool], what: str) -> None:
    """Wait; raises L{ProcessFailed}."""
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            raise ProcessFailed(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.02)


def measure_cpu(found: Found, directory: Path, seconds: float, rounds: int, upstream: int) -> None:
    """One worker and two, by turns."""
    core = max(os.sched_getaffinity(0))
    for _ in range(rounds):
        for workers in (1, 2):
            port, admin = free_ports(2)
            with lproxy(directory, workers, port, admin, upstream) as started:
                # as much for each worker: what one has less to do, it does in smaller batches, which costs more
                rate = RATE * workers
                load.http_rate(port, min(1.0, seconds), core, rate)
                before = cpu_seconds(started.pid)
                done = load.http_rate(port, seconds, core, rate)
                used = cpu_seconds(started.pid) - before
                if done.problem:
                    raise ProcessFailed(done.problem)
                found.cpu.setdefault(workers, []).append(used / done.units * 1e6)
                found.rate.setdefault(workers, []).append(done.units / done.seconds)
                if workers > 1:
                    status = Path(f"/proc/{started.pid}/status").read_text()
                    found.supervisor_mib = int(status.partition("VmRSS:")[2].split()[0]) / 1024


def measure_takeovers(found: Found, directory: Path, seconds: float, times: int, upstream: int) -> None:
    """So many, one after the other."""
    port, admin = free_ports(2)
    with lproxy(directory, 2, port, admin, upstream) as started:
        with Counting(port) as quiet:
            time.sleep(seconds)
        found.p99_quiet_ms = quiet.p99_ms()
        pid = started.pid
        try:
            with Counting(port) as client:
                for number in range(times):
                    os.kill(pid, signal.SIGUSR2)
                    until(lambda n=number: len(successors(started.log)) > n, "a takeover")  # type: ignore[misc]
                    pid = successors(started.log)[number]
                    until(lambda n=number: started.log.read_text().count("have taken over") > n, "its end")  # type: ignore[misc]
                time.sleep(0.5)
        finally:
            if pid != started.pid:
                os.kill(pid, signal.SIGTERM)
        found.takeovers, found.answered, found.p99_ms = times, len(client.seconds), client.p99_ms()
        found.refused, found.lost = client.refused, client.lost


def successors(log: Path) -> list[int]:
    """The processes that have served in another's place, so far."""
    return [int(pid) for pid in re.findall(r"process (\d+) serves in our place", log.read_text())]


def measure(seconds: float, rounds: int, times: int) -> Found:
    """All of it."""
    found = Found()
    with tempfile.TemporaryDirectory(prefix="lproxy-workers-") as name:
        directory = Path(name)
        (upstream,) = free_ports(1)
        path = directory / "nginx.conf"
        path.write_text(NGINX.format(directory=directory, host=HOST, port=upstream))
        core = max(os.sched_getaffinity(0))
        nginx = ["nginx", "-e", "stderr", "-c", str(path)]
        with running("nginx", nginx, core, directory / "nginx.log", [upstream]):
            measure_cpu(found, directory, seconds, rounds, upstream)
            measure_takeovers(found, directory, seconds, times, upstream)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 1 where anything was refused or lost, or the supervisor is too large."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.workers", description="Two workers beside one.")
    parser.add_argument("--seconds", type=float, default=10.0, help="of one measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="medians of so many (default: %(default)s)")
    parser.add_argument("--takeovers", type=int, default=TAKEOVERS, help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    found = measure(options.seconds, options.rounds, options.takeovers)
    print("\n".join(found.lines()))
    missed = found.missed()
    print("\n".join(f"*** {line}" for line in missed), end="\n" if missed else "")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
