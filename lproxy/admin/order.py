# -*- test-case-name: tests.admin.test_order -*-
"""
Which rows of the first page come first: those that somebody should look at, or as was asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lproxy.admin.interface import Standing

#: states of services, those first that somebody should look at
WORST_FIRST = ("down", "failing", "failfast", "probing", "degraded", "waiting", "connecting")
QUANTILES = ("p50", "p95", "p99")
#: those of services' rows that are amounts, and as what rows have them
AMOUNTS = {"in-flight": "in_flight", "waiting": "waiters"}
#: what rows may be sorted by: by name from the first, by all else from that with the most, of success with the least
SORTS = ("name", "requests", "success", *QUANTILES, *AMOUNTS)


class Traffic(NamedTuple):
    """
    Requests of something, within the window.

    @ivar rate: a second, or where the window has no length how many there were
    @ivar success: what part of them succeeded, 0 to 1; C{None} where there were none
    @ivar quantiles: milliseconds, p50, p95 and p99; C{None} where nothing was measured
    """

    rate: float
    success: float | None
    quantiles: tuple[float | None, float | None, float | None]


NONE = Traffic(0.0, None, (None, None, None))


class Asked(NamedTuple):
    """
    What somebody wants to see.

    @ivar wanted: part of the names of the services and routes to show; all otherwise
    @ivar sort: one of L{SORTS}; otherwise those come first that somebody should look at
    """

    wanted: str = ""
    sort: str = ""


#: nothing in particular
WHOLE = Asked()


def of_standing(sort: str, standing: Standing, traffic: Traffic) -> tuple[float, ...]:
    """Where a service comes, as far as can be said of all."""
    if not sort:
        return standing.serves, not standing.ailing, -traffic.rate, -standing.busy
    return (-standing.busy,) if sort in AMOUNTS else of_traffic(sort, traffic)


def of_row(sort: str, row: dict[str, Any], traffic: Traffic) -> tuple[float, ...]:
    """Where its row comes."""
    if not sort:
        return _badness(row), -traffic.rate
    return (-row.get(AMOUNTS[sort], 0),) if sort in AMOUNTS else of_traffic(sort, traffic)


def of_traffic(sort: str, traffic: Traffic) -> tuple[float, ...]:
    """Where C{traffic} comes; what nobody has measured is last."""
    if sort == "requests":
        return (-traffic.rate,)
    if sort == "success":
        return traffic.success is None, traffic.success or 0.0
    ms = traffic.quantiles[QUANTILES.index(sort)] if sort in QUANTILES else None
    return ms is None, -(ms or 0.0)


def _badness(row: dict[str, Any]) -> int:
    state = str(row.get("state"))
    return WORST_FIRST.index(state) if state in WORST_FIRST else len(WORST_FIRST) + (state in ("split", "unused"))
