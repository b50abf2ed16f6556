# -*- test-case-name: tests.app.workers.test_joined -*-
"""
The rows of several workers' pages as those of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from lproxy.app.rows import Standing

Row = dict[str, Any]
#: of each worker, by its index
Rows = Mapping[int, Iterable[Row]]

#: states of services and endpoints, those first of which one worker's word is enough
WORST_FIRST = (
    "down",
    "failfast",
    "failing",
    "waiting",
    "degraded",
    "unhealthy",
    "backoff",
    "probing",
    "connecting",
    "ready",
    "healthy",
    "split",
    "unused",
)
#: what is added; of whatever else two workers say, the first who says something does
AMOUNTS = ("in_flight", "waiters", "idle", "sessions", "leases", "errors", "times")
#: failures that are shown
MOST = 100


def services(rows: Rows) -> list[Row]:
    """Each service once: what is in flight and waits in all workers, and the worst state."""
    return _joined(rows, ("direction", "protocol", "target"))


def standing(some: Sequence[Standing]) -> Standing:
    """How a service does in all workers, of which each says how it does in one."""
    return Standing(
        some[0].target,
        all(one.serves for one in some),
        max(one.ailing for one in some),
        sum(one.busy for one in some),
        partial(_row, some),
    )


def _row(some: Iterable[Standing]) -> Row | None:
    rows = [row for one in some if (row := one.row()) is not None]
    return next(iter(services({n: [row] for n, row in enumerate(rows)})), None)


def plugins(rows: Rows) -> list[Row]:
    """Each protocol once."""
    return _joined(rows, ("name", "file"))


def connections(rows: Rows) -> list[Row]:
    """All of them, each with its worker."""
    return [{"worker": worker, **row} for worker, some in sorted(rows.items()) for row in some]


def failures(rows: Rows) -> list[Row]:
    """Each failure once, as often as it was in all workers, the latest first."""
    found: dict[str, Row] = {}
    for some in rows.values():
        for row in some:
            key = row["key"]
            before = found.get(key)
            if before is None:
                found[key] = dict(row)
            else:
                # the latest says who waited for how long
                latest = row if row["at"] > before["at"] else before
                found[key] = {**latest, "times": before["times"] + row["times"]}
    return sorted(found.values(), key=lambda row: -row["at"])[:MOST]


def _joined(rows: Rows, names: tuple[str, ...]) -> list[Row]:
    found: dict[tuple[Any, ...], Row] = {}
    unused: dict[Any, Row] = {}
    for _, some in sorted(rows.items()):
        for row in some:
            if row.get("state") == "unused":
                unused.setdefault(row["target"], row)
                continue
            key = tuple(row.get(name) for name in names)
            found[key] = _join(found[key], row) if key in found else dict(row)
    used = {row.get("target") for row in found.values()}
    # what one worker uses nobody calls unused
    return [*found.values(), *(row for target, row in unused.items() if target not in used)]


def _join(one: Row, other: Row) -> Row:
    both = {**other, **{key: value for key, value in one.items() if value is not None}}
    for key in AMOUNTS:
        if key in one and key in other:
            both[key] = one[key] + other[key]
    if "state" in one and "state" in other:
        both["state"] = min(one["state"], other["state"], key=_badness)
    if "endpoints" in one and "endpoints" in other:
        both["endpoints"] = _joined({0: one["endpoints"], 1: other["endpoints"]}, ("address",))
    return both


def _badness(state: str) -> int:
    return WORST_FIRST.index(state) if state in WORST_FIRST else 0
