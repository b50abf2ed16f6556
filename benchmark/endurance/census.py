# -*- test-case-name: tests.benchmark.endurance.test_census -*-
"""
Who is there: the processes of one lproxy and of all that it has started, their descriptors, memory and connections.

They are known by a word in their environment, which all of them inherit: one that has taken over is nobody's child.
"""

import contextlib
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
#: the word's name
TOKEN = "LPROXY_ENDURANCE"
#: what may be more than before: descriptors of a process, which opens some at first use, and memory, of which Python
#: gives back what it can
DESCRIPTORS, MEMORY = 2, 1.15
LOOK = 0.2


class Census(NamedTuple):
    """
    What was there at one moment.

    @ivar memory: MiB, each page divided by how many share it (PSS)
    """

    processes: int
    descriptors: int
    memory: float

    def grown(self, before: "Census") -> list[str]:
        """What is more than C{before}, beyond what may be."""
        found = []
        if self.processes > before.processes:
            found.append(f"{self.processes} processes, {before.processes} before")
        if self.descriptors > before.descriptors + DESCRIPTORS * before.processes:
            found.append(f"{self.descriptors} descriptors, {before.descriptors} before")
        if self.memory > before.memory * MEMORY:
            found.append(f"{self.memory:.1f} MiB, {before.memory:.1f} before")
        return found

    def __str__(self) -> str:
        return f"{self.processes} processes, {self.descriptors} descriptors, {self.memory:.1f} MiB"


def processes(token: str, proc: Path = PROC) -> list[int]:
    """Those whose environment has C{token}."""
    word = f"{TOKEN}={token}\0".encode()
    found = []
    for place in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word in (place / "environ").read_bytes():
                found.append(int(place.name))
    return sorted(found)


def children(pid: int, proc: Path = PROC) -> list[int]:
    """The processes that C{pid} has started; none where it is gone."""
    with contextlib.suppress(OSError):
        return [int(text) for text in (proc / f"{pid}/task/{pid}/children").read_text().split()]
    return []


def census(token: str, proc: Path = PROC) -> Census:
    """As of now."""
    pids = processes(token, proc)
    descriptors = pages = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            descriptors += len(os.listdir(proc / str(pid) / "fd"))
            text = (proc / str(pid) / "smaps_rollup").read_text()
            pages += int(text.partition("\nPss:")[2].split()[0])
    return Census(len(pids), descriptors, pages / 1024)


def settled(before: Census, look: Callable[[], Census], seconds: float) -> Census:
    """What is there as soon as no more is than may be, or after so many seconds."""
    end = time.monotonic() + seconds
    while (found := look()).grown(before) and time.monotonic() < end:
        time.sleep(LOOK)
    return found


def clients(pid: int, listening: Collection[int], proc: Path = PROC) -> frozenset[int]:
    """The ports at the other end of the connections that C{pid} has accepted on the ports C{listening}."""
    inodes = set()
    for name in os.listdir(proc / str(pid) / "fd"):
        with contextlib.suppress(OSError):
            kind, _, inode = os.readlink(proc / str(pid) / "fd" / name).partition(":")
            if kind == "socket":
                inodes.add(inode.strip("[]"))
    found = set()
    for line in (proc / str(pid) / "net" / "tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if fields[9] in inodes and local in listening and remote:
            found.add(remote)
    return frozenset(found)


def stopped(pid: int, proc: Path = PROC) -> bool:
    """Whether it stands still, by SIGSTOP, or is gone."""
    try:
        text = (proc / str(pid) / "stat").read_text()
    except OSError:
        return True
    return text[text.rindex(")") + 2] in "TtZX"
