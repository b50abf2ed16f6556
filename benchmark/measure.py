# -*- test-case-name: tests.benchmark.test_measure -*-
"""
What a process tree costs: CPU seconds and resident memory, from /proc (Linux only). And how late lproxy's timers fire.

CPU is utime + stime of the process and of all that descend from it, children that have ended and were waited for
included. The kernel counts it in ticks (10 ms as a rule), so a window shorter than a second says little.
"""

import os
import re
import time
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import TracebackType

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") / 1024


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """One line of /proc/PID/stat, as far as it concerns us. Times in ticks, memory in pages."""

    pid: int
    parent: int
    ticks: int  #: utime + stime + cutime + cstime
    resident: int


def process_stats() -> dict[int, ProcessStat]:
    """Every process of the machine, by process id."""
    stats = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        fields = line[line.rindex(")") + 2 :].split()  # the name in parentheses may contain anything
        pid = int(entry.name)
        stats[pid] = ProcessStat(pid, int(fields[1]), sum(map(int, fields[11:15])), int(fields[21]))
    return stats


def tree(root: int, stats: dict[int, ProcessStat]) -> list[ProcessStat]:
    """C{root} and everything that descends from it; empty when it has ended."""
    children: dict[int, list[ProcessStat]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent, []).append(stat)
    found, waiting = [], [stats[root]] if root in stats else []
    while waiting:
        stat = waiting.pop()
        found.append(stat)
        waiting += children.get(stat.pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """CPU seconds that C{root}'s process tree has used so far."""
    return sum(stat.ticks for stat in tree(root, process_stats())) / TICKS_PER_SECOND


def resident_kib(root: int) -> float:
    """Resident memory of C{root}'s process tree in KiB; pages shared between its processes count in each."""
    return sum(stat.resident for stat in tree(root, process_stats())) * PAGE_KIB


def core_busy_seconds(core: int) -> float:
    """Seconds that C{core} has been busy since boot: all of its /proc/stat line but idle, iowait and guest."""
    for line in (PROC / "stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
    raise LookupError(f"/proc/stat has no line for cpu{core}")


@dataclass(slots=True)
class Window:
    """
    A context manager around the measured part of a run.

    Afterwards C{cpu} holds the CPU seconds of the proxy's tree, C{seconds} the time that passed, and C{foreign_proxy}
    and C{foreign_load} the share (0 to 1) of that time in which processes that are not ours used the two cores.
    With no proxy (C{pid} None) C{cpu} is 0.
    """

    pid: int | None
    proxy_core: int
    load_core: int
    seconds: float = 0.0
    cpu: float = 0.0
    foreign_proxy: float = 0.0
    foreign_load: float = 0.0
    _start: tuple[float, float, float, float, float] = field(default=(0.0,) * 5, repr=False)

    def _read(self) -> tuple[float, float, float, float, float]:
        proxy = 0.0 if self.pid is None else cpu_seconds(self.pid)
        ours = cpu_seconds(os.getpid())
        return time.monotonic(), proxy, ours, core_busy_seconds(self.proxy_core), core_busy_seconds(self.load_core)

    def __enter__(self) -> "Window":
        self._start = self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        now = self._read()
        self.seconds, self.cpu, ours, proxy_core, load_core = (
            after - before for after, before in zip(now, self._start, strict=True)
        )
        if self.proxy_core == self.load_core:
            self.foreign_proxy = self.foreign_load = max(0.0, (proxy_core - ours) / self.seconds)
        else:
            self.foreign_proxy = max(0.0, (proxy_core - self.cpu) / self.seconds)
            self.foreign_load = max(0.0, (load_core - (ours - self.cpu)) / self.seconds)


#: a step of the histogram in which lproxy keeps how late a timer of 100 ms fires
LAG = re.compile(r'^reactor_lag_seconds_bucket\{le="(?P<bound>[^"]+)"\} (?P<count>\d+)', re.M)


def lag_p99_ms(metrics: str) -> float | None:
    """From what lproxy answers to C{/metrics}: the step of the histogram below which 99 % of the times lie."""
    steps = [(float(step["bound"]), int(step["count"])) for step in LAG.finditer(metrics)]
    if not steps or not steps[-1][1]:
        return None
    bound = next(bound for bound, count in steps if count >= 0.99 * steps[-1][1])
    # beyond the last step there is none to name
    finite = [step for step, _ in steps if step != float("inf")]
    return 1e3 * min(bound, finite[-1]) if finite else None


def reactor_lag_ms(port: int, host: str = "127.0.0.1") -> float | None:
    """The same, of the proxy with that admin port; None when it does not say."""
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=5) as page:
            return lag_p99_ms(page.read().decode())
    except (OSError, HTTPException, ValueError):
        return None
