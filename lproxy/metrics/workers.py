# -*- test-case-name: tests.metrics.test_workers -*-
"""
The families of workers and of their supervisor, from what that says of them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from lproxy.metrics.family import Family, Labels

UP = "1 where a worker serves and answers; 0 where it starts, hangs or is gone."
RESTARTS = "Times that a worker was followed by another: it died, hung, or ended by itself."


def of_workers(table: Iterable[dict[str, Any]], silent: Container[int] = ()) -> Iterator[Family]:
    """
    The families of workers.

    @param silent: who does not answer
    """
    up: list[tuple[Labels, float]] = []
    restarts: list[tuple[Labels, float]] = []
    for row in table:
        label = ("worker", str(row["worker"]))
        up.append(((label,), int(row["state"] == "serving" and row["worker"] not in silent)))
        restarts += [((label, ("reason", reason)), n) for reason, n in row["restarts"].items()]
    yield Family("worker_up", "gauge", UP, up)
    yield Family("worker_restarts_total", "counter", RESTARTS, restarts)


def of_supervisor(told: Mapping[str, Any]) -> Iterator[Family]:
    """What its process takes, as far as it is known."""
    for name, key in (("process_resident_memory_bytes", "resident_bytes"), ("process_open_fds", "open_fds")):
        if key in told:
            yield Family(name, "gauge", "", [((), told[key])])
    if "cpu_seconds" in told:
        yield Family("process_cpu_seconds_total", "counter", "", [((), told["cpu_seconds"])])
