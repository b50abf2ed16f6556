"""
One process on one core: start it, wait until it listens, stop it, read its log. And ports that are free.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
#: the directory that holds benchmark/ and twisted/plugins/
PROJECT = Path(__file__).resolve().parent.parent
#: how long a process may take to listen, and to end after SIGTERM
START_SECONDS = 20.0
STOP_SECONDS = 10.0
#: below the range from which Linux takes the client's end of a connection, so that no client sits on a port we chose
PORTS = range(10_000, 32_000)


class ProcessFailed(Exception):
    """A process did not start, ended on its own, or gave no usable result."""


def free_ports(count: int, row: int = 1) -> list[int]:
    """C{count} different TCP ports of 127.0.0.1, each the first of C{row} on which nobody listens at this moment."""
    found: list[int] = []
    rows = range(PORTS.start, PORTS.stop - row + 1, row)
    for first in random.sample(rows, len(rows)):
        if all(map(_is_free, range(first, first + row))):
            found.append(first)
            if len(found) == count:
                return found
    raise ProcessFailed(f"no {count} free ports between {PORTS.start} and {PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started meanwhile inherits the core (and keeps it); we return to ours afterwards."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def listening_ports() -> set[int]:
    """
    The TCP ports (IPv4) on which somebody listens.

    Read from the kernel, for a connection made to find out would reach the proxy's upstream and count there.
    """
    ports = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _slot, local, _remote, state, *_ = line.split()
        if state == "0A":
            ports.add(int(local.partition(":")[2], 16))
    return ports


@dataclass(frozen=True)
class Running:
    """A process that we started, in a process group of its own; C{log} is its standard output and error."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def check(self) -> None:
        """Complain, with the end of its log, when it runs no longer."""
        if self.process.poll() is not None:
            raise ProcessFailed(f"{self.name} ended with status {self.process.returncode}:\n{self.log_tail()}")

    def wait_for(self, ports: Sequence[int]) -> None:
        """Return when it listens on all C{ports}."""
        deadline = time.monotonic() + START_SECONDS
        while missing := set(ports) - listening_ports():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    f"{self.name} does not listen on {missing} after {START_SECONDS:.0f} s:\n{self.log_tail()}"
                )
            time.sleep(0.02)
        self.check()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to its whole group when that does not help."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
            print(f"  note: {self.name} did not end within {STOP_SECONDS:.0f} s of SIGTERM and was killed", flush=True)


@contextmanager
def running(name: str, command: Sequence[str], core: int, log: Path, ports: Sequence[int]) -> Iterator[Running]:
    """C{command} on C{core}, listening on C{ports}; stopped at the end, whatever happens."""
    with open(log, "wb") as output, on_core(core):
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop the others in order
        )
    started = Running(name, process, log)
    try:
        started.wait_for(ports)
        yield started
    finally:
        started.stop()


def run(command: Sequence[str], core: int, timeout: float) -> str:
    """What C{command}, run to its end on C{core}, printed. Fails when it fails or takes over C{timeout} seconds."""
    with on_core(core):
        process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise ProcessFailed(f"{command[0]} did not end within {timeout:.0f} s") from error
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode != 0:
        raise ProcessFailed(f"{' '.join(command)} ended with status {process.returncode}:\n{errors}{output}"[:2000])
    return output


def client_command(name: str, *arguments: str) -> list[str]:
    """The command line of one of our own programs in benchmark/clients."""
    return [sys.executable, "-m", f"benchmark.clients.{name}", *arguments]
